"""The heart's width over that of the chest on a frontal film."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import UnknownNameError
from segwright.measures.measure import Mark, Subject, Taken, Value, measure

HEART = re.compile(r"heart|cardi|^herz$|^cor$", re.IGNORECASE)
LUNGS = re.compile(r"lung|pulmo", re.IGNORECASE)
#: From this ratio on, a heart is called enlarged in adults (Danzer 1919).
LARGE = 0.5


@measure()
def cardiothoracic(subject: Subject, heart: str = "", lungs: Sequence[str] = ()) -> Taken:
    """Cardiothoracic ratio: the greatest horizontal width of the heart over that of the chest between the lungs' edges.

    The heart's width is the distance between its leftmost and rightmost points, which on paper are measured from the
    midline; the chest's is the greatest distance, along one row, from the outer edge of one lung to that of the other.

    Args:
        subject: A frontal film, upright.
        heart: Structure that is the heart; by its name if not given.
        lungs: Structures that are lungs; by their names if not given.
    """
    if not subject.flat:
        return Taken(missing="the cardiothoracic ratio is taken on a single frontal film; this is a volume")
    hearts = _found(subject, [heart] if heart else [], HEART)
    sides = _found(subject, [lungs] if isinstance(lungs, str) and lungs else list(lungs), LUNGS)
    absent = [what for what, names in (("heart", hearts), ("lungs", sides)) if not names]
    if absent:
        return Taken(missing=f"no structure named like {' and '.join(absent)}; name it with {absent[0]}=")
    masks = {"heart": subject.union(hearts)[0], "lungs": subject.union(sides)[0]}
    empty = [what for what, mask in masks.items() if not mask.any()]
    if empty:
        values = (Value("heart", "cardiothoracic ratio", None, "", f"{empty[0]} empty"),)
        return Taken(values, missing=f"{' and '.join(empty)} empty")
    return _taken(subject, masks["heart"], masks["lungs"])


def _taken(subject: Subject, heart: NDArray[np.bool_], lungs: NDArray[np.bool_]) -> Taken:
    """Both widths, their ratio, and the lines."""
    columns = np.flatnonzero(heart.any(axis=0))
    wide = int(columns[-1] - columns[0] + 1)
    row, left, right = widest_row(lungs)
    chest = right - left + 1
    edge = subject.lengths[2]
    ratio = wide / chest
    values = (
        Value(
            "heart",
            "cardiothoracic ratio",
            ratio,
            "",
            f"{LARGE:g} or more in adults: enlarged" if ratio >= LARGE else "",
        ),
        Value("heart", "heart width", wide * edge, subject.unit),
        Value("lungs", "chest width", chest * edge, subject.unit),
    )
    ends = [(int(np.flatnonzero(heart[:, column]).mean()), column) for column in (columns[0], columns[-1])]
    middle = (ends[0][0] + ends[1][0]) / 2
    drops = [Mark(np.array([end, (middle, end[1])], float)) for end in ends]
    marks = (
        *drops,
        Mark(np.array([(middle, columns[0]), (middle, columns[-1])], float), f"heart / chest {ratio:.2f}", "main"),
        Mark(np.array([(row, left), (row, right)], float), "", "main"),
    )
    return Taken(values, marks)


def widest_row(mask: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Row of a mask `(y, x)` with the greatest distance between its first and last pixel, and those.

    Example:
        >>> widest_row(np.array([[0, 1, 0, 0], [1, 0, 0, 1]], bool))
        (1, 0, 3)
    """
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    best = int((last - first).argmax())
    return int(rows[best]), int(first[best]), int(last[best])


def _found(subject: Subject, given: Sequence[str], pattern: re.Pattern[str]) -> tuple[str, ...]:
    for name in given:
        if name not in subject.names:
            raise UnknownNameError.among("structure", name, subject.names)
    return tuple(given) or tuple(name for name in subject.names if pattern.search(name))
