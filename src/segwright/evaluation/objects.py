"""All objects of all cases in one pool, with intervals by object: what a handful of volumes can say at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from segwright.core.report import Aggregate
from segwright.core.seed import derive
from segwright.metrics.contingency import Contingency
from segwright.metrics.objects import Ranked, average_precision, match

#: Draws of the bootstrap.
RESAMPLES = 1000
RULE = (
    "Rows of all objects pool the objects of every case; their intervals are 95 % bootstraps over objects (matched "
    "pairs, missed and false ones drawn with replacement), so they do not tell how volumes differ."
)

Counts = NDArray[np.int64]


def pooled(tables: Mapping[str, Contingency], *, seed: int = 0) -> Iterator[Aggregate]:
    """Aggregates over all objects for accuracy, F1 and AP at IoU 0.5 and 0.75, and panoptic quality.

    Args:
        tables: Overlaps of each case.
        seed: Of the resampling.
    """
    for threshold in (0.5, 0.75):
        units = _Units(tables, threshold)
        if not units.total:
            continue
        draws = derive(seed, "objects", int(threshold * 100)).multinomial(
            units.total, np.full(units.total, 1 / units.total), size=RESAMPLES
        )
        suffix = int(threshold * 100)
        measures: dict[str, Callable[[Counts], float]] = {
            f"ap_{suffix}": units.ap,
            f"accuracy_{suffix}": units.accuracy,
            f"f1_{suffix}": units.f1,
        }
        if threshold == 0.5:
            measures["pq"] = units.pq
        for metric, measure in measures.items():
            yield _row(metric, measure, draws, len(tables))


def _row(metric: str, measure: Callable[[Counts], float], draws: Counts, cases: int) -> Aggregate:
    values = np.array([measure(draw) for draw in draws])
    low, high = np.nanpercentile(values, [2.5, 97.5])
    whole = measure(np.ones(draws.shape[1], np.int64))
    return Aggregate(
        structure="all objects",
        metric=metric,
        mean=whole,
        median=None,
        low=float(low),
        high=float(high),
        std=None,
        cases=cases,
        groups=cases,
        missing=0,
    )


class _Units:
    """Matched pairs, missed and false objects of all cases, in this order; draws say how often each counts."""

    def __init__(self, tables: Mapping[str, Contingency], threshold: float) -> None:
        iou, pair_sizes, false_sizes, missed = [], [], [], 0
        for table in tables.values():
            found = match(table, threshold)
            iou.append(found.iou)
            pair_sizes.append(table.prediction_sizes[found.columns])
            false_sizes.append(np.delete(table.prediction_sizes, found.columns))
            missed += found.missed
        self.iou = np.concatenate([np.zeros(0), *iou])
        self.pairs, self.missed = len(self.iou), missed
        sizes = np.concatenate([np.zeros(0), *pair_sizes, *false_sizes])
        self.false = len(sizes) - self.pairs
        self.total = self.pairs + self.missed + self.false
        self.order = np.argsort(-sizes, kind="stable")
        self.hit = (np.arange(len(sizes)) < self.pairs)[self.order]

    def _counts(self, draw: Counts) -> tuple[float, float, float]:
        """Hits, missed and false objects of a draw."""
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
