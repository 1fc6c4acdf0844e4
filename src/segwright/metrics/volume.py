"""Metrics of size, and whether a structure was found at all.

Example:
    >>> import numpy as np
    >>> reference, prediction = np.array([[[1, 1, 0]]], bool), np.array([[[1, 1, 1]]], bool)
    >>> volume_error(reference, prediction), volume_difference(reference, prediction, spacing=(None, 2.0, 2.0))
    (0.5, 4.0)
"""

from __future__ import annotations

from segwright.metrics.metric import metric
from segwright.metrics.pair import Pair


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
