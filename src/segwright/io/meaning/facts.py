"""Facts of one label file that its meaning is decided by: values, their insides, their neighbours, their pieces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segwright.core.bincount import tally

#: A file of more values than this is described by its values alone; it is no map of a few classes.
MOST_VALUES = 4096
#: Where so much of every value is solid, nothing is smeared, and every voxel shows its level.
_SHAPE = 0.6


@dataclass(frozen=True, slots=True)
class LabelFacts:
    """What one label file holds.

    Attributes:
        counts: Voxels of each value, background included.
        solid: Voxels of each value that lie in a 2 x 2 of that value; drawn shapes have them, smeared edges have not.
        contact: For each value, the share of its border that it shares with values other than 0.
        flat: Voxels of each value where the 3 x 3 around them is nearly equal; shows the levels of smeared files.
        places: Middle of each value, as shares of the array's axes.
        frame: Voxels of each value on the outer frame of the planes; background is what fills it.
        colour: Values are packed colours `0xRRGGBB`.
        span: Highest value the type can hold, for the usual marks of voxels that count nowhere.
    """

    counts: Mapping[int, int]
    solid: Mapping[int, int] = field(default_factory=dict)
    contact: Mapping[int, float] = field(default_factory=dict)
    flat: Mapping[int, int] = field(default_factory=dict)
    places: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    frame: Mapping[int, int] = field(default_factory=dict)
    colour: bool = False
    span: int = 0

    @property
    def values(self) -> frozenset[int]:
        """Values other than 0."""
        return frozenset(self.counts) - {0}

    def without(self, value: int | None) -> LabelFacts:
        """The facts as if a value, such as a mark of voxels that count nowhere, were not there."""
        if value not in self.counts:
            return self
        return replace(
            self,
            counts=_others(self.counts, value),
            solid=_others(self.solid, value),
            contact=_others(self.contact, value),
            flat=_others(self.flat, value),
            places=_others(self.places, value),
            frame=_others(self.frame, value),
        )


_T = TypeVar("_T")


def _others(table: Mapping[int, _T], value: int | None) -> dict[int, _T]:
    return {key: told for key, told in table.items() if key != value}


def facts_of(raw: NDArray[Any], *, colour: bool = False) -> LabelFacts:
    """The facts of whole numbers `(z, y, x)`; files of two values, as most masks are, cost one pass.

    Args:
        raw: Values as stored.
        colour: They are packed colours.

    Example:
        >>> facts = facts_of(np.array([[[0, 7, 7], [0, 7, 7]]]))
        >>> dict(facts.counts), dict(facts.solid)
        ({0: 2, 7: 4}, {})
    """
    span = int(np.iinfo(raw.dtype).max) if raw.dtype.kind in "iu" else 1
    counts = _two(raw) or _counts(raw)
    if len(counts) <= 2:
        return LabelFacts(counts, frame=_frame(raw), colour=colour, span=span)
    if len(counts) > MOST_VALUES and not colour:
        return LabelFacts(counts, flat=_flat(raw), span=span)
    values = np.array(sorted(counts))
    index = _index(raw, values)
    solid = _table(values, tally(index[_solid(index)], len(values)))
    shapes = all(solid.get(value, 0) >= _SHAPE * count for value, count in counts.items())
    level = None if shapes else _flat_colours(raw) if colour else _flat_mask(raw)
    return LabelFacts(
        counts=counts,
        solid=solid,
        contact=_contact(index, values),
        flat=counts if level is None else _table(values, tally(index[level], len(values))),
        places=_places(index, values),
        frame=_frame(raw),
        colour=colour,
        span=span,
    )


def _index(raw: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """The rank of every voxel's value, in the smallest type; by a table where values span little, as most do."""
    kind = np.min_scalar_type(len(values))
    low, high = int(values[0]), int(values[-1])
    if high - low >= 1 << 20:
        return np.searchsorted(values, raw).astype(kind)
    table = np.zeros(high - low + 1, kind)
    table[values - low] = np.arange(len(values))
    return table[raw.astype(np.int64) - low if low or raw.dtype.kind == "i" else raw]


def _table(values: NDArray[Any], numbers: NDArray[Any]) -> dict[int, int]:
    return {int(v): int(n) for v, n in zip(values, numbers, strict=True) if n}


def _two(raw: NDArray[Any]) -> dict[int, int]:
    """Counts of an array of two values at most, seen without sorting; empty where there are more."""
    if raw.size == 0:
        return {}
    low, high = raw.min(), raw.max()
    at_high = int(np.count_nonzero(raw == high))
    if low == high:
        return {int(low): at_high}
    at_low = int(np.count_nonzero(raw == low))
    return {int(low): at_low, int(high): at_high} if at_low + at_high == raw.size else {}


def _counts(raw: NDArray[Any]) -> dict[int, int]:
    if raw.size == 0:
        return {}
    low, high = int(raw.min()), int(raw.max())
    if high - low < 1 << 20:
        numbers = tally(raw, high - low + 1, low=low)
        return {int(i) + low: int(numbers[i]) for i in np.flatnonzero(numbers)}
    values, found = np.unique(raw, return_counts=True)
    return {int(v): int(n) for v, n in zip(values, found, strict=True)}


def _frame(raw: NDArray[Any]) -> dict[int, int]:
    """Counts on the first and last row and column of the planes."""
    if min(raw.shape) < 1:
        return {}
    return _counts(np.concatenate([raw[:, [0, -1], :].reshape(-1), raw[:, :, [0, -1]].reshape(-1)]))


def _solid(index: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a voxel and three neighbours that form a square with it in the plane are equal."""
    corner = index[:, 1:, 1:]
    block = (corner == index[:, :-1, 1:]) & (corner == index[:, 1:, :-1]) & (corner == index[:, :-1, :-1])
    out = np.zeros(index.shape, bool)
    for rows in (slice(1, None), slice(None, -1)):
        for columns in (slice(1, None), slice(None, -1)):
            out[:, rows, columns] |= block
    return out


def _contact(index: NDArray[Any], values: NDArray[Any]) -> dict[int, float]:
    """Of each value, the share of neighbours of another value that are not background."""
    zero = int(np.searchsorted(values, 0)) if 0 in values else -1
    every, other = np.zeros(len(values), np.int64), np.zeros(len(values), np.int64)
    for axis in (1, 2):
        moved = np.moveaxis(index, axis, 0)
        differ = moved[1:] != moved[:-1]
        left, right = moved[1:][differ], moved[:-1][differ]
        for own, beside in ((left, right), (right, left)):
            every += tally(own, len(values))
            other += tally(own[beside != zero], len(values))
    return {int(v): float(o / e) for v, o, e in zip(values, other, every, strict=True) if e and v}


def _flat_mask(raw: NDArray[Any]) -> NDArray[np.bool_]:
    """Where the 3 x 3 in the plane spans at most a twentieth of the array's range (but 2 where values are few)."""
    limit = max(2.0, (float(raw.max()) - float(raw.min())) / 20)
    size = (1, 3, 3)
    high = ndimage.maximum_filter(raw, size=size).astype(np.float64)
    return np.asarray(high - ndimage.minimum_filter(raw, size=size) <= limit)


def _flat(raw: NDArray[Any]) -> dict[int, int]:
    return _counts(raw[_flat_mask(raw)])


def planes_of(raw: NDArray[Any]) -> NDArray[np.int16]:
    """Packed colours as `(3, z, y, x)`."""
    return np.stack([(raw >> shift) & 255 for shift in (16, 8, 0)]).astype(np.int16)


def _flat_colours(raw: NDArray[Any]) -> NDArray[np.bool_]:
    out = np.ones(raw.shape, bool)
    for plane in planes_of(raw):
        size = (1, 3, 3)
        out &= ndimage.maximum_filter(plane, size=size) - ndimage.minimum_filter(plane, size=size) <= 255 // 20
    return out


def one_piece(raw: NDArray[Any]) -> float | None:
    """Share of the values other than 0 that form one connected piece; `None` where there are none.

    Example:
        >>> one_piece(np.array([[[1, 1, 0, 2, 0, 2]]]))
        0.5
    """
    values = np.array(sorted(_counts(raw)))
    index = _index(raw, values)
    whole = [
        ndimage.label(index[box] == number, structure=np.ones((3, 3, 3)))[1] == 1
        for number, box in _boxes(index, values)
    ]
    return float(np.mean(whole)) if whole else None


def _boxes(index: NDArray[Any], values: NDArray[Any]) -> Iterator[tuple[int, tuple[slice, ...]]]:
    """Rank and box of each value that is not 0."""
    first = 0 if values[0] == 0 else 1  # boxes of rank 0 are not found; it is nearly always background
    found = ndimage.find_objects(index if first == 0 else index.astype(np.int32) + 1, max_label=len(values))
    for number, box in enumerate(found, start=1 - first):
        if box is not None and values[number]:
            yield number, box


def _places(index: NDArray[Any], values: NDArray[Any]) -> dict[int, tuple[float, ...]]:
    """Middle of the box of each value, in shares of the axes."""
    return {
        int(values[number]): tuple(
            (part.start + part.stop) / 2 / length for part, length in zip(box, index.shape, strict=True)
        )
        for number, box in _boxes(index, values)
    }


def in_colours(facts: LabelFacts) -> LabelFacts:
    """Facts of a grey file, which stands among files of colours, with its values as packed colours.

    Example:
        >>> dict(in_colours(LabelFacts({0: 5, 255: 1})).counts)
        {0: 5, 16777215: 1}
    """
    if facts.colour:
        return facts

    def packed(table: Mapping[int, Any]) -> dict[int, Any]:
        return {value * 0x010101: told for value, told in table.items()}

    return replace(
        facts,
        colour=True,
        counts=packed(facts.counts),
        solid=packed(facts.solid),
        contact=packed(facts.contact),
        flat=packed(facts.flat),
        places=packed(facts.places),
        frame=packed(facts.frame),
    )
