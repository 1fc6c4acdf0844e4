"""Metrics that count shared voxels.

Example:
    >>> import numpy as np
    >>> reference, prediction = np.array([[[1, 1, 0]]], bool), np.array([[[0, 1, 1]]], bool)
    >>> dice(reference, prediction), round(iou(reference, prediction), 3), precision(reference, prediction)
    (0.5, 0.333, 0.5)
"""

from __future__ import annotations

from segwright.metrics.metric import metric
from segwright.metrics.pair import Pair


@metric("overlap")
def dice(pair: Pair) -> float:
    """Twice the shared voxels over the voxels of both masks (Dice 1945)."""
    return 2 * pair.common_voxels / (pair.reference_voxels + pair.prediction_voxels)


@metric("overlap")
def iou(pair: Pair) -> float:
    """Shared voxels over the voxels of the union (Jaccard)."""
    return pair.common_voxels / (pair.reference_voxels + pair.prediction_voxels - pair.common_voxels)


@metric("overlap", symmetric=False)
def precision(pair: Pair) -> float:
    """Share of predicted voxels that are in the reference."""
    return pair.common_voxels / pair.prediction_voxels


@metric("overlap", symmetric=False)
def recall(pair: Pair) -> float:
    """Share of reference voxels that were predicted (sensitivity)."""
    return pair.common_voxels / pair.reference_voxels
