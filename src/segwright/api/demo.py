"""The whole job on data it makes itself: phantoms are drawn, fitted over folds, and held-out ones predicted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segwright.core.errors import BudgetError, UnknownNameError
from segwright.core.events import Listen, Note, Stage, silent
from segwright.phantoms import PHANTOMS

if TYPE_CHECKING:
    from segwright.api.run import Run
    from segwright.core.report import Report

#: Minutes of a demonstration, cases to learn from and cases held out.
MINUTES, CASES, HELD_OUT = 1.8, 30, 8
#: What `segwright demo` shows when nothing is named.
PLAIN = ("spine-xray", "tumour-mri")
#: The recipe of the plain network.
DEFAULT = "default"


@dataclass(frozen=True)
class Show:
    """A demonstration of one published system on scans of its kind.

    Attributes:
        phantom: Row of the phantoms table.
        recipe: Shipped recipe.
        wishes: Recipe fields that narrow the system to what a few minutes of a laptop's time can train.
        about: What is seen.
        minutes: For the fit.
        cases: Cases to learn from.
    """

    phantom: str
    recipe: str = "default"
    wishes: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""
    minutes: float = 3.0
    cases: int = 20


#: Rates are raised where the source's is meant for days of training; every other field is the recipe's own.
SHOWS: dict[str, Show] = {
    "spine": Show(
        "spine-xray",
        "spine-scanography-attention",
        {"width": 8, "size": (256, 128), "folds": 2},
        "vertebral bodies in X-rays, by the Attention U-Net with squeeze-and-excitation blocks",
    ),
    "vertebrae": Show(
        "vertebrae-xray",
        "spine-vertebrae",
        {"width": 12, "size": (256, 128), "folds": 2, "lr": 0.003},
        "the lowest six vertebrae told apart, by a U-Net with one softmax",
    ),
    "prostate": Show(
        "prostate-mri",
        "vnet-prostate",
        {"width": 4, "levels": 4, "folds": 2, "lr": 0.003, "batch": 2},
        "two zones of the prostate in T2 MRI, by V-Net",
    ),
    "mitochondria": Show(
        "mitochondria-em",
        "mitochondria-rat",
        {
            "width": 8,
            "levels": 4,
            "folds": 2,
            "lr": 0.003,
            "patch": (8, 96, 96),
            "overlap": 0.25,
            "augment": "light",
            "section_faults": False,
        },
        "mitochondria in serial sections of brain tissue, by Res-UNet-R",
        cases=12,
    ),
    "lobes": Show(
        "lobes-ct",
        "lung-lobes",
        {"folds": 2, "patch": (32, 64, 64)},
        "five lung lobes in CT with incomplete fissures, by PDV-Net",
        minutes=5.0,
    ),
    "hand": Show(
        "hand-xray",
        "hand-bones",
        {"folds": 2, "size": (256, 192), "lr": 0.002},
        "29 overlapping bones in hand X-rays, by SegFormer",
    ),
    "liver": Show(
        "liver-mri",
        "liver-tumour-3d",
        {"width": 8, "patch": (24, 48, 48), "batch": 4, "folds": 2, "lr": 0.003},
        "liver and a rare tumour in four phases of MRI, by 3D-UNet",
    ),
}


@dataclass(frozen=True)
class Demo:
    """What a demonstration left.

    Attributes:
        name: As asked for.
        run: The fit over its folds.
        held_out: Scores of predictions on phantoms that no fold has seen.
        page: Their page.
        plain: The same with the default recipe, where the system's own learnt nothing in the time there was.
    """

    name: str
    run: Run
    held_out: Report
    page: Path
    plain: Demo | None = None


def show_of(name: str) -> Show:
    """The demonstration of that name; the name of a phantom alone shows the default recipe on it.

    Raises:
        UnknownNameError: No demonstration and no phantom is called so.

    Example:
        >>> show_of("hand").recipe, show_of("hand-xray").recipe
        ('hand-bones', 'default')
    """
    if name in SHOWS:
        return SHOWS[name]
    if name in PHANTOMS:
        return Show(name, wishes={"folds": 3}, minutes=MINUTES, cases=CASES)
    raise UnknownNameError.among("demo", name, [*SHOWS, *PHANTOMS])


def draw_data(name: str, out: str | Path, *, seed: int = 0, cases: int | None = None, listen: Listen = silent) -> Path:
    """Draw the phantoms of a demonstration: `scans/` to learn from and `held-out/`; returns the folder."""
    show = show_of(name)
    count = cases or show.cases
    from segwright.phantoms.write import write_dataset

    listen(Stage(f"Drawing {count + HELD_OUT} phantoms: {show.phantom}"))
    return write_dataset(show.phantom, out, cases=count, held_out=HELD_OUT, seed=seed)


def demo(
    name: str,
    out: str | Path,
    *,
    minutes: float | None = None,
    seed: int = 0,
    device: str = "auto",
    listen: Listen = silent,
    **overrides: Any,
) -> Demo:
    """Draw phantoms, fit the folds, predict the held-out ones and score them.

    Args:
        name: Row of `SHOWS`, or of the phantoms table.
        out: Folder; `scans/`, `held-out/`, `run/` and `predictions/` are made inside.
        minutes: Time for the fit.
        seed: Of the phantoms.
        device: Where to train.
        listen: Progress events.
        overrides: Recipe fields in place of the demonstration's; `recipe` names another recipe.
    """
    folder, show = Path(out), show_of(name)
    draw_data(name, folder, seed=seed, listen=listen)
    recipe = overrides.pop("recipe", None)
    wishes = {**(show.wishes if recipe is None else {"folds": 3}), **overrides}
    counted = "steps" in wishes
    if not counted:
        wishes["minutes"] = minutes or wishes.get("minutes") or show.minutes
    system = recipe or show.recipe
    work = _Work(name, folder, device, listen)
    if counted or recipe is not None or system == DEFAULT:
        return work.done(folder, system, wishes)
    plain = {"minutes": wishes["minutes"], "folds": wishes["folds"]}
    try:
        done = work.done(folder, system, wishes)
    except BudgetError as error:
        listen(Note(f"{system} is trained for days at its source: {error} The plain network is trained in its place."))
        return work.done(folder / "plain", DEFAULT, plain)
    if done.run.report.floor is None or done.run.report.floor.passed:
        return done
    listen(
        Note(
            f"{system} is trained for days at its source, and in these minutes it learnt no more than one mask for "
            "every scan. So the plain network is trained beside it, in the same time."
        )
    )
    return replace(done, plain=work.done(folder / "plain", DEFAULT, plain))


@dataclass(frozen=True)
class _Work:
    """Fits the scans of a demonstration, predicts the held-out ones and scores them."""

    name: str
    folder: Path
    device: str
    listen: Listen

    def done(self, out: Path, recipe: str, wishes: Mapping[str, Any]) -> Demo:
        """With one recipe; runs, predictions and pages go to `out`."""
        from segwright.api.evaluate import evaluate
        from segwright.api.fit import fit
        from segwright.api.predict import predict

        asked: dict[str, Any] = {"device": self.device, "listen": self.listen}
        run = fit(self.folder / "scans", recipe, out=out / "run", **asked, **wishes)
        held_out = self.folder / "held-out"
        predict(run.model, held_out / "images", out / "predictions", **asked)
        page = out / "held-out.html"
        scores = evaluate(held_out / "labels", out / "predictions", space=run.plan.labels, out=page)
        return Demo(self.name, run, scores, page)
