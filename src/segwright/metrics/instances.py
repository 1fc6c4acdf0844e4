"""Scores of instances: panoptic quality, F1, Rand and information, from one table of overlaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.labels import LabelSpace
from segwright.metrics import METRICS, OBJECT_METRICS
from segwright.metrics.contingency import Contingency
from segwright.metrics.metric import Direction, Metric
from segwright.metrics.objects import (
    BANDS,
    Matches,
    accuracy,
    adapted_rand_error,
    average_precision,
    f1,
    match,
    mean_average_precision,
    panoptic_quality,
    precision,
    ranked,
    recall,
    segmentation_quality,
    variation_of_information,
)
from segwright.metrics.pair import Kind

#: Why an object metric has no value.
NO_OBJECT = "no object"


class ObjectMetric(Metric):
    """A metric of two sets of objects; call `of_objects` on their overlap table."""

    def of_objects(self, table: Contingency) -> tuple[float | None, str]:
        """Value, `None` with a note where there is no object to judge."""
        value = self.measure(table)  # type: ignore[arg-type]
        return value, NO_OBJECT if value is None else ""


def _row(
    name: str,
    about: str,
    measure: Callable[[Contingency], float | None],
    *,
    direction: Direction = "higher",
    unit: str = "",
) -> ObjectMetric:
    kind: Kind = "overlap"
    high = 1.0 if unit == "" else None
    perfect = 1.0 if direction == "higher" else 0.0
    return ObjectMetric(name, about, measure, kind, unit, direction, 0.0, high, False, perfect)  # type: ignore[arg-type]


def _matched(measure: Callable[[Matches], float | None], threshold: float) -> Callable[[Contingency], float | None]:
    return lambda table: measure(match(table, threshold))


def _voi(side: int) -> Callable[[Contingency], float | None]:
    def measure(table: Contingency) -> float | None:
        both = variation_of_information(table)
        return None if both is None else both[side]

    return measure


ap_50 = _row("ap_50", "Average precision of objects at IoU ≥ 0.5, larger predictions first.",
             lambda table: average_precision(ranked(table, 0.5)))  # fmt: skip
ap_75 = _row("ap_75", "Average precision of objects at IoU ≥ 0.75, larger predictions first (3-D AP-75 of MitoEM).",
             lambda table: average_precision(ranked(table, 0.75)))  # fmt: skip
ap = _row("ap", "Average precision of objects, mean over IoU 0.50 to 0.95.", mean_average_precision)
accuracy_50 = _row("accuracy_50", "TP / (TP + FP + FN) of objects at IoU > 0.5.", _matched(accuracy, 0.5))
accuracy_75 = _row("accuracy_75", "TP / (TP + FP + FN) of objects at IoU > 0.75.", _matched(accuracy, 0.75))
f1_50 = _row("f1_50", "F1 of objects at IoU > 0.5 (recognition quality).", _matched(f1, 0.5))
f1_75 = _row("f1_75", "F1 of objects at IoU > 0.75.", _matched(f1, 0.75))
object_precision = _row(
    "object_precision", "Share of predicted objects that match at IoU > 0.5.", _matched(precision, 0.5)
)
object_recall = _row("object_recall", "Share of reference objects matched at IoU > 0.5.", _matched(recall, 0.5))
sq = _row("sq", "Mean IoU of objects matched at IoU > 0.5 (segmentation quality).", _matched(segmentation_quality, 0.5))
pq = _row("pq", "Panoptic quality at IoU > 0.5: SQ times RQ.", _matched(panoptic_quality, 0.5))
voi_split = _row("voi_split", "Information lost to split objects, in bits.", _voi(0), direction="lower", unit="bits")
voi_merge = _row("voi_merge", "Information lost to merged objects, in bits.", _voi(1), direction="lower", unit="bits")
rand_error = _row(
    "rand_error", "Adapted Rand error, reference background left out.", adapted_rand_error, direction="lower"
)


def load_object_metric(name: str) -> ObjectMetric:
    """The object metric of a row.

    Raises:
        UnknownNameError: No row has that name.
    """
    row: ObjectMetric = OBJECT_METRICS.load(name)
    return row


def score_objects(
    space: LabelSpace,
    reference: NDArray[Any],
    prediction: NDArray[Any],
    metrics: Sequence[str],
    *,
    table: Contingency | None = None,
    bands: Sequence[float] = BANDS,
) -> Iterator[tuple[str, str, float | None, str]]:
    """Object metrics of one case: structure, metric, value, note; AP-75 and recall for each size band as well.

    Args:
        space: Of kind `instances`.
        reference: Ids `(1, z, y, x)`; -1 is ignored.
        prediction: Ids of the same shape.
        metrics: Names; those of masks are left aside.
        table: Their overlaps, if known.
        bands: Voxels that part small, medium and large objects.
    """
    chosen = [load_object_metric(name) for name in metrics if name not in METRICS]
    if not chosen:
        return
    known = Contingency.from_arrays(reference, np.maximum(prediction, 0)) if table is None else table
    name = space.names[0]
    for metric in chosen:
        yield name, metric.name, *metric.of_objects(known)
    if "ap_75" in metrics:
        yield from _by_size(known, bands)


def _by_size(table: Contingency, bands: Sequence[float]) -> Iterator[tuple[str, str, float | None, str]]:
    edges = (0.0, *bands, np.inf)
    found = match(table, 0.75)
    matched = np.zeros(len(table.reference_ids), bool)
    matched[found.rows] = True
    for word, low, high in zip(("small", "medium", "large"), edges[:-1], edges[1:], strict=True):
        inside = (table.reference_sizes > low) & (table.reference_sizes <= high)
        value = average_precision(ranked(table, 0.75, band=(low, high)))
        note = "" if inside.any() else NO_OBJECT
        yield f"{word} objects", "ap_75", value, note
        share = float(matched[inside].mean()) if inside.any() else None
        yield f"{word} objects", "recall_75", share, note


recall_75 = _row("recall_75", "Share of reference objects matched at IoU > 0.75.", _matched(recall, 0.75))
