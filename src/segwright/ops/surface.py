"""Where a structure ends, and how far the ends of two structures lie apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from segwright.ops.distance import distance_to

#: A distance map costs about as much as a tree over this many border voxels a voxel of the box, plus the voxels that
#: its start-up is worth (both measured); only boxes full of speckle are that dense.
_DENSE = 8
_START = 10_000


def border(mask: NDArray[np.bool_], axes: Sequence[int] | None = None) -> NDArray[np.bool_]:
    """Surface elements: true voxels with a face neighbour that is false or outside the array.

    Args:
        mask: `(z, y, x)`.
        axes: Axes along which neighbours count; by default those longer than 1, so that a plane has an outline.

    Example:
        >>> border(np.ones((1, 3, 3), bool)).astype(int).tolist()
        [[[1, 1, 1], [1, 0, 1], [1, 1, 1]]]
    """
    inner = mask.copy()
    for axis in counting_axes(mask.shape) if axes is None else axes:
        lead: tuple[slice, ...] = (slice(None),) * axis
        ahead, back = (*lead, slice(1, None)), (*lead, slice(None, -1))
        inner[ahead] &= mask[back]
        inner[back] &= mask[ahead]
        inner[(*lead, slice(0, 1))] = inner[(*lead, slice(-1, None))] = False
    return mask & ~inner


def counting_axes(shape: Sequence[int]) -> tuple[int, ...]:
    """Axes longer than 1; the last one if there is none.

    Example:
        >>> counting_axes((1, 5, 5)), counting_axes((1, 1, 1))
        ((1, 2), (2,))
    """
    return tuple(axis for axis, length in enumerate(shape) if length > 1) or (len(shape) - 1,)


def border_distances(
    origin: NDArray[np.bool_], target: NDArray[np.bool_], lengths: Sequence[float]
) -> NDArray[np.float64]:
    """Distance from each true voxel of `origin` to the nearest true voxel of `target` `(z, y, x)`, in array order.

    Infinite where `target` is empty. A tree over the target's voxels or a distance map of the box, whichever is
    cheaper for the share of true voxels.
    """
    start, aim = np.count_nonzero(origin), np.count_nonzero(target)
    if not start or not aim:
        return np.full(start, np.inf)
    if origin.size + _START < _DENSE * (start + aim):
        return distance_to(target, lengths)[origin].astype(np.float64)
    distances = np.zeros(start)
    apart = ~target[origin]  # voxels that both borders share are 0 apart and need no search
    scale = np.asarray(lengths, dtype=np.float64)
    tree = cKDTree(np.argwhere(target) * scale, balanced_tree=False, compact_nodes=False)
    distances[apart] = tree.query(np.argwhere(origin & ~target) * scale)[0]
    return distances
