"""Distances to a mask and between surfaces, in units of the grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from segwright.core.geometry import Spacing


def step_lengths(shape: Sequence[int], spacing: Spacing | None) -> tuple[tuple[float, float, float], bool]:
    """Edge lengths of a voxel `(z, y, x)` to measure with, and whether they are millimetres.

    If the spacing of an axis that counts is unknown, all lengths are 1 and the measure is voxels: lengths of
    different units are never mixed. The z axis of a single plane does not count.

    Example:
        >>> step_lengths((1, 9, 9), (None, 0.5, 0.5)), step_lengths((9, 9, 9), (None, 0.5, 0.5))
        (((1.0, 0.5, 0.5), True), ((1.0, 1.0, 1.0), False))
    """
    z, y, x = spacing or (None, None, None)
    if y is None or x is None or (z is None and shape[0] > 1):
        return (1.0, 1.0, 1.0), False
    return (1.0 if z is None else float(z), float(y), float(x)), True


def distance_to(mask: NDArray[np.bool_], lengths: Sequence[float]) -> NDArray[np.float32]:
    """Distance from each voxel `(z, y, x)` to the nearest true voxel centre, in the unit of `lengths`.

    Infinite everywhere if the mask is empty. A single plane is measured in the plane.

    Example:
        >>> distance_to(np.array([[[1, 0, 0]]], bool), (1.0, 1.0, 0.5)).tolist()
        [[[0.0, 0.5, 1.0]]]
    """
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    axes = tuple(axis for axis in range(mask.ndim) if mask.shape[axis] > 1)
    if not axes:
        return np.zeros(mask.shape, np.float32)
    flat = np.ascontiguousarray(~mask.reshape([mask.shape[axis] for axis in axes]))
    anisotropy = tuple(float(lengths[axis]) for axis in axes)
    far = edt.edt(flat, anisotropy=anisotropy if len(axes) > 1 else anisotropy[0], black_border=False, parallel=1)
    return far.reshape(mask.shape)


def plane_depths(ids: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """How deep each voxel of `(z, y, x)` lies in its object, in voxels of its plane; negative outside all objects.

    A voxel at an edge has depth 1. The array's own border is no edge. Outside, the number is the distance to the
    nearest object in the plane, or minus infinity.

    Example:
        >>> plane_depths(np.array([[[0, 1, 1, 1, 2, 2]]])).tolist()
        [[[-1.0, 1.0, 2.0, 1.0, 1.0, 2.0]]]
    """
    depths = np.empty(ids.shape, np.float32)
    for z, plane in enumerate(ids):
        outside = plane == 0
        depths[z] = -np.inf if outside.all() else _plane_edt(plane.astype(np.uint32))
        if outside.any() and not outside.all():
            depths[z][outside] = -_plane_edt(outside)[outside]
    return depths


def _plane_edt(ids: NDArray[Any]) -> NDArray[np.float32]:
    """Distance of each voxel of a plane to the nearest voxel of another id; 0 at id 0; the border is no edge."""
    far = edt.edt(np.ascontiguousarray(ids), black_border=False, parallel=1)
    return np.where(np.isfinite(far), far, float(sum(ids.shape))).astype(np.float32)


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
