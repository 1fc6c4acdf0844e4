"""Scores of pairs of masks: by structure, and by object where structures are instances."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import SegwrightError, UsageError
from segwright.core.geometry import Spacing
from segwright.core.labels import LabelSpace
from segwright.core.report import Aggregate, Report, Score
from segwright.core.words import agree, amount, listed
from segwright.evaluation.aggregate import MEAN, aggregate, range_of, structure_means
from segwright.evaluation.interval import interval
from segwright.metrics import usual_metrics
from segwright.metrics.contingency import Contingency
from segwright.metrics.metric import VOXEL_NOTE
from segwright.metrics.objects import Ranked, average_precision, match
from segwright.metrics.pair import NOTES, PIXELS, SMALL, USUAL
from segwright.metrics.table import load_metric, score_case, scored_names

#: Notes that begin so mark cases that could not be scored at all.
ERROR = "error: "

EMPTY_RULE = (
    "Empty masks: where reference and prediction are both empty, overlap and distances are undefined; where one is "
    "empty, overlap is 0 and distances are undefined. Undefined values are counted as missing beside each mean; "
    "'presence' tells how often a structure was rightly found or left out."
)


@dataclass(frozen=True)
class LabelPair:
    """A case to score.

    Attributes:
        case: Case id.
        group: What is resampled together (patient).
        spacing: mm a voxel; `None` where unknown.
        reference: Canonical labels `(P, z, y, x)`.
        prediction: Canonical labels on the same grid.
        fold: The fold that predicted the case.
        error: Why the case cannot be scored; then the arrays are `None`.
    """

    case: str
    group: str
    spacing: Spacing = (None, None, None)
    reference: NDArray[Any] | None = None
    prediction: NDArray[Any] | None = None
    fold: int | None = None
    error: str = ""


#: Cases or scores named in one sentence.
LISTED = 5
#: Below so many groups an interval is told to miss rare failures.
FEW = 50


@dataclass(frozen=True)
class Judge:
    """How pairs are scored.

    Attributes:
        space: Meaning of the labels.
        metrics: Rows of the metrics tables; none for the usual ones.
        tolerance: Of surface Dice, in mm (voxels where spacing is unknown); the usual one of each pair if not given.
        tables: Overlaps of objects of the cases scored so far.
    """

    space: LabelSpace
    metrics: tuple[str, ...] = ()
    tolerance: float | None = None
    tables: dict[str, Contingency] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        for name in self.metrics:
            load_metric(name)
        if self.tolerance is not None and self.tolerance <= 0:
            raise UsageError("The surface Dice tolerance must be positive.", got=self.tolerance)

    @property
    def names(self) -> tuple[str, ...]:
        """Rows of the metrics tables that are scored."""
        return self.metrics or usual_metrics(instances=self.space.instances)

    def score(self, pair: LabelPair) -> list[Score]:
        """Rows of one case, those of the mean over structures last; missing values throughout if it has an error."""
        rows = self._rows(pair)
        return [*rows, *structure_means(rows, self.space.names)]

    def _rows(self, pair: LabelPair) -> list[Score]:
        head: dict[str, Any] = {"case": pair.case, "group": pair.group, "fold": pair.fold}
        if pair.error or pair.reference is None or pair.prediction is None:
            note = ERROR + (pair.error or "no labels")
            names = [(s, m) for s in scored_names(self.space) for m in self.names]
            return [Score(**head, structure=s, metric=m, value=None, note=note) for s, m in names]
        try:
            found = score_case(
                self.space,
                pair.reference,
                pair.prediction,
                spacing=pair.spacing,
                metrics=self.names,
                tolerance=self.tolerance,
            )
            if self.space.instances:
                self.tables[pair.case] = Contingency.from_arrays(pair.reference, np.maximum(pair.prediction, 0))
        except SegwrightError as error:
            return self._rows(LabelPair(pair.case, pair.group, fold=pair.fold, error=str(error)))
        return [Score(**head, **row._asdict()) for row in found]

    def report(self, scores: Iterable[Score], *, title: str = "", notes: Sequence[str] = ()) -> Report:
        """The report of rows made by `score`, with aggregates and the rules in words."""
        rows = tuple(scores)
        groups = {row.case: row.group for row in rows}
        means = (*aggregate(rows), *pooled(self.tables, groups))
        scored = len({row.group for row in rows if row.value is not None})
        told = (*notes, *self._rules(rows), *(tell_intervals(means, scored) if scored else ()), *tell_missing(rows))
        return Report(title=title, scores=rows, aggregates=means, notes=told)

    def _rules(self, rows: Sequence[Score]) -> list[str]:
        rules = [EMPTY_RULE]
        if self.tables:
            rules.append(RULE)
        if "surface_dice" in self.names:
            reach = _tolerance(rows, self.tolerance)
            rules.append(f"Surface Dice counts border voxels within {reach} of the other surface.")
        return rules


def evaluate_pairs(
    pairs: Iterable[LabelPair],
    space: LabelSpace,
    *,
    metrics: Sequence[str] = (),
    tolerance: float | None = None,
    title: str = "",
) -> Report:
    """Score cases one after the other, so that an iterator which loads them holds one pair in memory.

    Args:
        pairs: Cases; one with `error` set becomes rows of missing values.
        space: Meaning of the labels; its regions are scored too.
        metrics: Rows of the metrics tables; none for the usual ones.
        tolerance: Of surface Dice, in mm (voxels where spacing is unknown).
        title: Of the report.

    Raises:
        UsageError: A case id comes twice, or no case at all; an unknown metric.
    """
    judge = Judge(space, tuple(metrics), tolerance)
    rows: list[Score] = []
    seen: set[str] = set()
    for pair in pairs:
        if pair.case in seen:
            raise UsageError(f"Case {pair.case!r} comes twice.", hint="Give each case an id of its own.")
        seen.add(pair.case)
        rows += judge.score(pair)
    if not rows:
        raise UsageError("There is nothing to evaluate.", expected="at least one case and one structure")
    return judge.report(rows, title=title)


def tell_intervals(means: Sequence[Aggregate], groups: int) -> list[str]:
    """Sentences on what intervals hold, and on what they cannot."""
    if groups < 2:
        return ["All cases are of one group (patient), so that no mean has an interval."]
    told = [
        f"Intervals: 95 % t intervals of the mean by group, of {groups} groups (patients), within each score's range."
    ]
    if groups < FEW:
        told.append(
            f"A failure that is too rare to be among {groups} groups is in no interval: for such, each is too narrow."
        )
    flat = [f"{row.metric} of {row.structure}" for row in means if row.low is not None and row.low == row.high]
    if flat:
        told.append(f"All groups agree in {listed(flat, LISTED)}: an interval without width promises nothing.")
    return told


def tell_missing(rows: Sequence[Score]) -> list[str]:
    """Sentences on cases with errors, masks that were empty, and units that differ from the usual."""
    notes = []
    failed = {row.case: row.note.removeprefix(ERROR) for row in rows if row.note.startswith(ERROR)}
    cases = {row.case for row in rows}
    if failed:
        whose = f"{len(failed)} of {amount(len(cases), 'case')}"
        notes.append(f"{whose} could not be scored and are in no mean. {_by_reason(failed)}")
    emptied = {(row.case, row.structure, row.note) for row in rows if row.note in NOTES and row.structure != MEAN}
    for why, count in sorted(Counter(note for *_, note in emptied).items()):
        notes.append(f"{why.capitalize()} for {amount(count, 'pair of case and structure')}.")
    known, unknown = _by_unit(rows)
    if unknown and not known:
        notes.append("Lengths are in voxels, as no scan with a length states its spacing.")
    elif unknown:
        whose = f"{len(unknown)} of {amount(len(known | unknown), 'case')}"
        notes.append(f"Lengths of {whose} are in voxels, as their spacing is unknown; those of the others are in mm.")
    return notes


def _by_unit(rows: Sequence[Score]) -> tuple[set[str], set[str]]:
    """Cases with a length in mm, and cases with one in voxels; a case without any length is in neither."""
    units = {metric: load_metric(metric).unit for metric in {row.metric for row in rows}}
    measured = [row for row in rows if row.value is not None and row.structure != MEAN and units[row.metric]]
    unknown = {row.case for row in measured if row.note == VOXEL_NOTE}
    return {row.case for row in measured} - unknown, unknown


def _tolerance(rows: Sequence[Score], stated: float | None) -> str:
    """The tolerance of surface Dice with its unit, which is voxels where the spacing is unknown."""
    known, unknown = _by_unit(rows)
    reach = USUAL if stated is None else stated
    voxels = f"{reach:g} {agree(reach == 1, 'voxel', 'voxels')}"
    if not unknown:
        return f"{PIXELS} pixels" if stated is None and _microscopic(rows) else f"{reach:g} mm"
    return f"{reach:g} mm ({voxels} where the spacing is unknown)" if known else voxels


def _microscopic(rows: Sequence[Score]) -> bool:
    """Whether pixels are below those for which 1 mm is usual: distances between voxels' borders are no smaller."""
    return any(row.metric == "hd95" and 0 < (row.value or 0) < SMALL for row in rows if row.note != VOXEL_NOTE)


def _by_reason(failed: Mapping[str, str]) -> str:
    """Each reason once with the cases it struck; of many cases some, as their rows name them all."""
    reasons: dict[str, list[str]] = {}
    for case, why in sorted(failed.items()):
        reasons.setdefault(why.rstrip("."), []).append(case)
    told = []
    for why, cases in sorted(reasons.items(), key=lambda item: -len(item[1])):
        more = f" and {len(cases) - LISTED} more" if len(cases) > LISTED else ""
        told.append(f"{', '.join(cases[:LISTED])}{more}: {why}")
    return "; ".join(told) + "."


RULE = "Rows of all objects pool the objects of every case; their intervals come of leaving out one group at a time."

Counts = NDArray[np.int64]


def pooled(tables: Mapping[str, Contingency], groups: Mapping[str, str]) -> Iterator[Aggregate]:
    """Aggregates over all objects for accuracy, F1 and AP at IoU 0.5 and 0.75, and panoptic quality.

    Args:
        tables: Overlaps of each case.
        groups: The group (patient) of each case.
    """
    for threshold in (0.5, 0.75):
        units = _Units(tables, groups, threshold)
        if not units.total:
            continue
        suffix = int(threshold * 100)
        measures: dict[str, Callable[[Counts], float]] = {
            f"ap_{suffix}": units.ap,
            f"accuracy_{suffix}": units.accuracy,
            f"f1_{suffix}": units.f1,
        }
        if threshold == 0.5:
            measures["pq"] = units.pq
        for metric, measure in measures.items():
            yield _row(metric, measure, units, len(tables))


def _row(metric: str, measure: Callable[[Counts], float], units: _Units, cases: int) -> Aggregate:
    shares = np.bincount(units.owners) / units.total
    shares = shares[shares > 0]
    whole = measure(np.ones(units.total, np.int64))
    low, high = np.full((2, 1), np.nan)
    if len(shares) > 1:
        without = np.array([measure((units.owners != one).astype(np.int64)) for one in np.unique(units.owners)])
        low, high = interval(np.array([whole]), without[:, None], shares[:, None], [range_of(metric)])
    return Aggregate(
        structure="all objects",
        metric=metric,
        mean=whole,
        median=None,
        low=None if math.isnan(low[0]) else float(low[0]),
        high=None if math.isnan(high[0]) else float(high[0]),
        std=None,
        cases=cases,
        groups=len(shares),
        missing=0,
    )


class _Units:
    """Matched pairs, missed and false objects of all cases, in this order; counts say how often each counts.

    Attributes:
        owners: Number of the group of each.
    """

    def __init__(self, tables: Mapping[str, Contingency], groups: Mapping[str, str], threshold: float) -> None:
        found = [match(table, threshold) for table in tables.values()]
        false_sizes = [np.delete(t.prediction_sizes, m.columns) for t, m in zip(tables.values(), found, strict=True)]
        numbers = {name: index for index, name in enumerate(dict.fromkeys(groups[case] for case in tables))}
        owner = [numbers[groups[case]] for case in tables]
        counts = [[m.hits for m in found], [m.missed for m in found], [len(sizes) for sizes in false_sizes]]
        self.pairs, self.missed, self.false = map(sum, counts)
        self.total = self.pairs + self.missed + self.false
        self.owners = np.concatenate([np.repeat(owner, number) for number in counts]).astype(np.int64)
        self.iou = np.concatenate([np.zeros(0), *(m.iou for m in found)])
        pair_sizes = (t.prediction_sizes[m.columns] for t, m in zip(tables.values(), found, strict=True))
        sizes = np.concatenate([np.zeros(0), *pair_sizes, *false_sizes])
        self.order = np.argsort(-sizes, kind="stable")
        self.hit = (np.arange(len(sizes)) < self.pairs)[self.order]

    def _counts(self, draw: Counts) -> tuple[float, float, float]:
        """Hits, missed and false objects, each as often as it counts."""
        cut = self.pairs + self.missed
        return float(draw[: self.pairs].sum()), float(draw[self.pairs : cut].sum()), float(draw[cut:].sum())

    def accuracy(self, draw: Counts) -> float:
        hits, missed, false = self._counts(draw)
        return hits / (hits + missed + false)

    def f1(self, draw: Counts) -> float:
        hits, missed, false = self._counts(draw)
        return 2 * hits / (2 * hits + missed + false)

    def pq(self, draw: Counts) -> float:
        hits, missed, false = self._counts(draw)
        return float((draw[: self.pairs] * self.iou).sum()) / (hits + 0.5 * (missed + false))

    def ap(self, draw: Counts) -> float:
        hits, missed, _ = self._counts(draw)
        predicted = np.concatenate([draw[: self.pairs], draw[self.pairs + self.missed :]])[self.order]
        value = average_precision(Ranked(self.hit, int(hits + missed)), predicted)
        return float("nan") if value is None else value
