"""Puts a label (or a further channel) on the grid of its image by turning axes; never by guessing or resampling."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import GeometryError
from segwright.core.geometry import Geometry
from segwright.core.words import size

#: Grids further apart than this (in voxels) are different grids.
TOLERANCE = 1e-2


def has_place(geometry: Geometry) -> bool:
    """Whether a grid says where it is: every axis that counts has a physical spacing."""
    return all(geometry.known[1:] if geometry.shape[0] == 1 else geometry.known)


def onto_grid(array: NDArray[Any], geometry: Geometry, like: Geometry, *, where: str) -> NDArray[Any]:
    """`array` `(z, y, x)` on `geometry` as it lies on the grid `like`.

    Where one of the two has no place in the world, equal shapes are taken as they lie.

    Raises:
        GeometryError: Shapes differ, or the grids agree under no order and direction of axes.

    Example:
        >>> like = Geometry.from_spacing((1, 2, 3), (1.0, 1.0, 1.0))
        >>> onto_grid(np.arange(6).reshape(1, 2, 3), like.flip((2,)), like, where="")[0, 0].tolist()
        [2, 1, 0]
    """
    if not (has_place(geometry) and has_place(like)):
        if geometry.shape == like.shape:
            return array
        raise _shapes_differ(geometry, like, where)
    if geometry.aligned_with(like, TOLERANCE):
        return array
    step = turn_between(geometry, like)
    if step is not None:
        order, flips = step
        if geometry.permute(order).flip(flips).aligned_with(like, TOLERANCE):
            return np.flip(array.transpose(order), flips)
    refuse_other_shape(geometry, like, where=where)
    raise _places_differ(geometry, like, where)


def within(geometry: Geometry, like: Geometry) -> tuple[tuple[int, ...], tuple[int, ...], NDArray[np.int64]] | None:
    """How a part of the grid `like` lies in it: order and flips of axes, and the index of its first voxel.

    The part may reach beyond; `None` where voxels do not coincide.
    """
    step = turn_between(geometry, like)
    if step is None:
        return None
    order, flips = step
    turned = geometry.permute(order).flip(flips)
    ends = like.to_index(turned.to_world(np.array([[0, 0, 0], np.array(turned.shape) - 1])))
    start = np.rint(ends[0]).astype(np.int64)
    fits = np.abs(ends - np.stack([start, start + turned.shape - 1])).max() <= TOLERANCE * max(turned.shape)
    return (order, flips, start) if fits else None


def fits_grid(geometry: Geometry, like: Geometry) -> bool:
    """Whether `onto_grid` would lay one grid on the other."""
    if not (has_place(geometry) and has_place(like)):
        return geometry.shape == like.shape
    step = turn_between(geometry, like)
    return step is not None and geometry.permute(step[0]).flip(step[1]).aligned_with(like, TOLERANCE)


def turn_between(geometry: Geometry, like: Geometry) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """`(order, flips)` that turn the axes of `geometry` into those of `like`; `None` if no axes are parallel."""
    between = np.linalg.solve(like.affine[:3, :3], geometry.affine[:3, :3])
    order = tuple(int(axis) for axis in np.abs(between).argmax(axis=1))
    if sorted(order) != [0, 1, 2]:
        return None
    return order, tuple(axis for axis in range(3) if between[axis, order[axis]] < 0)


def refuse_other_shape(geometry: Geometry, like: Geometry, *, where: str) -> None:
    """Refuse a label by its header, before its voxels cost anything.

    Raises:
        GeometryError: No order of its axes gives the shape of the grid.
    """
    if sorted(geometry.shape) != sorted(like.shape):
        raise _shapes_differ(geometry, like, where)


def _shapes_differ(geometry: Geometry, like: Geometry, where: str) -> GeometryError:
    hint = "Export the label on the image's grid."
    if geometry.shape[::-1] == like.shape or (geometry.shape[0], *geometry.shape[:0:-1]) == like.shape:
        hint = "Rows and columns seem exchanged: transpose the label and save it again, or rotate it by a quarter if "
        hint += "a camera's turn (EXIF orientation 6 or 8) was applied to one of the two."
    return GeometryError(
        "The label's voxels do not fit the image's.",
        expected=size(like.shape),
        got=size(geometry.shape),
        where=where,
        hint=hint,
    )


def _places_differ(geometry: Geometry, like: Geometry, where: str) -> GeometryError:
    apart = geometry.corner_distance(like) if geometry.shape == like.shape else float("nan")
    return GeometryError(
        "Label and image have as many voxels but lie at different places in the world.",
        expected=f"{like.orientation}, spacing {_short(like.lengths)}, origin {_short(like.to_world((0, 0, 0)))}",
        got=f"{geometry.orientation}, spacing {_short(geometry.lengths)}, "
        f"origin {_short(geometry.to_world((0, 0, 0)))}, {apart:.3g} voxels apart",
        where=where,
        hint="If the voxels do correspond, save the label with the image's header; else resample it to the image.",
    )


def _short(values: Any) -> str:
    return "(" + ", ".join(f"{float(value):.4g}" for value in values) + ")"
