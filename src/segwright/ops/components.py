"""Which voxels hang together: connected components, their sizes and the largest one (the only door to cc3d)."""

from __future__ import annotations

from typing import Any, Literal

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segwright.core.box import Box
from segwright.core.errors import UsageError

#: Neighbours that count as touching, named as in 3-D, and what they mean in a single plane.
Connectivity = Literal[4, 6, 8, 18, 26]
PLANAR: dict[int, Connectivity] = {6: 4, 18: 8, 26: 8, 4: 4, 8: 8}
SOLID: dict[int, Connectivity] = {6: 6, 18: 18, 26: 26, 4: 6, 8: 26}


def label_components(mask: NDArray[np.bool_], connectivity: int = 26) -> tuple[NDArray[Any], int]:
    """Number the connected components of a mask `(z, y, x)` from 1; returns the numbers and how many there are.

    Args:
        mask: True inside.
        connectivity: 6, 18 or 26 neighbours; in a single plane (`z = 1`) they mean 4, 8 and 8, and 4 or 8 may be
            given as well (6 and 26 in three dimensions).

    Raises:
        UsageError: Another connectivity.

    Example:
        >>> label_components(np.array([[[1, 0, 1, 1]]], bool))
        (array([[[1, 0, 2, 2]]], dtype=uint16), 2)
    """
    if connectivity not in SOLID:
        raise UsageError("Unknown connectivity.", expected="6, 18 or 26 (4 or 8 in a plane)", got=connectivity)
    if not mask.any():
        return np.zeros(mask.shape, np.uint16), 0
    if min(mask.shape) == 1:
        # cc3d's fast path for boolean arrays breaks objects (or fails) in planes; that for numbers does not
        mask = np.ascontiguousarray(mask).view(np.uint8)
    if mask.shape[0] == 1:
        plane, count = cc3d.connected_components(mask[0], connectivity=PLANAR[connectivity], return_N=True)
        return plane[None], int(count)
    labels, count = cc3d.connected_components(
        np.ascontiguousarray(mask), connectivity=SOLID[connectivity], return_N=True
    )
    return labels, int(count)


def connected_ids(ids: NDArray[Any], connectivity: int = 26) -> NDArray[np.uint32]:
    """Connected components of equal ids `(z, y, x)`, numbered from 1; touching ids stay apart, 0 stays 0.

    Raises:
        UsageError: Another connectivity than those of `label_components`.

    Example:
        >>> connected_ids(np.array([[[7, 0, 7, 9]]], np.uint32)).tolist()
        [[[1, 0, 2, 3]]]
    """
    if connectivity not in SOLID:
        raise UsageError("Unknown connectivity.", expected="6, 18 or 26 (4 or 8 in a plane)", got=connectivity)
    if ids.shape[0] == 1:
        plane = cc3d.connected_components(np.ascontiguousarray(ids[0]), connectivity=PLANAR[connectivity])
        return plane[None].astype(np.uint32, copy=False)
    found = cc3d.connected_components(np.ascontiguousarray(ids), connectivity=SOLID[connectivity])
    return found.astype(np.uint32, copy=False)


def bond_components(bonds: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Numbers from 1 for voxels that hang together by bonds; a voxel without any bond is a component of its own.

    Args:
        bonds: `(3, z, y, x)`: whether a voxel is joined to the one before it along z, y and x.

    Example:
        >>> bonds = np.zeros((3, 1, 1, 4), bool)
        >>> bonds[2, 0, 0] = [False, True, False, True]
        >>> bond_components(bonds).tolist()
        [[[1, 1, 2, 2]]]
    """
    ways = np.zeros(bonds.shape[1:], np.uint8)
    for axis in range(3):  # cc3d's bits: forwards, then backwards, from the first axis on
        back = np.moveaxis(bonds[axis], axis, 0)[1:]
        view = np.moveaxis(ways, axis, 0)
        view[:-1] |= back * np.uint8(1 << 2 * axis)
        view[1:] |= back * np.uint8(2 << 2 * axis)
    return np.asarray(cc3d.color_connectivity_graph(ways, connectivity=6), dtype=np.uint32)


def component_sizes(components: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Voxels of components 1 to `count` of a numbered array, in order.

    Example:
        >>> component_sizes(np.array([[[1, 0, 2, 2]]]), 2).tolist()
        [1, 2]
    """
    return np.bincount(components.ravel(), minlength=count + 1)[1:]


def largest_component(mask: NDArray[np.bool_], connectivity: int = 26) -> NDArray[np.bool_]:
    """The largest component of a mask `(z, y, x)`; of equal ones the first in array order; empty if the mask is.

    Example:
        >>> largest_component(np.array([[[1, 0, 1, 1]]], bool)).astype(int).tolist()
        [[[0, 0, 1, 1]]]
    """
    components, count = label_components(mask, connectivity)
    if count <= 1:
        return mask.copy()
    kept: NDArray[np.bool_] = components == np.argmax(component_sizes(components, count)) + 1
    return kept


def enclosing_box(*masks: NDArray[np.bool_]) -> Box | None:
    """The smallest box that holds every true voxel of all masks `(z, y, x)`; `None` if there is none.

    Example:
        >>> enclosing_box(np.array([[[0, 1, 0]]], bool), np.array([[[0, 0, 1]]], bool))
        Box(start=(0, 0, 1), stop=(1, 1, 3))
    """
    return join_boxes(*map(_box, masks))


def join_boxes(*boxes: Box | None) -> Box | None:
    """The smallest box that holds all boxes given; `None` if there is none.

    Example:
        >>> join_boxes(Box((0, 1), (1, 2)), None, Box((0, 4), (2, 5)))
        Box(start=(0, 1), stop=(2, 5))
    """
    known = [box for box in boxes if box is not None]
    if not known:
        return None
    start = tuple(map(min, *(box.start for box in known))) if len(known) > 1 else known[0].start
    stop = tuple(map(max, *(box.stop for box in known))) if len(known) > 1 else known[0].stop
    return Box(start, stop)


def number_boxes(numbered: NDArray[Any], count: int) -> list[Box | None]:
    """The box around each of the numbers 1 to `count` of an array, in one pass; `None` where a number is absent.

    Example:
        >>> number_boxes(np.array([[[0, 2, 2]]]), 2)
        [None, Box(start=(0, 0, 1), stop=(1, 1, 3))]
    """
    found: list[Any] = ndimage.find_objects(numbered, max_label=count)
    return [
        Box(tuple(part.start for part in slices), tuple(part.stop for part in slices)) if slices else None
        for slices in found
    ]


def _box(mask: NDArray[np.bool_]) -> Box | None:
    """Narrow one axis after the other, so that later axes are searched in what is left."""
    start, stop = [], []
    view = mask
    for axis in range(mask.ndim):
        hits = np.flatnonzero(view.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        if not len(hits):
            return None
        start.append(int(hits[0]))
        stop.append(int(hits[-1]) + 1)
        view = view[(slice(None),) * axis + (slice(start[-1], stop[-1]),)]
    return Box(tuple(start), tuple(stop))
