"""Growing, shrinking and filling masks by physical radius, in two or three dimensions alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segwright.core.box import Box
from segwright.ops.components import enclosing_box, label_components
from segwright.ops.distance import counting_axes, distance_to

#: Distances are single precision; a voxel exactly at the radius belongs to the ball.
_SLACK = 1e-5


def dilate(mask: NDArray[np.bool_], radius: float, *, lengths: Sequence[float] = (1, 1, 1)) -> NDArray[np.bool_]:
    """All voxels no further than `radius` from a mask `(z, y, x)`; both in the unit of `lengths`.

    Example:
        >>> dilate(np.array([[[0, 0, 1, 0]]], bool), 1).astype(int).tolist()
        [[[0, 1, 1, 1]]]
    """
    box = _around(mask, radius, lengths)
    grown = np.zeros_like(mask)
    if box is not None:
        grown[box.slices] = distance_to(mask[box.slices], lengths) <= radius * (1 + _SLACK)
    return grown


def erode(mask: NDArray[np.bool_], radius: float, *, lengths: Sequence[float] = (1, 1, 1)) -> NDArray[np.bool_]:
    """Voxels of a mask `(z, y, x)` whose whole ball of `radius` lies in it; outside the array counts as inside,
    so that a structure cut by the edge of the image is not eaten from there.

    Example:
        >>> erode(np.array([[[0, 1, 1, 1, 1]]], bool), 1).astype(int).tolist()
        [[[0, 0, 1, 1, 1]]]
    """
    box = _around(mask, max(lengths), lengths)
    shrunk = np.zeros_like(mask)
    if box is not None:
        shrunk[box.slices] = distance_to(~mask[box.slices], lengths) > radius * (1 + _SLACK)
    return shrunk


def find_holes(mask: NDArray[np.bool_], *, slicewise: bool = False) -> NDArray[np.bool_]:
    """Voxels outside a mask `(z, y, x)` from which no path of face neighbours leads out of the array.

    Args:
        mask: True inside.
        slicewise: Look for paths within each z slice only, which finds tunnels along z as well.

    Example:
        >>> find_holes(np.array([[[1, 1, 1], [1, 0, 1], [1, 1, 1]]], bool)).astype(int).tolist()
        [[[0, 0, 0], [0, 1, 0], [0, 0, 0]]]
    """
    holes = np.zeros_like(mask)
    box = enclosing_box(mask)
    if box is None:
        return holes
    inside = mask[box.slices]
    if slicewise:
        axes = counting_axes((1, *mask.shape[1:]))
        holes[box.slices] = np.concatenate([_enclosed(plane[None], axes) for plane in inside])
    else:
        holes[box.slices] = _enclosed(inside, counting_axes(mask.shape))
    return holes


def _enclosed(mask: NDArray[np.bool_], axes: Sequence[int]) -> NDArray[np.bool_]:
    """Components of the outside that touch no face of the array along `axes`."""
    components, count = label_components(~mask, connectivity=6)
    enclosed = np.ones(count + 1, dtype=bool)
    enclosed[0] = False
    for axis in axes:
        faces = np.moveaxis(components, axis, 0)
        enclosed[faces[0]] = False
        enclosed[faces[-1]] = False
    found: NDArray[np.bool_] = enclosed[components]
    return found


def _around(mask: NDArray[np.bool_], radius: float, lengths: Sequence[float]) -> Box | None:
    """The box of a mask, grown by the voxels that `radius` spans and cut to the array."""
    box = enclosing_box(mask)
    if box is None:
        return None
    margin = [math.ceil(radius / length) + 1 for length in lengths]
    return box.grow(margin).clip(mask.shape)
