"""Cutting empty borders away and adding borders, each with the box that undoes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segwright.core.box import Box
from segwright.core.errors import GeometryError

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


def pad_to(
    array: NDArray[Any], shape: Sequence[int], *, where: Literal["centre", "end"] = "centre", mode: Mode = "edge"
) -> tuple[NDArray[Any], Box]:
    """Pad `(C, z, y, x)` up to at least `shape`; axes that are long enough stay.

    Returns:
        The padded array, and the box of the original in it: `padded[(slice(None), *box.slices)]` undoes it.

    Example:
        >>> padded, box = pad_to(np.ones((1, 1, 1, 1)), (1, 1, 3), mode="constant")
        >>> padded.ravel().tolist(), box.start
        ([0.0, 1.0, 0.0], (0, 0, 1))
    """
    old = array.shape[1:]
    if len(shape) != 3:
        raise GeometryError("A padded shape needs three lengths (z, y, x).", came=tuple(shape))
    missing = [max(0, wanted - n) for wanted, n in zip(shape, old, strict=True)]
    before = [m // 2 if where == "centre" else 0 for m in missing]
    outer = Box(tuple(-b for b in before), tuple(n + m - b for n, m, b in zip(old, missing, before, strict=True)))
    return read_box(array, outer, mode=mode), Box.whole(old).shift(before)
