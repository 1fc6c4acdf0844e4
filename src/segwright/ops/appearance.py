"""Measures how an image looks, on half a million voxels of it or little more."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.appearance import SHARES, Appearance, Look

#: Voxels of a channel that are looked at; of a larger image whole slices, evenly spread.
ENOUGH = 500_000
#: Rows of a slice that are taken together.
BAND = 32


def appearance(blocks: Sequence[NDArray[Any]]) -> Appearance:
    """The looks of the channels and how alike they are; one pass over at most `ENOUGH` voxels a channel.

    Only where these show nothing are all voxels of the blocks looked at.

    Args:
        blocks: Parts `(C, z, y, x)` of one image, or all of it.

    Example:
        >>> found = appearance([np.arange(1.0, 9.0).reshape(2, 1, 2, 2), np.ones((2, 1, 1, 1))])
        >>> [round(look.high, 2) for look in found.channels], round(found.likeness[0], 2)
        ([3.98, 7.98], 0.82)
    """
    some = _slices(blocks)
    count = len(blocks[0])
    looks = tuple(_look([part[c] for part in some]) or _whole([block[c] for block in blocks]) for c in range(count))
    pairs = combinations(range(count), 2)
    likeness = tuple(_likeness(some, a, b) if looks[a] and looks[b] else 0.0 for a, b in pairs)
    return Appearance(channels=looks, likeness=likeness)


def _slices(blocks: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
    """Every n-th slice of each block as float32, of very large slices every n-th band of rows."""
    voxels = sum(block[0].size for block in blocks)
    deep = max(1, -(-voxels // ENOUGH))
    step = min(deep, max(block.shape[1] for block in blocks))
    some = [block[:, min(step // 2, block.shape[1] - 1) :: step] for block in blocks]
    bands = [part[:, :, y : y + BAND] for part in some for y in range(0, part.shape[2], BAND * -(-deep // step))]
    with np.errstate(over="ignore"):
        return [band.astype(np.float32) for band in bands]


def _whole(parts: Sequence[NDArray[Any]]) -> Look | None:
    """The look of a channel whose few slices show nothing: of all of it, unless that shows nothing either."""
    finite = [part if part.dtype.kind in "iub" else part[np.isfinite(part)] for part in parts]
    ends = [(part.min(), part.max()) for part in finite if part.size]
    if not ends or min(low for low, _ in ends) == max(high for _, high in ends):
        return None
    return _look([part.astype(np.float32) for part in parts])


def _look(parts: Sequence[NDArray[np.float32]]) -> Look | None:
    values = np.concatenate([part.reshape(-1) for part in parts])
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    zero = float(np.count_nonzero(values == 0) / values.size)
    shown = values[values != 0]  # what was set to zero outside the body would hide what is inside
    values = shown if shown.size and shown.min() < shown.max() else values
    low, *between, high = np.percentile(values, (0.5, *SHARES, 99.5))
    if not low < high:  # rare content in an even image, which percentiles would not see
        low, high = values.min(), values.max()
    if not low < high:
        return None
    a, b, c, d, e = (float((value - low) / (high - low)) for value in between)
    texture = min(_texture(parts, axis, low, high) for axis in (1, 2))
    return Look(low=float(low), high=float(high), shares=(a, b, c, d, e), zero=zero, texture=texture)


def _texture(parts: Sequence[NDArray[np.float32]], axis: int, low: float, high: float) -> float:
    """Mean squared step along an axis over twice the variance, both within the clip; 1 where nothing can be told."""
    steps = weight = total = square = count = 0.0
    for part in parts:
        clipped = np.clip(part, low, high)
        rows = np.diff(clipped, axis=axis).astype(np.float64)
        rows, clipped = rows[np.isfinite(rows)], clipped[np.isfinite(clipped)].astype(np.float64)
        steps, weight = steps + float((rows**2).sum()), weight + rows.size
        total, square, count = total + clipped.sum(), square + float((clipped**2).sum()), count + clipped.size
    variance = square / count - (total / count) ** 2
    return float(steps / weight / variance / 2) if weight and variance > 0 else 1.0


def _likeness(parts: Sequence[NDArray[np.float32]], a: int, b: int) -> float:
    """Pearson correlation of two channels over voxels that are finite in both."""
    pairs = np.concatenate([part[[a, b]].reshape(2, -1) for part in parts], axis=1)
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)].astype(np.float64)
    if pairs.shape[1] < 2 or (pairs.min(axis=1) == pairs.max(axis=1)).any():
        return 0.0
    return float(np.corrcoef(pairs)[0, 1])
