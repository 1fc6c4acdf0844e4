"""The runs of foreground pixels of one flattened mask: what run-length tables store, without any mask.

A mask is flattened row by row (C order). In text, a run is `start length` with starts counted from 1; here starts
count from 0.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segwright.core.errors import LabelError

Positions = NDArray[np.int64]

#: No mask has so many pixels; sums of so few numbers as fit into a text stay below 2^63.
_BEYOND = 1 << 40
_CURE = "Correct the row; a run is 'start length', starts count from 1."


def _none() -> Positions:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Foreground of one mask as half-open stretches of its flattened pixels.

    Attributes:
        starts: First pixel of each run, from 0.
        lengths: Pixels of each run.

    Example:
        >>> runs = Runs.of_mask(np.array([[0, 1, 1, 0], [0, 0, 1, 1]]))
        >>> runs.text(), runs.area, Runs.parse("2 2 7 2") == runs
        ('2 2 7 2', 4, True)
    """

    starts: Positions = field(default_factory=_none)
    lengths: Positions = field(default_factory=_none)

    def __post_init__(self) -> None:
        starts, lengths = np.asarray(self.starts, np.int64), np.asarray(self.lengths, np.int64)
        if starts.ndim != 1 or starts.shape != lengths.shape:
            raise LabelError("Runs need as many lengths as starts.", expected=starts.shape, got=lengths.shape)
        object.__setattr__(self, "starts", starts)
        object.__setattr__(self, "lengths", lengths)

    @classmethod
    def parse(
        cls, text: str | float | None, *, where: str | None = None, first: int = 1, relative: bool = False
    ) -> Runs:
        """Read `"start length start length"`; empty text, `-1`, `None` and NaN are an empty mask.

        The runs come as written; `disorder` tells what is wrong with their order, `normal` mends it.

        Args:
            text: As in a cell of a table.
            where: Names the row in errors.
            first: Number of the first pixel.
            relative: A start counts from the end of the run before.

        Raises:
            LabelError: An odd count of numbers, something that is no whole number, a start below `first`, a negative
                length.
        """
        if text is None or (isinstance(text, float) and math.isnan(text)):
            return cls()
        words = str(text).strip()
        if not words or words.lower() in {"nan", "none", "null", "na", "n/a", "-1"}:
            return cls()
        numbers = _numbers(words, where)
        if len(numbers) % 2:
            raise LabelError(
                "A run-length text has an odd count of numbers.",
                expected="pairs of start and length",
                got=f"{len(numbers)} numbers, the last is {numbers[-1]}",
                where=where,
                hint=_CURE,
            )
        starts, lengths = numbers[::2] - first, numbers[1::2].copy()
        starts = np.where(lengths == 0, np.maximum(starts, 0), starts)
        if len(starts) and (starts.min() < 0 or lengths.min() < 0):
            bad = int(np.argmax((starts < 0) | (lengths < 0)))
            raise LabelError(
                "A run starts before the first pixel or has a negative length.",
                expected=f"starts of at least {first}, lengths of at least 0",
                got=f"'{starts[bad] + first} {lengths[bad]}'",
                where=where,
                hint=_CURE,
            )
        if relative:
            starts = np.cumsum(starts) + np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)[: len(starts)]
        return cls(starts, lengths)

    @classmethod
    def of_mask(cls, mask: ArrayLike) -> Runs:
        """Runs of the non-zero pixels of an array of any shape, flattened in C order."""
        flat = np.asarray(mask).reshape(-1) != 0
        padded = np.zeros(len(flat) + 2, np.bool_)
        padded[1:-1] = flat
        edges = np.flatnonzero(padded[1:] != padded[:-1])
        return cls(edges[::2], edges[1::2] - edges[::2])

    def mask(self, shape: Sequence[int], *, where: str | None = None) -> NDArray[np.bool_]:
        """The mask of that shape.

        Raises:
            LabelError: A run ends beyond the last pixel.
        """
        self.refuse_beyond(math.prod(shape), where=where)
        edges = np.zeros(math.prod(shape) + 1, np.int32)
        np.add.at(edges, self.starts, 1)
        np.subtract.at(edges, self.ends, 1)
        mask: NDArray[np.bool_] = (np.cumsum(edges[:-1]) > 0).reshape(tuple(shape))
        return mask

    def text(self) -> str:
        """`"start length start length"`, starts from 1; the empty text for an empty mask."""
        pairs = np.empty(2 * len(self.starts), np.int64)
        pairs[::2] = self.starts + 1
        pairs[1::2] = self.lengths
        return " ".join(map(str, pairs.tolist()))

    @property
    def ends(self) -> Positions:
        """Pixel after the last of each run."""
        return self.starts + self.lengths

    @property
    def disorder(self) -> str:
        """What `normal` would mend, in words; empty if every pixel is named once and in order."""
        if bool((self.starts[1:] < self.starts[:-1]).any()):
            return "runs are not in order"
        return "runs overlap" if bool((self.starts[1:] < self.ends[:-1]).any()) else ""

    def normal(self) -> Runs:
        """The same pixels as sorted runs that neither overlap nor touch nor are empty."""
        gap = len(self.starts) > 1 and bool((self.starts[1:] <= self.ends[:-1]).any())
        if not gap and bool((self.lengths > 0).all()):
            return self
        kept = self.lengths > 0
        order = np.argsort(self.starts[kept], kind="stable")
        starts, reach = self.starts[kept][order], np.maximum.accumulate(self.ends[kept][order])
        first = np.ones(len(starts), np.bool_)
        first[1:] = starts[1:] > reach[:-1]
        last = np.append(first[1:], True) if len(first) else first
        return Runs(starts[first], reach[last] - starts[first])

    @property
    def area(self) -> int:
        """Pixels; runs that overlap are counted once."""
        return int(self.normal().lengths.sum())

    def refuse_beyond(self, pixels: int, *, where: str | None = None) -> None:
        """Refuse runs that end after the last of `pixels`.

        Raises:
            LabelError: With the run and the size.
        """
        if len(self.starts) and int(self.ends.max()) > pixels:
            bad = int(self.ends.argmax())
            raise LabelError(
                "A run reaches beyond the image.",
                expected=f"{pixels} pixels",
                got=f"'{self.starts[bad] + 1} {self.lengths[bad]}', which ends at pixel {self.ends[bad]}",
                where=where,
                hint="Give the size of the image the table was written for.",
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Runs):
            return NotImplemented
        return np.array_equal(self.starts, other.starts) and np.array_equal(self.lengths, other.lengths)

    def __hash__(self) -> int:
        return hash((self.starts.tobytes(), self.lengths.tobytes()))

    def __len__(self) -> int:
        return len(self.starts)


def _numbers(words: str, where: str | None) -> Positions:
    """Whole numbers of a text with spaces between."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            numbers: NDArray[Any] = np.fromstring(words, dtype=np.int64, sep=" ")
            if not (np.abs(numbers) >= _BEYOND).any() and not (numbers == np.iinfo(np.int64).min).any():
                return numbers
        except (DeprecationWarning, ValueError):
            pass
    split = words.split()
    wrong = next((word for word in split if not re.fullmatch(r"[+-]?\d{1,18}", word)), "")
    wrong = wrong or next((word for word in split if abs(int(word)) >= _BEYOND), words[:20])
    raise LabelError(
        "A run-length text holds something that is no whole number, or no place in an image.",
        expected=f"whole numbers below {_BEYOND} with spaces between",
        got=repr(wrong[:40]),
        where=where,
        hint=_CURE,
    )
