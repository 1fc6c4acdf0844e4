"""How run-length tables count pixels: along rows or down columns, from 0 or 1, starts absolute or relative.

A table does not say so. Of the ways that its numbers allow, the right one gives shapes and not stripes; where a mask
and its mirror image in the diagonal are equally compact, as in square images, the images themselves are asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import UsageError
from segwright.core.runs import Runs
from segwright.io.fit_to_image import Verdict, judge, look

Numbers = NDArray[np.int64]

#: Masks that are decoded, and their pixels all together.
_MASKS, _PIXELS = 60, 60_000_000
#: Borders must be longer by this factor for an order to be wrong.
_LONGER = 1.15
#: So many times more runs must touch a border, and so many more besides, for the first pixel to be number 0.
_TOUCHING = 3
#: Share of rows whose runs may be out of order in a table that counts from the first pixel.
_UNTIDY = 0.05
#: Cases whose images are asked.
_ASKED = 12


@dataclass(frozen=True, slots=True)
class Counting:
    """One way to count.

    Attributes:
        down: Down the columns, not along the rows.
        first: Number of the first pixel.
        relative: A start counts from the end of the run before.

    Example:
        >>> str(Counting(down=True)), Counting.parse("rows from 0, relative")
        ('columns from 1', Counting(down=False, first=0, relative=True))
    """

    down: bool = False
    first: int = 1
    relative: bool = False

    def __str__(self) -> str:
        return f"{'columns' if self.down else 'rows'} from {self.first}{', relative' * self.relative}"

    @classmethod
    def parse(cls, text: str) -> Counting:
        """From the words of `dataset.yaml`; empty is along rows from 1.

        Raises:
            UsageError: Other words.
        """
        found = re.fullmatch(r"(rows|columns) from ([01])(, relative)?", text.strip().lower())
        if not found and text.strip():
            raise UsageError(
                "How run lengths count is not understood.",
                expected="'rows from 1', 'columns from 1' or the like from 0, each perhaps with ', relative'",
                got=text,
                hint="Correct 'run_lengths' in dataset.yaml.",
            )
        return cls(found[1] == "columns", int(found[2]), bool(found[3])) if found else cls()

    def mask(self, text: str, size: tuple[int, int], *, where: str | None = None) -> NDArray[np.bool_]:
        """The mask `(rows, columns)` of a run-length text.

        Raises:
            LabelError: Text that is no runs, or runs beyond the mask.
        """
        runs = self.runs(text, where=where).normal()
        return runs.mask(size[::-1], where=where).T if self.down else runs.mask(size, where=where)

    def runs(self, text: str, *, where: str | None = None) -> Runs:
        """Runs in the order of counting, with absolute starts from 0."""
        return Runs.parse(text, where=where, first=self.first, relative=self.relative)


class Sample(NamedTuple):
    """A row of a table: its text, the size (rows, columns) of its image, and a reader of that image `(C, z, y, x)`."""

    text: str
    size: tuple[int, int]
    image: Callable[[], NDArray[Any]]


class Found(NamedTuple):
    """The way that fits, the evidence in words, and whether it is sure."""

    counting: Counting
    why: str
    sure: bool


def find_counting(samples: Sequence[Sample]) -> Found:
    """The way of counting that fits the rows of a table.

    Costs the decoding of up to 60 masks twice, and of up to 12 images where shapes do not tell.

    Raises:
        LabelError: A row is no run-length text.
    """
    rows = [(np.array(numbers, np.int64), sample) for sample in samples if (numbers := _numbers(sample.text))]
    rows = [(numbers, sample) for numbers, sample in rows if len(numbers) % 2 == 0]
    if not rows:
        return Found(Counting(), "no row holds runs", True)
    relative = _relative(rows)
    some = _some(rows, relative)
    ways = {down: _borders(some, Counting(down, _first_by_bounds(rows, relative), relative)) for down in (False, True)}
    down = ways[True] < ways[False]
    ratio = max(ways.values()) / max(min(ways.values()), 1)
    why, sure = f"shapes have borders {ratio:.1f} times shorter than the other way", ratio >= _LONGER
    if not sure:
        down, why, sure = _by_images(some, relative)
    first, how = _first(rows, some, down, relative)
    return Found(Counting(down, first, relative), f"{why}; {how}", sure)


def _numbers(text: str) -> list[int]:
    words = text.split()
    return [int(word) for word in words] if len(words) > 1 and all(word.isdigit() for word in words) else []


Rows = Sequence[tuple[Numbers, Sample]]


def _relative(rows: Rows) -> bool:
    """Whether starts count from the end of the run before: absolute ones are in order, relative ones stay inside."""
    several = [(numbers, sample) for numbers, sample in rows if len(numbers) > 2]
    untidy = sum(bool((n[2::2] < n[:-2:2] + n[1:-2:2]).any()) for n, _ in several)
    inside = all(int(numbers.sum()) <= sample.size[0] * sample.size[1] + 1 for numbers, sample in rows)
    return inside and untidy > _UNTIDY * len(several)


def _first_by_bounds(rows: Rows, relative: bool) -> int:
    """The number of the first pixel as far as bounds tell; the usual one otherwise."""
    if any(int(numbers[::2].min()) == 0 and int(numbers[1::2].min()) > 0 for numbers, _ in rows):
        return 0
    return 0 if relative else 1


def _some(rows: Rows, relative: bool) -> list[Sample]:
    """Some rows with pixels, spread over the table."""
    full = [sample for numbers, sample in rows if numbers[1::2].any() and _inside(numbers, sample, relative)]
    chosen = full[:: max(1, len(full) // _MASKS)][:_MASKS]
    pixels = max((sample.size[0] * sample.size[1] for sample in chosen), default=1)
    return chosen[: max(4, _PIXELS // pixels)]


def _inside(numbers: Numbers, sample: Sample, relative: bool) -> bool:
    """Whether all runs end inside the image, however the first pixel is numbered."""
    end = numbers.sum() if relative else (numbers[::2] + numbers[1::2]).max()
    return int(end) <= sample.size[0] * sample.size[1]


def _borders(some: Sequence[Sample], way: Counting) -> int:
    """Length of all borders of the masks; those at the edge of an image count, or masks would seem better there."""
    total = 0
    for sample in some:
        mask = np.pad(way.mask(sample.text, sample.size), 1)
        total += int((mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum())
    return total


def _by_images(some: Sequence[Sample], relative: bool) -> tuple[bool, str, bool]:
    """The order whose borders lie where the images change."""
    ways = {name: Counting(down, 0 if relative else 1, relative) for name, down in (("rows", False), ("columns", True))}
    verdict = _asked(some, ways)
    if verdict is None:
        return False, "nothing tells rows from columns", False
    return verdict.winner == "columns", f"by the images: {verdict.reason}", verdict.winner is not None


def _asked(some: Sequence[Sample], ways: dict[str, Counting]) -> Verdict | None:
    """What the images of some rows say of ways to count; `None` where none has the size of its mask."""
    looks = []
    for sample in some[:: max(1, len(some) // _ASKED)][:_ASKED]:
        image = sample.image()
        if image.shape[1:] == (1, *sample.size):
            looks.append(
                {n: look(image, way.mask(sample.text, sample.size)[None].astype(np.uint8)) for n, way in ways.items()}
            )
    return judge(looks) if looks else None


def _first(rows: Rows, some: Sequence[Sample], down: bool, relative: bool) -> tuple[int, str]:
    """The number of the first pixel, and what tells it."""
    if _first_by_bounds(rows, relative) == 0 and not relative:
        return 0, "a run starts at 0"
    if relative:
        return 0, "starts are out of order, so each counts from the run before"
    ends = [(int((numbers[::2] + numbers[1::2]).max()), sample.size[0] * sample.size[1]) for numbers, sample in rows]
    if any(end == pixels + 1 for end, pixels in ends):
        return 1, "a run ends at the last pixel"
    verdict = _asked(some, {"counted from 0": Counting(down, 0), "counted from 1": Counting(down, 1)})
    if verdict is not None and verdict.winner is not None:
        return int(verdict.winner[-1]), f"by the images: {verdict.reason}"
    touching = {first: _touching(rows, first, down) for first in (0, 1)}
    told = f"{touching[0]} runs would touch a border counted from 0, {touching[1]} from 1"
    return (0 if touching[0] > _TOUCHING + _TOUCHING * touching[1] else 1), told


def _touching(rows: Rows, first: int, down: bool) -> int:
    """Runs that begin or end with a line, as those of objects at the border do where the first pixel is right."""
    total = 0
    for numbers, sample in rows:
        line = sample.size[0] if down else sample.size[1]
        starts = numbers[::2] - first
        total += int((starts % line == 0).sum() + ((starts + numbers[1::2]) % line == 0).sum())
    return total
