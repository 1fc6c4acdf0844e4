"""Distances between the surfaces of two masks, in mm or voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segwright.metrics.metric import metric
from segwright.metrics.pair import Pair

#: Rounding must not decide whether a distance equals the tolerance.
_SLACK = 1e-6


def quantile(values: NDArray[np.float64], share: float) -> float:
    """Linearly interpolated quantile, as `numpy.quantile` without its overhead.

    Example:
        >>> quantile(np.array([3.0, 1.0, 2.0]), 0.75)
        2.5
    """
    place = (len(values) - 1) * share
    low = int(place)
    high = min(low + 1, len(values) - 1)
    ordered = np.partition(values, (low, high))
    return float(ordered[low] + (place - low) * (ordered[high] - ordered[low]))


@metric("distance", unit="mm", direction="lower", high=None, perfect=0.0)
def hd95(pair: Pair) -> float:
    """The larger of the two directed 95th percentiles of surface distance (Hausdorff distance without outliers)."""
    return max(quantile(distances, 0.95) for distances in pair.distances)


@metric("distance", unit="mm", direction="lower", high=None, perfect=0.0)
def hausdorff(pair: Pair) -> float:
    """The largest surface distance in either direction."""
    return max(float(distances.max()) for distances in pair.distances)


@metric("distance", unit="mm", direction="lower", high=None, perfect=0.0)
def assd(pair: Pair) -> float:
    """Mean distance over the surface elements of both masks (average symmetric surface distance)."""
    ahead, back = pair.distances
    return float(ahead.sum() + back.sum()) / (len(ahead) + len(back))


@metric("overlap")
def surface_dice(pair: Pair) -> float:
    """Share of surface elements of both masks within the tolerance of the other surface (Nikolov et al. 2021)."""
    ahead, back = pair.distances
    limit = pair.tolerance * (1 + _SLACK)
    return float(np.count_nonzero(ahead <= limit) + np.count_nonzero(back <= limit)) / (len(ahead) + len(back))
