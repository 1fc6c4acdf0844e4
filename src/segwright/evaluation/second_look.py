"""Labels worth a second look: where a network that never saw a case is sure of something that its label denies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from segwright.core.inspection import Finding
from segwright.core.labels import LabelSpace
from segwright.core.words import amount
from segwright.ops.components import component_sizes, label_components

#: Names are doubted where other names fit better by this much mean Dice, and well enough at all.
GAIN, FIT = 0.25, 0.5
#: Dice from which one structure counts as another's.
SAME = 0.5
#: An object counts from this share of a structure's usual size, and if no more than this share of it lies on another.
LEAST, TOUCHING = 0.5, 0.05
#: Mean score from which the network is sure that something is there, and below which that nothing is.
SURE, NOTHING = 0.9, 0.03
#: A structure is found well enough to say that one is missing, or not there, from this median Dice; to say that a name
#: is wrong from this one, as wrong names bring it down by themselves.
KNOWN, NAMED = 0.7, 0.4

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Judged:
    """A case with what was predicted for it by a network that had not seen it.

    Attributes:
        case: Its id.
        reference, prediction: Canonical labels `(P, z, y, x)`.
        scores: Of the structures `(K, z, y, x)`, uint8, 255 is 1.
    """

    case: str
    reference: NDArray[Any]
    prediction: NDArray[Any]
    scores: NDArray[np.uint8]


def doubts(
    judged: Judged, space: LabelSpace, *, usual: Mapping[str, float], known: Mapping[str, float]
) -> list[Finding]:
    """What is doubtful about the label of a case; most often nothing.

    Names that fit better in another order (a row that is counted from the wrong end or one too far, left and right
    exchanged), objects that are plain to see and not labelled, and labelled ones of which nothing is seen. Each is a
    reason to look, never to change a label unseen: the network may be what is wrong. What it says of a structure that
    it does not find in other cases is none. Objects numbered as instances are not judged. After the screening of labels
    by largest false component and best permutation that groups with a few hundred hand radiographs found their label
    faults by.

    Args:
        judged: The case.
        space: Meaning of the labels.
        usual: Share of a scan that each structure fills where it is present.
        known: Median Dice of each structure over cases.
    """
    if space.instances:
        return []
    named = _names(judged, space, known)
    return [named] if named else [*_unlabelled(judged, space, usual, known), *_unseen(judged, space, usual, known)]


def overlap_dice(
    space: LabelSpace, reference: NDArray[Any], prediction: NDArray[Any]
) -> tuple[NDArray[np.float64], Counts]:
    """Dice of every structure of a reference (rows) with every one of a prediction, and the reference's voxels of each.

    Example:
        >>> space = LabelSpace(structures=[{"name": "a"}, {"name": "b"}])
        >>> labels = np.array([[[[1, 1, 2, 2]]]])
        >>> overlap_dice(space, labels, 3 - labels)[0].tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    common, own, sizes = (_exclusive if space.exclusive else _overlapping)(len(space.names), reference, prediction)
    return 2 * common / np.maximum(own[:, None] + sizes[None, :], 1), own


def _exclusive(count: int, reference: NDArray[Any], prediction: NDArray[Any]) -> tuple[Counts, Counts, Counts]:
    """Common voxels of every pair of structures, and the voxels of each in the reference and in the prediction."""
    labelled = reference[0] > 0
    pairs = reference[0][labelled].astype(np.int64) * (count + 1) + np.maximum(prediction[0][labelled], 0)
    table = np.bincount(pairs, minlength=(count + 1) ** 2).reshape(count + 1, count + 1)[1:]
    sizes = np.bincount(prediction[0][prediction[0] > 0], minlength=count + 1)[1:]
    return table[:, 1:], table.sum(axis=1), sizes


def _overlapping(count: int, reference: NDArray[Any], prediction: NDArray[Any]) -> tuple[Counts, Counts, Counts]:
    """The same for structures in planes of their own."""
    planes = prediction.reshape(count, -1)
    common, own = np.zeros((count, count), np.int64), np.zeros(count, np.int64)
    for index in range(count):
        voxels = np.flatnonzero(reference[index] == 1)
        own[index], common[index] = len(voxels), (planes[:, voxels] == 1).sum(axis=1)
    return common, own, np.array([np.count_nonzero(plane == 1) for plane in planes])


def _names(judged: Judged, space: LabelSpace, known: Mapping[str, float]) -> Finding | None:
    """Whether the label's outlines fit the prediction under other names."""
    dice, own = overlap_dice(space, judged.reference, judged.prediction)
    rows, columns = linear_sum_assignment(-dice)
    there = own[rows] > 0
    if not there.any():
        return None
    rows, columns = rows[there], columns[there]
    best, plain = float(dice[rows, columns].mean()), float(dice[rows, rows].mean())
    moved = [(r, c) for r, c in zip(rows.tolist(), columns.tolist(), strict=True) if r != c and dice[r, c] >= SAME]
    moved = [(r, c) for r, c in moved if known.get(space.names[c], 0.0) >= NAMED]
    if best < FIT or best - plain < GAIN or not moved:
        return None
    what = f"{_told(moved, space)} (mean Dice {best:.2f} instead of {plain:.2f})."
    hint = "Look which is right; a wrong name in the label teaches the network to confuse them."
    return Finding(level="warning", code="names-doubtful", what=what, where=judged.case, hint=hint)


def _told(moved: list[tuple[int, int]], space: LabelSpace) -> str:
    """Other names in words."""
    names = space.names
    steps = {other - own for own, other in moved}
    own, other = moved[0]
    if len(moved) > 2 and len(steps) == 1:
        step = steps.pop()
        far, way = ("one" if abs(step) == 1 else str(abs(step))), ("on" if step > 0 else "back")
        return f"Names seem moved by {far}: all fit if {names[own]!r} is called {names[other]!r}, and so {way}"
    if (other, own) in moved and len(moved) == 2:
        return f"{names[own]!r} and {names[other]!r} seem exchanged"
    return f"Names fit better otherwise: {_some([f'{names[a]!r} as {names[b]!r}' for a, b in moved])}"


def _unlabelled(
    judged: Judged, space: LabelSpace, usual: Mapping[str, float], known: Mapping[str, float]
) -> Iterator[Finding]:
    """Predicted objects of which the network is sure, and that the label knows nothing of."""
    seen = []
    for index, name in enumerate(space.names):
        if known.get(name, 0.0) < KNOWN:
            continue
        labelled = _rivals(judged.reference, index, space)
        for size, where in _apart(space.mask(judged.prediction, index), labelled, usual.get(name, 0.0)):
            score = float(judged.scores[index][where].mean()) / 255
            if score >= SURE:
                seen.append(f"{name!r} (score {score:.2f}, {amount(size, 'voxel')} at {_place(where)})")
    if seen:
        what = f"Plain to see and not labelled: {_some(seen)}."
        yield Finding(level="warning", code="unlabelled", what=what, where=judged.case, hint=_LOOK)


def _unseen(
    judged: Judged, space: LabelSpace, usual: Mapping[str, float], known: Mapping[str, float]
) -> Iterator[Finding]:
    """Labelled objects of a structure that is found well elsewhere, and of which nothing at all is seen here."""
    unseen = []
    for index, name in enumerate(space.names):
        if known.get(name, 0.0) < KNOWN:
            continue
        found = _rivals(judged.prediction, index, space)
        scores = judged.scores if space.exclusive else judged.scores[index : index + 1]
        for size, where in _apart(space.mask(judged.reference, index), found, usual.get(name, 0.0)):
            if float(scores[:, where].max(axis=0).mean()) / 255 <= NOTHING:
                unseen.append(f"{name!r} ({amount(size, 'voxel')} at {_place(where)})")
    if unseen:
        what = f"Labelled where nothing is seen: {_some(unseen)}."
        yield Finding(level="warning", code="unseen", what=what, where=judged.case, hint=_LOOK)


def _rivals(labels: NDArray[Any], index: int, space: LabelSpace) -> NDArray[np.bool_]:
    """What explains structure `index` away: any structure, or where they may lie on each other that one; and voxels
    that count for nothing."""
    found: NDArray[np.bool_] = labels[0 if space.exclusive else index] != 0
    return found


def _some(told: list[str]) -> str:
    """The first three, and how many more."""
    more = f" and {len(told) - 3} more" if len(told) > 3 else ""
    return ", ".join(told[:3]) + more


_LOOK = "Look whether the label or the network is right."


def _apart(mask: NDArray[np.bool_], other: NDArray[np.bool_], usual: float) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Components of a mask of half the usual size or more that hardly touch another mask, with their sizes."""
    least = max(LEAST * usual * mask.size, 1.0)
    if np.count_nonzero(mask & ~other) < least:
        return
    numbers, count = label_components(mask)
    sizes = component_sizes(numbers, count)
    touched = np.bincount(numbers[other & mask].ravel(), minlength=count + 1)[1:]
    for number in np.flatnonzero((sizes >= least) & (touched <= TOUCHING * sizes)):
        yield int(sizes[number]), numbers == number + 1


def _place(where: NDArray[np.bool_]) -> str:
    """The middle of an object as voxel indices `z, y, x`; `y, x` of a single plane."""
    middle = [round(float(axis.mean())) for axis in np.nonzero(where)]
    return ", ".join(map(str, middle if where.shape[0] > 1 else middle[1:]))
