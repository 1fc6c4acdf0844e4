"""What the benchmarks of published systems share: same folds, same budget for each, one table, one JSON file.

Each contestant is fitted by the machinery of `segwright compare`; runs that are finished in the folder are taken as
they are, so an interrupted benchmark goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from segwright.api.compare_recipes import compare_runs
from segwright.api.fit import fit
from segwright.api.provenance import describe_machine
from segwright.api.run import Run
from segwright.core.case import Dataset
from segwright.core.report import Report

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("SEGWRIGHT_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
#: Training that suits minutes, for networks whose sources trained for days: as `default` trains the plain U-Net.
SHORT = {
    "loss": "dice_ce",
    "optimiser": "adamw",
    "lr": 0.002,
    "weight_decay": 0.01,
    "schedule": "cosine",
    "warmup": 0.1,
}


@dataclass(frozen=True)
class Entry:
    """A contestant: its name in tables, recipe, and recipe fields that belong to it alone."""

    name: str
    recipe: str
    wishes: Mapping[str, Any] = field(default_factory=dict)


def arguments(about: str, *, minutes: float, out: str) -> argparse.Namespace:
    """The command line that the benchmarks have in common."""
    return parsed(parser(about, minutes=minutes, out=out))


def parser(about: str, *, minutes: float, out: str) -> argparse.ArgumentParser:
    """Options that the benchmarks have in common, for those that add some."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with the datasets")
    parser.add_argument("--minutes", type=float, default=minutes, help="budget of each fit, all its folds together")
    parser.add_argument("--fold", type=int, action="append", help="train this fold only; may be repeated")
    parser.add_argument("--entry", action="append", help="only these contestants")
    parser.add_argument("--out", type=Path, default=Path(out), help="folder for the runs")
    parser.add_argument("overrides", nargs="*", help="recipe fields for all contestants, key=value")
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The command line, with recipe fields as `wishes`."""
    from segwright.planning.recipe_book import parse_overrides

    options = parser.parse_intermixed_args()
    options.wishes = parse_overrides(options.overrides)
    return options


def compete(data: Dataset, entries: Sequence[Entry], out: Path, options: argparse.Namespace) -> dict[str, Run]:
    """Fit every contestant on the same folds with the same budget."""
    chosen = [entry for entry in entries if not options.entry or entry.name in options.entry]
    runs = {}
    for entry in chosen:
        folder = out / entry.name
        wishes = {"minutes": options.minutes, **entry.wishes, **options.wishes}
        begun = (folder / "plan.json").exists()
        print(f"fitting {entry.name}: {entry.recipe} {wishes}", file=sys.stderr, flush=True)
        runs[entry.name] = fit(data, entry.recipe, out=folder, only=options.fold, resume=begun, **wishes)
    if len(runs) > 1:
        compare_runs(runs, out)
    return runs


def row(run: Run, structures: Sequence[str] = ("mean",), metrics: Sequence[str] = ("dice",)) -> dict[str, Any]:
    """What a run reached and cost: means with intervals, values by case, by fold, steps, widths."""
    report, last = run.report, {fold: events[-1] for fold, events in run.log().items() if events}
    found = {
        f"{one.structure}/{one.metric}": [one.mean, one.low, one.high]
        for one in report.aggregates
        if one.structure in structures and one.metric in metrics
    }
    return {
        "scores": found,
        "values": values(report, found),
        "by_fold": by_fold(report, structures[0]),
        "cases": len({score.case for score in report.scores}),
        "steps": {fold: getattr(event, "step", None) for fold, event in last.items()},
        "widths": run.plan.net.widths,
        "size": run.plan.prepare.fit,
        "patch": run.plan.sample.patch,
        "batch": run.plan.train.batch,
        "lr": run.plan.train.lr,
    }


def values(report: Report, kept: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """Values by patient and case of the scores that are kept, so that their intervals can be computed again."""
    rows: dict[str, dict[str, float | None]] = {name: {} for name in kept}
    for score in report.scores:
        if (name := f"{score.structure}/{score.metric}") in rows:
            rows[name][f"{score.group}/{score.case}"] = score.value
    return rows


def by_fold(report: Report, structure: str) -> dict[int, float]:
    """Mean Dice of the cases of each fold."""
    values: dict[int, list[float]] = {}
    for score in report.scores:
        if score.structure == structure and score.metric == "dice" and score.value is not None:
            values.setdefault(int(score.fold or 0), []).append(score.value)
    return {fold: sum(found) / len(found) for fold, found in sorted(values.items())}


def keep(name: str, result: Mapping[str, Any]) -> None:
    """Store a result beside the machine's description."""
    RESULTS.mkdir(exist_ok=True)
    document = {"date": str(date.today()), "machine": describe_machine(), **result}
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1, default=str) + "\n")


def interval(values: Sequence[float | None]) -> str:
    """`0.861 (0.850 to 0.872)`, or a dash."""
    mean, low, high = values
    if mean is None:
        return "-"
    return f"{mean:.3f}" + (f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else "")
