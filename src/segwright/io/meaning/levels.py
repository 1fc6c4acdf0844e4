"""Smeared label files: finds the few levels or colours that were meant, and gives every voxel one of them again.

Compression, blur and resizing put values between two levels along their border. A voxel in a flat area takes the level
nearest to its value. A voxel on a border takes, of the levels whose flat areas lie beside it, the nearest: so the ramp
from 0 to 255 leaves no rim of 128, though it passes 128.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segwright.io.meaning.facts import planes_of

#: Values within this share of the range belong to one level.
_TOLERANCE = 1 / 20
#: Colours within this distance (in 0 to 255 a channel) belong to one level: what compression leaves of one.
_COLOUR_TOLERANCE = 60.0
#: A level holds this share of all flat voxels that are not background.
_LEAST_SHARE = 0.002
#: Share of the drawn voxels that smearing may leave unexplained.
UNEXPLAINED = 0.01
#: More levels than this are no smeared drawing.
_MOST_LEVELS = 40
#: Levels closer than this are class numbers, between which nothing can be told from noise.
_LEAST_STEP = 16
#: How far (pixels) a border voxel may lie from the flat areas it stands between, and from the place where they meet.
_NEAR, _REACH = 4, 10


class Snapped(NamedTuple):
    """One file with every voxel on a level.

    Attributes:
        values: The levels, voxel by voxel.
        moved: Voxels whose value was no level.
        lone: Voxels that smearing does not explain: far from any border; and of more than two levels those inside an
            area of in-between values, which may be a level that was missed or a ramp too wide to tell levels apart.
    """

    values: NDArray[Any]
    moved: int
    lone: int


def find_levels(flat: Mapping[int, int], *, colour: bool = False) -> tuple[int, ...]:
    """The values or packed colours that flat areas have, ascending; empty where they do not stand apart.

    Args:
        flat: Voxels of each value in flat areas, of all files together.
        colour: Values are packed colours.

    Example:
        >>> find_levels({0: 900, 1: 40, 127: 9, 128: 80, 255: 60})
        (0, 128, 255)
    """
    if not flat:
        return ()
    groups = _colour_groups(flat) if colour else _groups(flat)
    total = sum(sum(group.values()) for group in groups) - max(sum(group.values()) for group in groups)
    kept = [group for group in groups if sum(group.values()) >= max(4, _LEAST_SHARE * total)]
    if not 2 <= len(kept) <= _MOST_LEVELS:
        return ()
    levels = tuple(sorted(_rounded(Counter(group).most_common(1)[0][0], colour=colour) for group in kept))
    return levels if colour or _apart(kept, levels) else ()


def _groups(flat: Mapping[int, int]) -> list[dict[int, int]]:
    """Values cut where no value lies for a twentieth of the range."""
    values = sorted(flat)
    gap = max(4.0, (values[-1] - values[0]) * _TOLERANCE)
    groups: list[dict[int, int]] = []
    for before, value in zip([None, *values], values, strict=False):
        if before is None or value - before > gap:
            groups.append({})
        groups[-1][value] = flat[value]
    return groups


def _apart(groups: Sequence[Mapping[int, int]], levels: Sequence[int]) -> bool:
    """Whether each group is narrow against the distance of the levels; a chain of values is no level."""
    distance = min(b - a for a, b in pairwise(levels))
    return distance >= _LEAST_STEP and all(max(group) - min(group) <= 0.6 * distance for group in groups)


def _colour_groups(flat: Mapping[int, int]) -> list[dict[int, int]]:
    """Colours gathered round the most frequent ones."""
    rest = dict(flat)
    groups: list[dict[int, int]] = []
    while rest and len(groups) <= _MOST_LEVELS:
        colours = np.array(list(rest), dtype=np.int64)
        top = max(rest, key=lambda value: rest[value])
        near = colours[_distance(colours, top) <= _COLOUR_TOLERANCE]
        groups.append({int(value): rest.pop(int(value)) for value in near})
    return groups


def _distance(colours: NDArray[Any], level: int) -> NDArray[np.float32]:
    """Distance of packed colours to one of them."""
    meant = planes_of(np.array(level)).reshape(3, *[1] * colours.ndim)
    return np.asarray(np.sqrt(((planes_of(colours) - meant).astype(np.float32) ** 2).sum(axis=0)))


def _rounded(value: int, *, colour: bool) -> int:
    """The level with what compression takes from black and full given back."""
    if not colour:
        return 0 if 0 < value <= 3 else 255 if 252 <= value < 255 else value
    parts = [(value >> shift) & 255 for shift in (16, 8, 0)]
    red, green, blue = (_rounded(part, colour=False) for part in parts)
    return (red << 16) | (green << 8) | blue


def snap(raw: NDArray[Any], levels: Sequence[int], *, colour: bool = False) -> Snapped:
    """Every voxel of a smeared file on one of its levels.

    Args:
        raw: Values `(z, y, x)`.
        levels: Ascending, background included.
        colour: Values are packed colours.

    Example:
        >>> snap(np.array([[[0, 0, 3, 120, 250, 255, 255]]], dtype=np.uint8), (0, 255)).values.tolist()
        [[[0, 0, 0, 0, 255, 255, 255]]]
    """
    table = np.array(sorted(levels), dtype=np.int64)
    exact = np.isin(raw, table)
    moved = int(raw.size - np.count_nonzero(exact))
    if not moved:
        return Snapped(raw, 0, 0)
    distances = _distances(raw, table, colour=colour)
    nearest = distances.argmin(axis=0)
    best = np.take_along_axis(distances, nearest[None], axis=0)[0]
    chosen = nearest if len(table) == 2 else _beside(nearest, distances, best, table, colour=colour)
    between = best > _noise(table, colour=colour)
    lone = between & ~_at_borders(chosen)
    if len(table) > 2:
        lone |= ndimage.minimum_filter(between, size=(1, 3, 3))
    return Snapped(table[chosen].astype(raw.dtype), moved, int(np.count_nonzero(lone)))


def _distances(raw: NDArray[Any], table: NDArray[np.int64], *, colour: bool) -> NDArray[np.float32]:
    """Distance of every voxel to every level, `(levels, z, y, x)`."""
    if colour:
        return np.stack([_distance(raw, int(level)) for level in table])
    return np.stack([np.abs(raw.astype(np.int64) - level) for level in table]).astype(np.float32)


def _noise(table: NDArray[np.int64], *, colour: bool) -> float:
    """How far a value may lie from its level inside a flat area."""
    if colour:
        return _COLOUR_TOLERANCE
    return max(4.0, float(table[-1] - table[0]) * _TOLERANCE)


def _beside(
    nearest: NDArray[np.int64],
    distances: NDArray[np.float32],
    best: NDArray[np.float32],
    table: NDArray[np.int64],
    *,
    colour: bool,
) -> NDArray[np.int64]:
    """Of the levels whose flat areas lie beside a voxel, the nearest; thin lines stay where no ramp explains them."""
    core = ndimage.maximum_filter(nearest, size=(1, 3, 3)) == ndimage.minimum_filter(nearest, size=(1, 3, 3))
    core &= best <= _noise(table, colour=colour)
    allowed = np.zeros(distances.shape, bool)
    for level in range(len(table)):
        if bool((nearest == level).any()):
            here = core & (nearest == level)
            allowed[level] = ndimage.maximum_filter(here, size=(1, 2 * _NEAR + 1, 2 * _NEAR + 1))
    ramp = np.where(allowed, distances, np.inf).argmin(axis=0)
    thin = best <= _noise(table, colour=colour)
    if not colour:  # a ramp has flat areas on both sides of its values; a thin line has not
        order = np.arange(len(table))[:, None, None, None]
        below, above = (allowed & (order < nearest)).any(axis=0), (allowed & (order > nearest)).any(axis=0)
        thin &= ~(below & above)
    out = np.where(core | ~allowed.any(axis=0) | thin, nearest, ramp)
    return np.asarray(out)


def _at_borders(chosen: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Voxels within reach of a place where two levels meet."""
    size = (1, 2 * _REACH + 1, 2 * _REACH + 1)
    return np.asarray(ndimage.maximum_filter(chosen, size=size) != ndimage.minimum_filter(chosen, size=size))


def on_ramps(raw: NDArray[Any], levels: Sequence[int]) -> float:
    """Share of the voxels between two levels that have the lower and the higher one within two voxels.

    Values near a level count only where there are no others.

    Example:
        >>> on_ramps(np.array([[[0, 0, 128, 255], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 70, 0, 0]]]), (0, 255))
        0.5
    """
    table = np.array(levels, dtype=np.int64)
    distance = np.abs(raw.astype(np.int64)[..., None] - table).min(axis=-1)
    noise = _noise(table, colour=False)
    far = distance > noise
    stray = far if far.any() else distance > 0
    if not stray.any():
        return 1.0
    low = ndimage.minimum_filter(raw, size=(1, 5, 5)) <= levels[0] + noise
    high = ndimage.maximum_filter(raw, size=(1, 5, 5)) >= levels[-1] - noise
    return float((low & high)[stray].mean())


def in_between(raw: NDArray[Any], value: int) -> float:
    """Share of the voxels of a value that touch, in their plane, both a lower and a higher one.

    Example:
        >>> in_between(np.array([[[0, 1, 5], [0, 1, 5], [0, 0, 0], [0, 0, 0], [1, 0, 0]]]), 1)
        0.6666666666666666
    """
    here = raw == value
    if not here.any():
        return 0.0
    size = (1, 3, 3)
    low, high = ndimage.minimum_filter(raw, size=size) < value, ndimage.maximum_filter(raw, size=size) > value
    return float((low & high)[here].mean())


def inner(raw: NDArray[Any], value: int) -> float:
    """Share of the voxels of a value that have nothing else around them in their plane; 1 where it is not.

    Example:
        >>> inner(np.pad(np.ones((1, 4, 4), np.uint8), ((0, 0), (2, 2), (2, 2))), 1)
        0.25
    """
    here = raw == value
    if not here.any():
        return 1.0
    return float(ndimage.binary_erosion(here, np.ones((1, 3, 3), bool)).sum() / here.sum())
