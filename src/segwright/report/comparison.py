"""The page that sets several recipes side by side on the same folds: scores, paired differences, cost, pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import segwright
from segwright.core.document import Document, Part
from segwright.core.labels import LabelSpace
from segwright.core.report import Aggregate, Report, Score
from segwright.core.words import byte_size, duration
from segwright.report import plots, tables
from segwright.report.content import WorstCase
from segwright.report.html import template, write_text
from segwright.report.pictures import drawn
from segwright.report.text import aligned
from segwright.report.wording import MISSING, colour, column, interval, number, signed


class Contestant(Part):
    """What one recipe reached and cost.

    Attributes:
        name: As shown.
        dice: Dice of `mean` and each structure over out-of-fold cases.
        parameters: Trainable numbers of its network.
        step_seconds: Seconds a training step, data included.
        steps: Steps of all folds together.
        train_seconds: Seconds of training, all folds together.
        memory: Forecast bytes of a training step.
        run: Its folder.
    """

    name: str
    dice: dict[str, Aggregate]
    parameters: int
    step_seconds: float
    steps: int
    train_seconds: float
    memory: int
    run: str


class PairedDifference(Part):
    """Dice of one recipe less that of the first, on the same cases; see `evaluation.compare`."""

    name: str
    structure: str
    mean: float | None
    low: float | None
    high: float | None
    p: float | None
    wins: int
    losses: int


class Contest(Document):
    """All contestants and their paired differences to the first."""

    contestants: tuple[Contestant, ...]
    differences: tuple[PairedDifference, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ContestContent:
    """What the page shows.

    Attributes:
        title: Heading.
        contest: Numbers.
        labels: Structures and their colours.
        reports: Out-of-fold report of each contestant, by name.
        cases: For each case drawn, its id and one picture a contestant; taken one by one.
        receipt: Versions, hashes, hardware.
    """

    title: str
    contest: Contest
    labels: LabelSpace
    reports: Mapping[str, Report]
    cases: Iterable[tuple[str, Mapping[str, WorstCase]]] = ()
    receipt: Mapping[str, Any] = field(default_factory=dict)


def write_contest(content: ContestContent, path: str | Path) -> Path:
    """Render to `path`; the file appears only when whole."""
    return write_text(render_contest(content), path)


def render_contest(content: ContestContent) -> str:
    """The page as text, in the style of a run's page."""
    labels = content.labels
    cases = [
        (case, [drawn(one, labels, heading=name) for name, one in contestants.items()])
        for case, contestants in content.cases
    ]
    return template("comparison.html").render(
        version=segwright.__version__,
        title=content.title,
        colours={name: colour(labels, i) for i, name in enumerate(labels.names)},
        structures=("mean", *labels.names)[:9],
        rows=[_cells(row, ("mean", *labels.names)[:9]) for row in content.contest.contestants],
        differences=[_difference(row) for row in content.contest.differences],
        first=content.contest.contestants[0].name,
        notes=content.contest.notes,
        plot=plots.strip_plot(_by_name(content.reports), column("dice")),
        forest=forest(content.contest.differences),
        cases=cases,
        worst=[one for _, contestants in cases for one in contestants],
        compared=True,
        viewer="",
        structure_count=len(labels.structures),
        receipt=tables.receipt_rows(content.receipt),
    )


def contest_table(contest: Contest) -> str:
    """The contest in lines of at most 80 columns: score with interval, difference to the first, cost."""
    differences = {row.name: row for row in contest.differences if row.structure == "mean"}
    rows = [["recipe", "Dice", "[95 % interval]", "to first", "p", "M par", "s/step"]]
    for row in contest.contestants:
        mean, gap = row.dice["mean"], differences.get(row.name)
        against = "" if gap is None else signed(gap.mean, 3)
        p = "" if gap is None or gap.p is None else f"{gap.p:.3f}"
        cost = [f"{row.parameters / 1e6:.2f}", f"{row.step_seconds:.2f}"]
        rows.append([row.name, number(mean.mean), interval(mean.low, mean.high), against, p, *cost])
    return "\n".join([*aligned(rows), *contest.notes])


def _cells(row: Contestant, structures: Sequence[str]) -> dict[str, Any]:
    found = [row.dice.get(name) for name in structures]
    return {
        "name": row.name,
        "scores": [(MISSING, "") if one is None else (number(one.mean), interval(one.low, one.high)) for one in found],
        "parameters": f"{row.parameters / 1e6:.2f} M",
        "step": f"{row.step_seconds:.3f} s",
        "steps": str(row.steps),
        "time": duration(row.train_seconds),
        "memory": byte_size(row.memory),
    }


def _difference(row: PairedDifference) -> tuple[str, ...]:
    p = MISSING if row.p is None else f"{row.p:.3f}"
    bounds = interval(row.low, row.high) or MISSING
    return (row.name, row.structure, signed(row.mean), bounds, p, f"{row.wins} / {row.losses}")


def _by_name(reports: Mapping[str, Report]) -> Report:
    """One report whose structures are the contestants, for the plot of their distributions."""
    scores: list[Score] = []
    aggregates: list[Aggregate] = []
    for name, report in reports.items():
        means = [row for row in report.scores if row.structure == "mean" and row.metric == "dice"]
        scores += [row.model_copy(update={"structure": name}) for row in means]
        found = report.aggregate("mean", "dice")
        aggregates += [found.model_copy(update={"structure": name})] if found else []
    return Report(scores=tuple(scores), aggregates=tuple(aggregates))


@dataclass(frozen=True)
class ForestRow:
    """One difference with its interval, in percent of the axis; `side` tells which way the interval lies."""

    name: str
    structure: str
    at: float
    low: float
    high: float
    side: str
    text: str


@dataclass(frozen=True)
class Forest:
    """Differences around zero: ticks, where zero is, and one row a recipe and structure."""

    ticks: list[plots.Tick]
    zero: float
    rows: list[ForestRow]


def forest(differences: Sequence[PairedDifference]) -> Forest | None:
    """The plot of paired differences; `None` without any that has an interval."""
    known = [row for row in differences if row.mean is not None and row.low is not None and row.high is not None]
    if not known:
        return None
    ticks = plots.nice_ticks(
        min(0.0, *(row.low or 0.0 for row in known)), max(0.0, *(row.high or 0.0 for row in known))
    )

    def place(value: float | None) -> float:
        return round(100 * ((value or 0.0) - ticks[0]) / (ticks[-1] - ticks[0]), 2)

    rows = [
        ForestRow(
            row.name,
            row.structure,
            place(row.mean),
            place(row.low),
            place(row.high),
            "better" if (row.low or 0.0) > 0 else "worse" if (row.high or 0.0) < 0 else "even",
            f"{row.name}, {row.structure}: {signed(row.mean)} {interval(row.low, row.high, 4)}",
        )
        for row in known
    ]
    return Forest([plots.Tick(place(tick), f"{tick:+g}" if tick else "0") for tick in ticks], place(0.0), rows)
