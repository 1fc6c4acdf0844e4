"""Numbered objects: components of equal ids, growing seeds, dropping crumbs, and numbering without gaps or wrapping."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from segwright.ops.components import label_components

Ids = NDArray[np.uint32]


def renumber(ids: NDArray[Any]) -> tuple[Ids, NDArray[Any]]:
    """Ids 1 to n without gaps in the order of the old ones, and the old id of each new one (index 0 is background).

    Values of 0 and below are background.

    Example:
        >>> new, old = renumber(np.array([[[0, 2**40, 7, 7]]]))
        >>> new.tolist(), old.tolist()
        ([[[0, 2, 1, 1]]], [0, 7, 1099511627776])
    """
    low, high = (int(ids.min()), int(ids.max())) if ids.size else (0, 0)
    if ids.dtype.kind in "ui" and low >= 0 and high < max(1 << 20, 4 * ids.size):
        there = np.zeros(high + 1, bool)
        there[ids.ravel()] = True
        there[0] = False
        table = np.where(there, np.cumsum(there), 0).astype(np.uint32)
        return table[ids], np.concatenate([[0], np.flatnonzero(there)]).astype(ids.dtype)
    known, inverse = np.unique(ids, return_inverse=True)
    table = np.where(known > 0, np.cumsum(known > 0), 0).astype(np.uint32)
    return table[inverse].reshape(ids.shape), np.concatenate([[0], known[known > 0]]).astype(ids.dtype)


def in_order(ids: NDArray[Any]) -> NDArray[Any]:
    """Ids 1 to n in the order of the objects' first voxels, so that numbers do not depend on how they were found.

    Example:
        >>> in_order(np.array([[[0, 7, 3, 7]]])).tolist()
        [[[0, 1, 2, 1]]]
    """
    flat, old = renumber(ids)
    seen, order = np.arange(len(old)) == 0, []
    for plane in flat.reshape(-1, *ids.shape[-2:]):
        values, first = np.unique(plane, return_index=True)
        values = values[np.argsort(first)]
        order.append(values[~seen[values]])
        seen[values] = True
    table = np.zeros(len(old), ids.dtype)
    table[np.concatenate(order)] = np.arange(1, len(old))
    return table[flat]


def mask_objects(mask: NDArray[np.bool_], connectivity: int = 26) -> Ids:
    """The connected components of a mask `(z, y, x)` as ids from 1."""
    return label_components(mask, connectivity)[0].astype(np.uint32, copy=False)


def object_sizes(ids: NDArray[Any]) -> NDArray[np.int64]:
    """Voxels of the objects 1 to the highest id, in order; ids should have few gaps."""
    return np.bincount(ids.ravel())[1:] if ids.size else np.zeros(0, np.int64)


def drop_small_objects(ids: NDArray[Any], smallest: int) -> Ids:
    """Objects of at least `smallest` voxels, numbered anew without gaps.

    Example:
        >>> drop_small_objects(np.array([[[0, 1, 2, 2]]], dtype=np.uint32), 2).tolist()
        [[[0, 0, 1, 1]]]
    """
    if smallest > 1:
        keep = np.concatenate([[False], object_sizes(ids) >= smallest])
        ids = np.where(keep[ids], ids, 0)
    return renumber(ids)[0]


def grow_in_plane(ids: Ids, radius: int) -> Ids:
    """Objects grown by a square of `radius` voxels in each plane, into background only; the larger id wins a voxel.

    Example:
        >>> grow_in_plane(np.array([[[0, 1, 0, 0, 2]]], dtype=np.uint32), 1).tolist()
        [[[1, 1, 1, 2, 2]]]
    """
    if radius <= 0 or not ids.any():
        return ids.copy()
    size = (1, 2 * radius + 1, 2 * radius + 1)
    return np.where(ids > 0, ids, ndimage.maximum_filter(ids, size=size, mode="constant", cval=0))


def adopt_orphans(ids: Ids, mask: NDArray[np.bool_]) -> Ids:
    """Objects together with what is left of a mask, each component (by faces) of which becomes an object.

    Example:
        >>> ids, mask = np.array([[[1, 0, 0]]], dtype=np.uint32), np.array([[[1, 0, 1]]], bool)
        >>> adopt_orphans(ids, mask).tolist()
        [[[1, 0, 2]]]
    """
    left = mask_objects(mask & (ids == 0), connectivity=6)
    top = ids.max(initial=0)
    return np.where(left > 0, left + top, ids).astype(np.uint32, copy=False)


def flood(height: NDArray[Any], seeds: NDArray[Any], mask: NDArray[np.bool_], *, spread: int = 1) -> Ids:
    """Marker-controlled watershed: seeds `(z, y, x)` flood a height map, lowest first, within a mask.

    Args:
        height: Any numbers; equal heights flood in order of arrival.
        seeds: Ids from 1.
        mask: Where objects may grow; seeds outside it are lost.
        spread: Neighbours that touch: 1 by faces, 3 by corners too.

    Example:
        >>> flood(np.zeros((1, 1, 4)), np.array([[[1, 0, 0, 2]]]), np.ones((1, 1, 4), bool)).tolist()
        [[[1, 1, 2, 2]]]
    """
    grown = watershed(height, seeds.astype(np.int32), mask=mask, connectivity=spread)  # type: ignore[no-untyped-call]
    return np.asarray(grown, dtype=np.uint32)


def flood_sections(
    height: NDArray[Any], seeds: NDArray[Any], mask: NDArray[np.bool_], *, edge: NDArray[np.bool_]
) -> Ids:
    """`flood` for thick sections: within each plane first, since planes lie further apart than voxels within one.

    Where edges part a plane from the one before it (never from the one after), a voxel that is no seed belongs with
    the seed right after it, if that one is no edge.

    Args:
        height, seeds, mask: As for `flood`.
        edge: Voxels at which objects are parted.

    Example:
        >>> seeds, mask = np.array([[[1, 0]], [[0, 2]], [[0, 2]]]), np.ones((3, 1, 2), bool)
        >>> flood_sections(np.zeros((3, 1, 2)), seeds, mask, edge=seeds == 0)[:, 0].tolist()
        [[1, 2], [2, 2], [2, 2]]
    """
    extended = seeds.copy()
    lone = mask[:-1] & (seeds[:-1] == 0) & ~edge[1:]
    extended[:-1][lone] = seeds[1:][lone]
    planes = [flood(height[z, None], extended[z, None], mask[z, None]) for z in range(len(seeds))]
    return flood(height, np.concatenate(planes), mask)


def before(mask: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Whether the voxel before each voxel of `(z, y, x)` along an axis is set; never at the first.

    Example:
        >>> before(np.array([[[1, 0, 1]]], bool), 2).tolist()
        [[[False, True, False]]]
    """
    moved = np.zeros_like(mask)
    np.moveaxis(moved, axis, 0)[1:] = np.moveaxis(mask, axis, 0)[:-1]
    return moved


def follow_bonds(ids: Ids, held: NDArray[np.bool_]) -> Ids:
    """Objects carried on along z over free voxels that hang on to the voxel in the plane before.

    Args:
        ids: `(z, y, x)`, 0 where free.
        held: Whether a voxel hangs on to the one in the plane before.

    Example:
        >>> ids, held = np.array([1, 0, 0, 2], np.uint32), np.array([0, 1, 0, 1], bool)
        >>> follow_bonds(ids.reshape(4, 1, 1), held.reshape(4, 1, 1)).ravel().tolist()
        [1, 1, 2, 2]
    """
    ids = ids.copy()
    for z in range(1, len(ids)):
        free = held[z] & (ids[z] == 0)
        ids[z][free] = ids[z - 1][free]
    for z in range(len(ids) - 1, 0, -1):
        free = held[z] & (ids[z - 1] == 0)
        ids[z - 1][free] = ids[z][free]
    return ids
