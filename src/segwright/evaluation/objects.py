"""All objects of all cases in one pool, with intervals by group: what a handful of volumes can say at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from segwright.core.report import Aggregate
from segwright.evaluation.aggregate import range_of
from segwright.evaluation.interval import interval
from segwright.metrics.contingency import Contingency
from segwright.metrics.objects import Ranked, average_precision, match

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
