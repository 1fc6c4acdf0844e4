"""Turns the pixels of a label file into clean values: colours, floats, repeated planes, soft and lossy masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import LabelError
from segwright.core.labels import LabelSpace
from segwright.core.tally import tally

#: 8-bit values this close to 0 or 255 are taken as meant to be 0 or 255.
_NEAR = 40
#: A soft mask may have this share of in-between pixels, which lie along edges.
_EDGES = 0.1


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
        counts = tally(flat, high - low + 1, low=low)
        return {int(i) + low: int(counts[i]) for i in np.flatnonzero(counts)}
    values, numbers = np.unique(flat, return_counts=True)
    return {int(v): int(n) for v, n in zip(values, numbers, strict=True)}


def one_plane(array: NDArray[Any], *, where: str) -> NDArray[Any]:
    """The integral values `(z, y, x)` of a label `(C, z, y, x)`.

    Equal planes count once; distinct colours become the number `0xRRGGBB`.

    Raises:
        LabelError: Values are not whole numbers, or planes are not colours.
    """
    planes = array[:3] if array.shape[0] == 4 and array.dtype == np.uint8 else array
    if array.shape[0] == 2 and array.dtype == np.uint8:
        planes = array[:1]  # grey with an alpha plane
    if planes.shape[0] == 1 or all((planes[0] == plane).all() for plane in planes[1:]):
        return whole_numbers(planes[0], where=where)
    if planes.shape[0] == 3 and planes.dtype == np.uint8:
        red, green, blue = planes.astype(np.int32)
        return (red << 16) | (green << 8) | blue
    raise LabelError(
        f"The label has {planes.shape[0]} different planes.",
        expected="one plane of values, or equal planes",
        where=where,
        cure="Name each plane in dataset.yaml: a label source a structure, with 'plane' and 'structure'.",
    )


def whole_numbers(array: NDArray[Any], *, where: str) -> NDArray[Any]:
    """Values as integers.

    Raises:
        LabelError: Some value is not a whole number.
    """
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind in "iu":
        return array
    rounded = np.rint(array)
    if not np.isfinite(array).all() or np.abs(array - rounded).max(initial=0) > 1e-3:
        bad = array[~np.isfinite(array) | (np.abs(array - np.nan_to_num(rounded)) > 1e-3)]
        raise LabelError(
            "The label holds values that are not whole numbers.",
            expected="integers, one a structure",
            came=f"for example {bad.reshape(-1)[0]:g}",
            where=where,
            cure="Export labels without interpolation or scaling.",
        )
    return rounded.astype(np.int64 if np.abs(rounded).max(initial=0) > 2**31 else np.int32)


def is_soft(raw: NDArray[Any]) -> bool:
    """Whether values are a black-and-white mask with blurred edges or compression noise.

    Example:
        >>> is_soft(np.array([0] * 50 + [3, 128, 254] + [255] * 47, dtype=np.uint8))
        True
    """
    if raw.dtype.kind not in "iu" or raw.size == 0 or raw.max() > 255 or raw.max() < 255 - _NEAR or raw.min() < 0:
        return False
    if np.count_nonzero(raw) == np.count_nonzero(raw == 255):
        return False  # black and white: seen at once, as most masks are
    counts = tally(raw, 256)
    between = int(counts[_NEAR + 1 : 255 - _NEAR].sum())
    return bool(between <= _EDGES * raw.size and between <= counts[255 - _NEAR :].sum() and (counts > 0).sum() > 2)


def binary(raw: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a mask of one structure is set: not 0, or above half for a soft mask."""
    return raw >= 128 if is_soft(raw) else raw != 0


def settle(raw: NDArray[Any], space: LabelSpace, *, where: str) -> NDArray[Any]:
    """Values of the label space in place of noisy ones, for soft masks of one structure; else the values as they are.

    Only a space that knows nothing but 0 and 255 admits this; anything else would be a guess.

    Raises:
        LabelError: The space is black and white, and the values are neither that nor near it.
    """
    values = {value for structure in space.structures for value in structure.values}
    if len(space.structures) != 1 or 255 not in values:
        return raw
    if not _stray(raw, values):
        return raw
    if not is_soft(raw):
        raise LabelError(
            "The label is neither black and white nor a map of known values.",
            expected=f"values {sorted({0, *values})}",
            came=f"{len(np.unique(raw))} different values",
            where=where,
            cure="Check that the file is a mask and not an image.",
        )
    return np.where(raw >= 128, 255, 0).astype(np.uint8)


def _stray(raw: NDArray[Any], values: set[int]) -> bool:
    """Whether any value is neither 0 nor known."""
    good = raw == 0
    for value in values:
        good |= raw == value
    return not bool(good.all())
