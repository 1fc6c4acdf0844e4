"""Runs several recipes on the same folds, or takes finished runs, and tells whether they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from segwright.api.finalize import drawn_case, final_chain
from segwright.api.fit import fit
from segwright.api.out_of_fold import JudgedCase
from segwright.api.provenance import describe_machine
from segwright.api.run import Run
from segwright.core.case import Dataset
from segwright.core.errors import UsageError
from segwright.core.events import End, Listen, Stage, silent
from segwright.evaluation.compare import compare
from segwright.nets import net_info
from segwright.planning.memory import parameter_count
from segwright.report.comparison import (
    Contest,
    Contestant,
    ContestContent,
    PairedDifference,
    write_contest,
)

#: Cases drawn side by side: those in which the contestants differ most.
DRAWN = 6


def contest(
    data: Dataset | str | Path,
    recipes: Sequence[str],
    *,
    out: str | Path,
    only: Sequence[int] | None = None,
    device: str = "auto",
    listen: Listen = silent,
    **overrides: Any,
) -> Contest:
    """Fit each recipe on the same folds with the same budget, and compare.

    Runs that are already finished in `out` are taken as they are, so an interrupted contest goes on.

    Args:
        data: As for `fit`.
        recipes: Names or files; the first is what the others are compared with.
        out: Folder; one run a recipe, `contest.json` and `contest.html`.
        only: Folds to train.
        device: Where to train.
        listen: Progress events.
        overrides: Recipe fields for all of them; `workers` or `scheduler` as for `fit`.
    """
    if len(set(recipes)) < 2:
        raise UsageError("A comparison needs at least two recipes.", got=list(recipes), hint="Give -r twice or more.")
    runs = {}
    for recipe in recipes:
        name = Path(recipe).stem
        folder = Path(out) / name
        listen(Stage(f"Recipe {name}"))
        begun = (folder / "plan.json").exists()
        runs[name] = fit(data, recipe, out=folder, only=only, device=device, resume=begun, listen=listen, **overrides)
    return compare_runs(runs, out)


def compare_runs(runs: Mapping[str, Run], out: str | Path) -> Contest:
    """Compare finished runs on the cases they share; writes `contest.json` and `contest.html` into `out`."""
    if len(runs) < 2:
        raise UsageError("A comparison needs at least two runs.", got=list(runs), hint="Name different run folders.")
    first, *others = runs
    reports = {name: run.report for name, run in runs.items()}
    differences = [
        PairedDifference(
            name=name,
            structure=row.structure,
            mean=row.mean,
            low=row.low,
            high=row.high,
            p=row.p,
            wins=row.wins,
            losses=row.losses,
        )
        for name in others
        for row in compare(reports[first], reports[name], only_common=True).rows
        if row.metric == "dice"
    ]
    result = Contest(
        contestants=tuple(_contestant(name, run) for name, run in runs.items()),
        differences=tuple(sorted(differences, key=lambda row: (row.structure != "mean", row.name))),
        notes=("Differences are paired by case; intervals and p are over patients and not corrected for many pairs.",),
    )
    folder = Path(out)
    result.save(folder / "contest.json")
    space = runs[first].plan.labels
    content = ContestContent(
        title=folder.resolve().name,
        contest=result,
        labels=space,
        reports=reports,
        cases=_side_by_side(runs),
        receipt={"runs": {name: str(run.folder) for name, run in runs.items()}, "machine": describe_machine()},
    )
    write_contest(content, folder / "contest.html")
    return result


def _contestant(name: str, run: Run) -> Contestant:
    ends = [event for events in run.log().values() for event in events[-1:] if isinstance(event, End)]
    steps = sum(event.step for event in ends)
    seconds = sum(event.elapsed for event in ends)
    return Contestant(
        name=name,
        dice={row.structure: row for row in run.report.aggregates if row.metric == "dice"},
        parameters=_parameters(run),
        step_seconds=seconds / max(steps, 1),
        steps=steps,
        train_seconds=seconds,
        memory=run.plan.memory.get("train", 0),
        run=str(run.folder),
    )


def _parameters(run: Run) -> int:
    """Numbers in the weights file that are learnt; by formula for the networks that have one."""
    if net_info(run.plan.net.name).made_to_measure:
        return parameter_count(run.plan.net)
    import torch

    from segwright.nets import build
    from segwright.nets.describe import count_parameters

    with torch.device("meta"):
        return count_parameters(build(run.plan.net))


def _side_by_side(runs: Mapping[str, Run]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Cases that all contestants predicted, with the largest spread of Dice first; one in memory at a time."""
    means = {
        name: {s.case: s for s in run.report.scores if s.structure == "mean" and s.metric == "dice"}
        for name, run in runs.items()
    }
    shared = set.intersection(*(set(rows) for rows in means.values()))
    values = {case: [rows[case].value or 0.0 for rows in means.values()] for case in shared}
    order = sorted(shared, key=lambda case: (min(values[case]) - max(values[case]), case))[:DRAWN]
    chains = {name: final_chain(run) for name, run in runs.items()}
    for case in order:
        judged = {name: JudgedCase(run, case, means[name][case].fold) for name, run in runs.items()}
        yield case, {name: drawn_case(one, chains[name]) for name, one in judged.items()}
