"""Looks into a file to tell a label from an image where no name does, and reads raw label values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.core.errors import SegwrightError
from segwright.io.layouts.scan import Item


def value_counts(array: NDArray[Any]) -> dict[int, int]:
    """Counts of integral values; small integer ranges are counted without sorting.

    Example:
        >>> value_counts(np.array([0, 255, 255], dtype=np.uint8))
        {0: 1, 255: 2}
    """
    flat = array.reshape(-1)
    if flat.size == 0:
        return {}
    if flat.dtype.kind == "b":
        flat = flat.astype(np.uint8)
    low, high = int(flat.min()), int(flat.max())
    if flat.dtype.kind in "ui" and high - low < 1 << 20:
        shifted = flat if low == 0 else flat.astype(np.int64) - low
        counts = np.bincount(shifted, minlength=1)
        return {int(i) + low: int(counts[i]) for i in np.flatnonzero(counts)}
    values, numbers = np.unique(flat, return_counts=True)
    return {int(v): int(n) for v, n in zip(values, numbers, strict=True)}


def looks_like_label(array: NDArray[Any]) -> bool:
    """Whether an array `(C, z, y, x)` is made of few flat areas, as labels are.

    Two values at most are a mask. More are a label only where a voxel that is not 0 nearly always equals its
    neighbour; scans have noise, so in them it seldom does.
    """
    plane = array[0, array.shape[1] // 2] if array.shape[1] > 1 else array[0, 0]
    if array.dtype.kind == "f" and not np.array_equal(plane, np.round(np.nan_to_num(plane))):
        return False
    whole = array[0]
    distinct = len(np.unique(whole[:: max(1, whole.shape[0] // 16)]))
    if distinct <= 2:
        return True
    left, right = whole[..., :-1], whole[..., 1:]
    inside = left != 0
    if not inside.any() or distinct > 4096:
        return False
    return bool((left == right)[inside].mean() > 0.8)


def is_label(path: Path) -> bool | None:
    """`looks_like_label` of a file; `None` if it cannot be read."""
    try:
        volume = io.read(path)
        return volume.data.shape[0] in (1, 3, 4) and looks_like_label(volume.array())
    except SegwrightError:
        return None


def sample(items: Sequence[Item], count: int = 3) -> list[Item]:
    """A few items spread over the list."""
    step = max(1, len(items) // count)
    return list(items[::step][:count])


def mostly_labels(items: Sequence[Item], count: int = 3) -> bool:
    """Whether a sample of items looks like labels."""
    votes = [is_label(item.path) for item in sample(items, count)]
    return bool(votes) and sum(vote is True for vote in votes) * 2 > len(votes)
