"""Cutting empty borders away and adding borders, each with the box that undoes it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segwright.core.box import Box

Mode = Literal["edge", "constant"]


def content_box(array: NDArray[Any], *, empty: float | None = 0.0) -> Box:
    """The smallest box of `(C, z, y, x)` outside which every channel is empty; the whole grid if nothing is inside.

    Args:
        array: Voxels; NaN and infinities count as empty.
        empty: Value of an empty border; `None` takes each channel's first voxel, for borders of another constant.

    Example:
        >>> content_box(np.pad(np.ones((1, 1, 2, 2)), ((0, 0), (0, 0), (1, 3), (2, 0))))
        Box(start=(0, 1, 2), stop=(1, 3, 4))
    """
    filled = np.zeros(array.shape[1:], dtype=bool)
    for channel in array:
        inside = channel != (channel[0, 0, 0] if empty is None else empty)
        if array.dtype.kind == "f":
            inside &= np.isfinite(channel)
        filled |= inside
    hits = [np.flatnonzero(filled.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    if not len(hits[0]):
        return Box.whole(array.shape[1:])
    return Box(tuple(hit[0] for hit in hits), tuple(hit[-1] + 1 for hit in hits))


def read_box(array: NDArray[Any], box: Box, *, mode: Mode = "edge", value: float = 0.0) -> NDArray[Any]:
    """Voxels `(C, *box.shape)` of a box that may reach outside the array.

    Args:
        array: `(C, z, y, x)`.
        box: What to read.
        mode: Outside, repeat the nearest voxel (`edge`) or use `value` (`constant`).
        value: Fill of `constant`.

    Returns:
        A view where nothing lies outside, else a copy.
    """
    shape = array.shape[1:]
    if all(a >= 0 and b <= n for a, b, n in zip(box.start, box.stop, shape, strict=True)):
        return array[(slice(None), *box.slices)]
    if mode == "edge":
        for axis, (start, stop) in enumerate(zip(box.start, box.stop, strict=True)):
            array = np.take(array, np.clip(np.arange(start, stop), 0, shape[axis] - 1), axis=axis + 1)
        return array
    inner = box.clip(shape)
    result = np.full((array.shape[0], *box.shape), value, dtype=array.dtype)
    result[(slice(None), *inner.shift([-a for a in box.start]).slices)] = array[(slice(None), *inner.slices)]
    return result
