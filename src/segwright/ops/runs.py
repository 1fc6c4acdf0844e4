"""Sets of pixels as runs: votes, unions and overlaps by a sweep over run edges, so that no mask is ever decoded."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segwright.core.runs import Runs


def vote(opinions: Sequence[Runs], more_than: float) -> Runs:
    """Pixels that lie in strictly more than `more_than` of the masks.

    Example:
        >>> masks = [Runs.parse(text) for text in ("1 4", "3 4", "4 1")]
        >>> vote(masks, 1).text(), vote(masks, 2).text()
        ('3 2', '4 1')
    """
    rows = np.zeros(len(opinions), np.int64)
    return vote_rows([one.normal() for one in opinions], rows, np.array([more_than]))[0]


def vote_rows(opinions: Sequence[Runs], rows: NDArray[np.int64], more_than: NDArray[np.float64]) -> list[Runs]:
    """`vote` for many masks in one sweep.

    Args:
        opinions: Normal runs (see `Runs.normal`).
        rows: Which result each of them is a vote for, from 0.
        more_than: Threshold of each result; at least 0.

    Returns:
        One result a threshold, in normal form.
    """
    counts = [len(one) for one in opinions]
    starts = np.concatenate([one.starts for one in opinions]) if opinions else np.empty(0, np.int64)
    ends = np.concatenate([one.ends for one in opinions]) if opinions else np.empty(0, np.int64)
    return split_rows(*sweep(starts, ends, np.repeat(rows, counts), more_than), len(more_than))


def sweep(
    starts: NDArray[np.int64], ends: NDArray[np.int64], rows: NDArray[np.int64], more_than: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Stretches covered more often than their row's threshold, for half-open stretches of many rows at once.

    Edges of all rows are sorted once on one line, on which each row has a part of its own; along it the count of
    open stretches rises and falls.

    Args:
        starts, ends: Half-open stretches; those of one mask must not overlap. Empty ones are allowed.
        rows: Row of each.
        more_than: Threshold of each row; at least 0.

    Returns:
        Row, start and length of each stretch, in order; those of a row neither overlap nor touch.
    """
    if not len(starts):
        return starts, starts, starts
    span = int(ends.max()) + 1
    base = rows * span
    edges = np.concatenate([(starts + base) * 2 + 1, (ends + base) * 2])
    edges.sort()
    position = edges >> 1
    open_now = np.cumsum((edges & 1) * 2 - 1)
    last = np.append(position[1:] != position[:-1], True)  # all edges at a pixel count before it is judged
    position, open_now = position[last], open_now[last]
    same = bool((more_than == more_than[0]).all())
    over = open_now > (more_than[0] if same else more_than[position // span])
    turns = np.flatnonzero(over != np.concatenate([[False], over[:-1]]))
    first, after = position[turns[::2]], position[turns[1::2]]
    row = first // span
    return row, first - row * span, after - first


def parse_rows(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]] | None:
    """Run-length texts of many masks read at once: starts from 0, lengths, and the count of runs of each text.

    Returns `None` if any text needs a closer look (by `Runs.parse`, which tells what is wrong with it).

    Example:
        >>> [part.tolist() for part in parse_rows(["2 2 7 2", "", "1 1"])]
        [[1, 6, 0], [2, 2, 1], [2, 0, 1]]
    """
    counts = np.array([text.count(" ") + 1 if text else 0 for text in texts], np.int64)
    if (counts % 2).any():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            numbers = np.fromstring(" ".join(filter(None, texts)), dtype=np.int64, sep=" ")
        except (DeprecationWarning, ValueError):
            return None
    if len(numbers) != counts.sum() or (len(numbers) and (numbers[::2].min() < 1 or numbers[1::2].min() < 0)):
        return None
    return numbers[::2] - 1, numbers[1::2].copy(), counts // 2


def text_rows(row: NDArray[np.int64], starts: NDArray[np.int64], lengths: NDArray[np.int64], count: int) -> list[str]:
    """The result of `sweep` as one run-length text a row, starts from 1."""
    pairs = np.empty(2 * len(starts), np.int64)
    pairs[::2] = starts + 1
    pairs[1::2] = lengths
    letters, ends = _decimal(pairs)
    cuts = np.zeros(count + 1, np.int64)
    which = 2 * np.searchsorted(row, np.arange(1, count + 1))  # numbers up to and with each row
    cuts[1:] = np.where(which > 0, ends[which - 1] if len(ends) else 0, 0)
    text = letters.tobytes().decode("ascii")
    return [text[a:b].rstrip() for a, b in itertools.pairwise(cuts.tolist())]


#: The four digits of 0 to 9999 as letters.
_FOUR = np.frombuffer("".join(f"{i:04d}" for i in range(10_000)).encode(), np.uint8).reshape(-1, 4)


def _decimal(values: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Letters of numbers from 0, a space after each, and where each ends; four digits are written at a time."""
    groups = max(1, -(-len(str(int(values.max(initial=0)))) // 4))
    letters = np.full((len(values), 4 * groups + 1), ord(" "), np.uint8)
    rest = values
    for group in reversed(range(groups)):
        rest, low = (rest // 10_000, rest % 10_000) if group else (rest, rest)
        letters[:, 4 * group : 4 * group + 4] = _FOUR[low]
    digits = np.ones(len(values), np.int64)
    for power in range(1, 4 * groups):
        digits += values >= 10**power
    shown = np.arange(4 * groups + 1) >= (4 * groups - digits)[:, None]
    return letters[shown], np.cumsum(digits + 1)


def split_rows(row: NDArray[np.int64], starts: NDArray[np.int64], lengths: NDArray[np.int64], count: int) -> list[Runs]:
    """The result of `sweep` as one `Runs` a row."""
    cuts = np.searchsorted(row, np.arange(1, count))
    pairs = zip(np.split(starts, cuts), np.split(lengths, cuts), strict=True)
    return [Runs(a, b) for a, b in pairs]


def union(*masks: Runs) -> Runs:
    """Pixels of any mask.

    Example:
        >>> union(Runs.parse("1 2"), Runs.parse("3 2")).text()
        '1 4'
    """
    return vote(masks, 0)


def intersection(*masks: Runs) -> Runs:
    """Pixels of every mask."""
    return vote(masks, len(masks) - 1) if masks else Runs()


def overlap(a: Runs, b: Runs) -> int:
    """Pixels two masks share."""
    return intersection(a, b).area
