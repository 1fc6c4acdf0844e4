"""How well objects were found and kept apart, from the overlap table: matching, AP, accuracy, PQ, VOI and Rand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import UsageError
from segwright.metrics.contingency import Contingency

#: Recalls at which precision is read for AP.
RECALLS = np.linspace(0, 1, 101)
#: Sizes in voxels that part small, medium and large objects in the MitoEM challenge's own script.
BANDS = (5_000, 30_000)

Floats = NDArray[np.float64]


class Matches(NamedTuple):
    """One-to-one matches of reference and predicted objects.

    Attributes:
        rows: Index into `reference_ids` of each match.
        columns: Index into `prediction_ids`.
        iou: Their IoU.
        references, predictions: Objects on either side.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    iou: Floats
    references: int
    predictions: int

    @property
    def hits(self) -> int:
        """True positives."""
        return len(self.rows)

    @property
    def missed(self) -> int:
        """False negatives."""
        return self.references - self.hits

    @property
    def false(self) -> int:
        """False positives."""
        return self.predictions - self.hits


def match(table: Contingency, threshold: float = 0.5) -> Matches:
    """Pairs of objects whose IoU is greater than a threshold, best first.

    Beyond one half no object has two candidates (Kirillov et al. 2019), so that pairs are one to one.

    Args:
        table: Overlaps.
        threshold: From 0.5 on; an IoU that equals it is no match.

    Raises:
        UsageError: A lower threshold.

    Example:
        >>> table = Contingency.from_arrays(np.array([1, 1, 1, 2, 0]), np.array([5, 5, 0, 0, 6]))
        >>> found = match(table, 0.5)
        >>> found.hits, found.missed, found.false, found.iou.tolist()
        (1, 1, 1, [0.6666666666666666])
        >>> match(Contingency.from_arrays(np.array([1, 1]), np.array([5, 6]))).hits
        0
    """
    if threshold < 0.5:
        raise UsageError("Below one half an object may match several.", expected="0.5 or more", got=threshold)
    rows, columns, iou = table.overlaps()
    good = np.flatnonzero(iou > threshold)
    order = good[np.argsort(-iou[good], kind="stable")]
    return Matches(rows[order], columns[order], iou[order], len(table.reference_ids), len(table.prediction_ids))


def accuracy(found: Matches) -> float | None:
    """TP / (TP + FP + FN), by which the MitoEM challenge ranks now (at IoU 0.75); `None` without any object.

    Example:
        >>> accuracy(match(Contingency.from_arrays(np.array([1, 2]), np.array([1, 0]))))
        0.5
    """
    total = found.hits + found.missed + found.false
    return found.hits / total if total else None


def f1(found: Matches) -> float | None:
    """2 TP / (2 TP + FP + FN), also called recognition quality (RQ); `None` without any object."""
    total = 2 * found.hits + found.missed + found.false
    return 2 * found.hits / total if total else None


def precision(found: Matches) -> float | None:
    """Share of predicted objects that match; `None` where none is predicted."""
    return found.hits / found.predictions if found.predictions else None


def recall(found: Matches) -> float | None:
    """Share of reference objects that are matched; `None` where there is none."""
    return found.hits / found.references if found.references else None


def segmentation_quality(found: Matches) -> float | None:
    """Mean IoU of matched objects (SQ); `None` without a match."""
    return float(found.iou.mean()) if found.hits else None


def panoptic_quality(found: Matches) -> float | None:
    """Sum of matched IoU / (TP + FP / 2 + FN / 2) = SQ x RQ (Kirillov et al. 2019); `None` without any object."""
    total = found.hits + 0.5 * (found.missed + found.false)
    return float(found.iou.sum()) / total if total else None


class Ranked(NamedTuple):
    """Predicted objects by falling score, as average precision sees them.

    Attributes:
        hit: Whether each is a true positive.
        references: Reference objects that could be found.
    """

    hit: NDArray[np.bool_]
    references: int


def ranked(
    table: Contingency,
    threshold: float,
    *,
    scores: NDArray[Any] | None = None,
    band: tuple[float, float] = (0, np.inf),
) -> Ranked:
    """Judge predicted objects as the public 3-D AP tool of MitoEM does (mAP_3Dvolume, Wei et al. 2020).

    A prediction is right if its best IoU with a reference object within the size band is the threshold or more (`match`
    wants more than the threshold). One that is not right and lies outside the band itself is left aside.

    Args:
        table: Overlaps; drop crumbs of the reference before, if wanted.
        threshold: IoU.
        scores: Of each predicted object in `prediction_ids`' order; their voxel counts by default, as in the tool.
        band: Reference sizes in voxels `(above, up to)`.
    """
    rows, columns, iou = table.overlaps()
    inside = (table.reference_sizes > band[0]) & (table.reference_sizes <= band[1])
    best = np.zeros(len(table.prediction_ids))
    np.maximum.at(best, columns, np.where(inside[rows], iou, 0.0))
    sizes = table.prediction_sizes
    hit = best >= threshold
    kept = hit | ((sizes > band[0]) & (sizes <= band[1]))
    worth = sizes if scores is None else np.asarray(scores)
    order = np.argsort(-worth.astype(np.float64), kind="stable")
    return Ranked(hit[order][kept[order]], int(inside.sum()))


def average_precision(ranking: Ranked, counts: NDArray[Any] | None = None) -> float | None:
    """Mean over 101 recalls of the best precision at that recall or beyond; 0 beyond the last recall.

    Args:
        ranking: From `ranked`.
        counts: How often each predicted object counts (for resampling); the number of references stays.

    Returns:
        `None` where there is no reference object.

    Example:
        >>> round(average_precision(Ranked(np.array([True, False, True]), 2)), 4)
        0.835
    """
    if not ranking.references:
        return None
    if not len(ranking.hit):
        return 0.0
    weight = np.ones(len(ranking.hit)) if counts is None else counts
    right = np.cumsum(ranking.hit * weight)
    share = right / np.maximum(np.cumsum(weight), 1e-12)
    best = np.maximum.accumulate(share[::-1])[::-1]
    place = np.searchsorted(right / ranking.references, RECALLS - 1e-12, side="left")
    return float(np.where(place < len(best), best[np.minimum(place, len(best) - 1)], 0.0).mean())


def mean_average_precision(
    table: Contingency, thresholds: Sequence[float] = tuple(np.arange(10) / 20 + 0.5)
) -> float | None:
    """AP averaged over IoU thresholds from 0.50 to 0.95; `None` where there is no reference object."""
    values = [average_precision(ranked(table, threshold)) for threshold in thresholds]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def variation_of_information(table: Contingency) -> tuple[float, float] | None:
    """Bits lost to splits, H(prediction | reference), and to merges, H(reference | prediction) (Meila 2007).

    Voxels that the reference leaves to the background do not count. `None` where nothing counts.

    Example:
        >>> variation_of_information(Contingency.from_arrays(np.array([1, 1, 1, 1]), np.array([1, 1, 2, 2])))
        (1.0, 0.0)
    """
    joint, first, second = _distributions(table)
    if not len(joint):
        return None
    total = joint.sum()
    together, one, other = (_entropy(counts / total) for counts in (joint, first, second))
    return max(0.0, together - one), max(0.0, together - other)


def adapted_rand_error(table: Contingency) -> float | None:
    """1 - F score of pairs of voxels that are rightly together, reference background left out (Arganda-Carreras 2015).

    Example:
        >>> adapted_rand_error(Contingency.from_arrays(np.array([1, 1, 2, 2]), np.array([3, 3, 4, 4])))
        0.0
    """
    joint, first, second = _distributions(table)
    total = joint.sum()
    if not len(joint):
        return None
    both, one, other = (float((counts.astype(np.float64) ** 2).sum() - total) for counts in (joint, first, second))
    return 1.0 - 2 * both / (one + other) if one + other > 0 else 0.0


def _distributions(table: Contingency) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Voxels of each pair, reference and predicted id within the reference's objects."""
    inside = table.pairs[:, 0] != 0
    pairs, joint = table.pairs[inside], table.counts[inside]
    sides = []
    for side in (0, 1):
        _, index = np.unique(pairs[:, side], return_inverse=True)
        sides.append(np.bincount(index, joint).astype(np.int64))
    return joint, sides[0], sides[1]


def _entropy(shares: Floats) -> float:
    return float(-(shares * np.log2(shares)).sum())
