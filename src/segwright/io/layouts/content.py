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
