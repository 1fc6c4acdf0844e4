"""Tells classes from numbers of objects: do values come back, in one place and size, and is each one piece?

Numbers of objects say nothing about an object: it may lie anywhere and have any size. Classes that wander as freely do
exist, so few values are called objects only where every sign says so; where signs disagree it is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segwright.io.meaning.facts import LabelFacts

#: Without cases to compare: more values than this number objects; so do fewer that are widely scattered.
_MOST_CLASSES, _SCATTERED = 150, 20
#: So few values a file are called objects by no sign, as two or three classes may lie anywhere.
_FEWEST = 4
#: Values of objects are new in nearly every case.
_NEW = 0.9
#: A class keeps to its place: standard deviation over cases, as a share of the array; uniform places give 0.29.
_STEADY, _ANYWHERE = 0.12, 0.18
#: Share of objects that are one piece; below the second share they are surely none.
_WHOLE, _HARDLY_WHOLE = 0.9, 0.7
#: Sizes that values tell apart, by a test of so many exchanges of values within each file.
_EXCHANGES, _TOLD_BY_SIZE = 199, 0.05


class Verdict(NamedTuple):
    """Whether values number objects, why, and what speaks for the other reading (empty where nothing does)."""

    objects: bool
    why: str
    doubt: str = ""


def number_objects(told: Sequence[LabelFacts], pieces: Callable[[], float | None], *, dense: bool = False) -> Verdict:
    """Whether the values of some files number objects.

    Args:
        told: Facts of files with values.
        pieces: Share of the values that are one connected piece in a few files; `None` where nobody can look.
        dense: Files of a kind whose many values nearly always number objects (electron microscopy).
    """
    owners = Counter(value for table in told for value in table.values)
    if any(table.colour for table in told):
        return Verdict(len(owners) > _MOST_CLASSES, "there are too many colours")
    if len(told) == 1:
        return _one_file(sorted(owners), pieces, dense=dense)
    new = sum(count == 1 for count in owners.values()) / len(owners)
    if new >= _NEW and len(owners) >= 2 * len(told) and len(owners) >= 6 and _at_least(_WHOLE, pieces()):
        return Verdict(True, "they are new in nearly every case")
    if all(table.values == frozenset(range(1, len(table.values) + 1)) for table in told):
        return _counted(told, pieces, dense=dense)
    return _with_gaps(told, owners, pieces, dense=dense)


def _one_file(values: Sequence[int], pieces: Callable[[], float | None], *, dense: bool) -> Verdict:
    if _many(values) or (dense and len(values) > _SCATTERED):
        return Verdict(True, "there are too many, and no other case to compare")
    alone = len(values) >= _FEWEST and (pieces() or 0) >= _WHOLE
    return Verdict(False, "", "each is one piece, and there is no other case to compare" if alone else "")


def _many(values: Sequence[int]) -> bool:
    """More values than classes have, or a few that are widely scattered."""
    top = max(values)
    return len(values) > _MOST_CLASSES or (len(values) > _SCATTERED and top > 3 * len(values) and top > 255)


def _counted(told: Sequence[LabelFacts], pieces: Callable[[], float | None], *, dense: bool) -> Verdict:
    """Files that each hold 1 to n."""
    counts = {len(table.values) for table in told}
    most, far = max(counts), _wander(told)
    if far < _STEADY:
        return Verdict(dense and most > _SCATTERED, "they are many")
    whole = pieces()
    if not _at_least(_HARDLY_WHOLE, whole):
        return Verdict(False, "")
    by_size = most <= _SCATTERED and _told_by_size(told)
    anywhere = far >= (_STEADY if most > _SCATTERED else _ANYWHERE)
    sign = len(counts) > 1 or not by_size
    if anywhere and _at_least(_WHOLE, whole) and most >= _FEWEST and sign:
        return Verdict(True, "they count 1 to n at any place", "their sizes differ" if by_size else "")
    doubtful = (anywhere or most >= _FEWEST) and not by_size
    return Verdict(False, "", "every file holds 1 to n, each one piece, at any place" if doubtful else "")


def _with_gaps(
    told: Sequence[LabelFacts], owners: Counter[int], pieces: Callable[[], float | None], *, dense: bool
) -> Verdict:
    """Values of which some are missing here and there: classes if they come back, or keep to their place."""
    come_back = float(np.mean([count / len(told) for count in owners.values()])) >= 0.5
    wander = _wander(told) >= _ANYWHERE
    if not come_back and _many(sorted(owners)):
        return Verdict(True, "they come back in few cases")
    if not come_back and len(owners) > _SCATTERED and (dense or wander) and _at_least(_WHOLE, pieces()):
        return Verdict(True, "they come back in few cases, at any place")
    several = len(owners) >= _FEWEST and float(np.mean([len(table.values) for table in told])) >= 2
    if several and wander and not _told_by_size(told) and _at_least(_WHOLE, pieces()):
        return Verdict(False, "", "each is one piece and lies at any place")
    return Verdict(False, "")


def _at_least(share: float, whole: float | None) -> bool:
    return whole is None or whole >= share


def _wander(told: Sequence[LabelFacts]) -> float:
    """How far a value wanders from case to case, along the axis where it wanders most and values lie apart; else 0.

    Parts of one thing (the rim and the core of a tumour) move together and are no objects of their own.
    """
    by_value: dict[int, list[tuple[float, ...]]] = {}
    for table in told:
        for value, place in table.places.items():
            by_value.setdefault(value, []).append(place)
    over = _spread(list(by_value.values()))
    within = _spread([list(table.places.values()) for table in told])
    if over is None or within is None or over.shape != within.shape:
        return 0.0
    return float(np.where(within >= _STEADY, over, 0.0).max())


def _spread(groups: Sequence[Sequence[tuple[float, ...]]]) -> NDArray[np.float64] | None:
    """Standard deviation along each axis within groups of places, pooled; `None` where no group has two."""
    found = [np.var(np.array(group), axis=0, ddof=1) for group in groups if len(group) >= 2]
    return np.sqrt(np.mean(found, axis=0)) if found else None


def _told_by_size(told: Sequence[LabelFacts]) -> bool:
    """Whether sizes belong to values: exchanging the values within each file at random makes them differ less.

    Files whose values are sorted by size were numbered by size, which tells nothing.
    """
    sizes = [np.log([table.counts[value] for value in sorted(table.values)]) for table in told]
    if all(len(s) >= _FEWEST and (np.diff(s) <= 0).all() for s in sizes):
        return False
    ranks = [
        np.array([sorted(set().union(*(t.values for t in told))).index(v) for v in sorted(t.values)]) for t in told
    ]
    rng = np.random.default_rng(0)
    centred = [s - np.mean(np.concatenate(sizes)) for s in sizes]
    seen = _between(ranks, centred)
    chance = [_between(ranks, [rng.permutation(s) for s in centred]) for _ in range(_EXCHANGES)]
    return (1 + sum(one >= seen for one in chance)) / (1 + _EXCHANGES) < _TOLD_BY_SIZE


def _between(ranks: Sequence[NDArray[np.int64]], sizes: Sequence[NDArray[np.float64]]) -> float:
    """Sum of squares between values."""
    index, size = np.concatenate(ranks), np.concatenate(sizes)
    count = np.bincount(index)
    return float((np.bincount(index, size) ** 2 / np.maximum(count, 1)).sum())
