"""The whole job on data it makes itself: phantoms are drawn, fitted over folds, and held-out ones predicted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segwright.api.evaluate import evaluate
from segwright.api.events import Listen, silent, stage
from segwright.api.fit import fit
from segwright.api.predict import predict
from segwright.api.run import Run
from segwright.core.report import Report
from segwright.phantoms.write import write_dataset

#: Minutes of a demonstration, cases to learn from and cases held out.
MINUTES, CASES, HELD_OUT = 1.8, 30, 8


@dataclass(frozen=True)
class Demo:
    """What a demonstration left.

    Attributes:
        name: Phantom.
        run: The fit over three folds.
        held_out: Scores of predictions on phantoms that no fold has seen.
        page: Their page.
    """

    name: str
    run: Run
    held_out: Report
    page: Path


def demo(
    name: str,
    out: str | Path,
    *,
    minutes: float = MINUTES,
    seed: int = 0,
    device: str = "auto",
    listen: Listen = silent,
) -> Demo:
    """Draw phantoms, fit three folds, predict the held-out ones and score them.

    Args:
        name: Row of the phantoms table.
        out: Folder; `scans/`, `held-out/`, `run/` and `predictions/` are made inside.
        minutes: Time for the fit.
        seed: Of the phantoms.
        device: Where to train.
        listen: Progress events.
    """
    folder = Path(out)
    stage(listen, f"Drawing {CASES + HELD_OUT} phantoms: {name}")
    write_dataset(name, folder, cases=CASES, held_out=HELD_OUT, seed=seed)
    run = fit(folder / "scans", out=folder / "run", device=device, listen=listen, folds=3, minutes=minutes)
    predict(run.model, folder / "held-out" / "images", folder / "predictions", device=device, listen=listen)
    page = folder / "held-out.html"
    labels = folder / "held-out" / "labels"
    return Demo(name, run, evaluate(labels, folder / "predictions", space=run.plan.labels, out=page), page)
