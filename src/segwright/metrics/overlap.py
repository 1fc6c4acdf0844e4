"""Overlap and volume of two masks, from their counts."""

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


@metric("relative", direction="zero", low=-1.0, high=None, symmetric=False, perfect=0.0)
def volume_error(pair: Pair) -> float:
    """Predicted minus reference volume, over the reference volume; negative where too little was predicted."""
    return (pair.prediction_voxels - pair.reference_voxels) / pair.reference_voxels


@metric("always", unit="mm³", direction="zero", low=None, high=None, symmetric=False, perfect=0.0)
def volume_difference(pair: Pair) -> float:
    """Predicted minus reference volume in mm³ (mm² in a plane, voxels where spacing is unknown)."""
    return (pair.prediction_voxels - pair.reference_voxels) * pair.voxel_size


@metric("always")
def presence(pair: Pair) -> float:
    """1 if the structure was found where it is or left out where it is not, else 0."""
    return float(bool(pair.reference_voxels) == bool(pair.prediction_voxels))
