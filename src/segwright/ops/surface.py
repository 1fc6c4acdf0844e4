"""Where a structure ends, and how far the ends of two structures lie apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from segwright.ops.components import enclosing_box
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


def surface_distances(
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    *,
    lengths: Sequence[float],
    axes: Sequence[int] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances from each surface element of one mask to the nearest of the other, in both directions.

    Surface elements are border voxels (`border`), distances are between voxel centres. Work and memory grow with
    the joint bounding box, not with the array.

    Args:
        first: `(z, y, x)`.
        second: `(z, y, x)`.
        lengths: Edge lengths of a voxel; the result has their unit.
        axes: As for `border`, decided by the whole scan where the masks are crops of it.

    Returns:
        Distances `first -> second` and `second -> first`, in array order; infinite where the other mask is empty.

    Example:
        >>> a, b = np.zeros((2, 1, 1, 5), bool)
        >>> a[..., 1], b[..., 3] = True, True
        >>> surface_distances(a, b, lengths=(1, 1, 0.5))
        (array([1.]), array([1.]))
    """
    axes = counting_axes(first.shape) if axes is None else tuple(axes)
    box = enclosing_box(first, second)
    if box is None:
        return np.zeros(0), np.zeros(0)
    edges = border(first[box.slices], axes), border(second[box.slices], axes)
    return border_distances(*edges, lengths), border_distances(*edges[::-1], lengths)


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
