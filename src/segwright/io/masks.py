"""Turns the pixels of a label file into clean values: colours, floats, repeated planes, soft and lossy masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.bincount import tally
from segwright.core.errors import LabelError
from segwright.core.labels import LabelSpace
from segwright.core.volume import Volume
from segwright.io.meaning.decide import decide
from segwright.io.meaning.facts import facts_of
from segwright.io.meaning.levels import UNEXPLAINED, snap
from segwright.io.protocol import RGB

#: How far floats may lie from whole numbers: rounded in arithmetic, or stored in bytes with a slope.
_EXACT, _NEAR = 1e-3, 0.05


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


def are_colours(label: Volume) -> bool | None:
    """Whether the planes of a label are red, green and blue; `None` where its format cannot say."""
    if label.channels == RGB:
        return True
    return False if label.header.get("planes") == "structures" else None


def one_plane(planes: NDArray[Any], *, where: str, colours: bool | None = None) -> NDArray[Any]:
    """The integral values `(z, y, x)` of a label `(C, z, y, x)`.

    Equal planes count once; distinct colours become the number `0xRRGGBB`.

    Args:
        planes: What `read_label` gave.
        where: Names the label in errors.
        colours: Whether planes are colours, by `are_colours`; of a format that cannot say, three planes of 8 bits are.

    Raises:
        LabelError: Values are not whole numbers, or planes are not colours.
    """
    if planes.shape[0] == 1 or all((planes[0] == plane).all() for plane in planes[1:]):
        return whole_numbers(planes[0], where=where)
    if planes.shape[0] == 3 and planes.dtype == np.uint8 and colours is not False:
        red, green, blue = planes.astype(np.int32)
        return (red << 16) | (green << 8) | blue
    raise LabelError(
        f"The label has {planes.shape[0]} different planes.",
        expected="one plane of values, or equal planes",
        where=where,
        hint="Name each plane in dataset.yaml: a label source a structure, with 'plane' and 'structure'.",
    )


def values_of(label: Volume, *, where: str) -> NDArray[Any]:
    """`one_plane` of a whole label as `read_label` opened it."""
    return one_plane(label.array(), where=where, colours=are_colours(label))


def is_coloured(planes: NDArray[Any], *, colours: bool | None = None) -> bool:
    """Whether `one_plane` packs the planes of a label `(C, z, y, x)` as colours."""
    if len(planes) != 3 or planes.dtype != np.uint8 or colours is False:
        return False
    return not all((planes[0] == plane).all() for plane in planes[1:])


def as_colours(raw: NDArray[Any]) -> NDArray[Any]:
    """Values of a grey file (up to 255) as packed colours; packed ones as they are."""
    return raw.astype(np.int32) * 0x010101 if raw.dtype == np.uint8 else raw


def whole_numbers(array: NDArray[Any], *, where: str) -> NDArray[Any]:
    """Values as integers; floats that a program scaled are taken back to what they were.

    That is: values as near to whole numbers as storing them in few bits leaves them, a mask of 0 and any other value
    (which becomes 1), and bytes divided by 255.

    Raises:
        LabelError: Some value is none of this.

    Example:
        >>> whole_numbers(np.array([0.0, 0.996, 2.0]), where="").tolist()
        [0, 1, 2]
        >>> whole_numbers(np.array([0.0, 0.5]), where="").tolist(), whole_numbers(np.arange(4) / 255, where="").tolist()
        ([0, 1], [0, 1, 2, 3])
    """
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind in "iu":
        return array
    if np.isfinite(array).all():
        rounded = np.rint(array)
        if np.abs(array - rounded).max(initial=0) <= (_NEAR if rounded.any() else _EXACT):
            return rounded.astype(np.int64 if np.abs(rounded).max(initial=0) > 2**31 else np.int32)
        high = float(array.max(initial=0))
        if ((array == 0) | (array == high)).all():
            return (array != 0).astype(np.uint8)
        scaled = np.rint(array * 255)
        if array.min() >= 0 and high <= 1 and np.abs(array * 255 - scaled).max() <= _EXACT:
            return scaled.astype(np.uint8)
    bad = array[~np.isfinite(array) | (np.abs(array - np.rint(np.nan_to_num(array))) > _EXACT)]
    raise LabelError(
        "The label holds values that are not whole numbers.",
        expected="integers, one a structure",
        got=f"for example {bad.reshape(-1)[0]:g}",
        where=where,
        hint="Export labels without interpolation or scaling.",
    )


def is_soft(raw: NDArray[Any]) -> bool:
    """Whether values are a mask with blurred edges or compression noise, and no classes.

    Example:
        >>> is_soft(np.array([[[0, 0, 0, 0, 128, 255, 255, 255]] * 4], dtype=np.uint8))
        True
        >>> is_soft(np.array([[[0, 0, 1, 1, 0, 0, 255, 255]] * 4], dtype=np.uint8))
        False
    """
    return _half(raw) is not None


def _half(raw: NDArray[Any]) -> float | None:
    """Half the level of a soft mask; `None` of anything else."""
    if raw.dtype.kind not in "iu" or raw.size == 0 or raw.max() > 255 or raw.min() < 0:
        return None
    facts = facts_of(raw)
    if len(facts.counts) <= 2:
        return None  # two values: seen at once, as most masks are
    meaning = decide({"": facts}, lambda _: raw)
    return max(meaning.values) / 2 if meaning.kind == "mask" and meaning.smeared else None


def binary(raw: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a mask of one structure is set: not 0, or above half for a soft mask."""
    half = _half(raw)
    return np.asarray(raw != 0 if half is None else raw > half)


def settle(raw: NDArray[Any], space: LabelSpace, *, where: str) -> NDArray[Any]:
    """Values of the label space in place of what compression, blur or resizing made of them; else as they are.

    Raises:
        LabelError: The space expects smeared or black and white files, and the values are nothing of that kind.
    """
    values = {value for structure in space.structures for value in structure.values}
    colour = max(values, default=0) > 0xFFFF
    raw = as_colours(raw) if colour else raw
    meant = not space.smeared and len(space.structures) == 1 and 255 in values
    if not (space.smeared or meant) or not _stray(raw, values | _others(space)):
        return raw
    if space.smeared:
        return _snapped(raw, sorted({0, *values, *_others(space)}), colour=colour, where=where)
    half = _half(raw)
    if half is None:
        raise _no_mask(raw, values, where)
    return np.where(raw > half, 255, 0).astype(np.uint8)


def _others(space: LabelSpace) -> set[int]:
    """Known values that are no structure."""
    return {*space.background, *([space.ignore] if space.ignore is not None else [])}


def _snapped(raw: NDArray[Any], levels: list[int], *, colour: bool, where: str) -> NDArray[Any]:
    found = snap(raw, levels, colour=colour)
    if found.lone > max(8, UNEXPLAINED * np.count_nonzero(found.values)):
        raise LabelError(
            "The label's values are smeared beyond repair.",
            expected=f"levels {', '.join(f'#{v:06X}' if colour else str(v) for v in levels)}, and values between two "
            "of them only along borders",
            got=f"{found.lone} voxels that belong to none of them",
            where=where,
            hint="Export this label without compression, blur or resizing.",
        )
    return found.values


def _no_mask(raw: NDArray[Any], values: set[int], where: str) -> LabelError:
    return LabelError(
        "The label is neither black and white nor a map of known values.",
        expected=f"values {sorted({0, *values})}",
        got=f"{len(np.unique(raw))} different values",
        where=where,
        hint="Check that the file is a mask and not an image.",
    )


def _stray(raw: NDArray[Any], values: set[int]) -> bool:
    """Whether any value is neither 0 nor known."""
    good = raw == 0
    for value in values:
        good |= raw == value
    return not bool(good.all())
