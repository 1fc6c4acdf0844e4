"""Pictures of cases: the most telling slices, reference and prediction as outlines over the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.labels import LabelSpace
from segwright.report.content import WorstCase
from segwright.report.figures import Mask, Outline, Panel, display, panel_of, traced, window_of
from segwright.report.wording import MISSING, colour, number

#: Longest side in pixels of a slice that is not worth cropping.
_SMALL = 128
#: Slices below which a volume is shown in its own plane only, and the least proportion of a picture worth a place.
_FLAT, _NARROW = 6, 0.1
_PLANES = {"S": "axial", "I": "axial", "A": "coronal", "P": "coronal", "L": "sagittal", "R": "sagittal"}


@dataclass(frozen=True)
class View:
    """One plane with its outlines.

    Attributes:
        title: `axial`, `coronal`, `sagittal`; across `z`, `y` or `x` where the orientation is unknown.
        caption: Which slice of how many; empty for a single plane.
    """

    title: str
    caption: str
    panel: Panel
    outlines: list[Outline]


@dataclass(frozen=True)
class Picture:
    """One case: the whole slice without outlines, and views with them; `same` if the first shows the whole slice.

    Volumes have a view along each axis, the stored plane first.
    """

    overview: Panel
    same: bool
    views: list[View]

    @property
    def detail(self) -> Panel:
        """The first view's panel."""
        return self.views[0].panel

    @property
    def outlines(self) -> list[Outline]:
        """The first view's outlines."""
        return self.views[0].outlines

    @property
    def caption(self) -> str:
        """Plane and slice of the first view."""
        return self.views[0].caption

    @property
    def legend(self) -> list[Outline]:
        """Every structure that any view shows, once, the lowest score first and undefined ones last."""
        shown = {outline.index: outline for view in self.views for outline in view.outlines}
        return sorted(shown.values(), key=lambda outline: (outline.score == MISSING, outline.score, outline.index))


@dataclass(frozen=True)
class Drawn:
    """A case as the page shows it; the arrays it was drawn from are let go.

    Attributes:
        case, group, fold, picture: Whose it is, and what is drawn.
        heading: Shown instead of the case's name.
        note: What makes it worth looking at.
    """

    case: str
    group: str
    fold: int | None
    picture: Picture
    heading: str = ""
    note: str = ""


def drawn(worst: WorstCase, labels: LabelSpace, heading: str = "") -> Drawn:
    """Draw a case, and name the structure that makes it what it is."""
    return Drawn(worst.case, worst.group, worst.fold, picture(worst, labels), heading, verdict(worst, labels))


def weakest(worst: WorstCase, labels: LabelSpace) -> int | None:
    """Index of the structure with the lowest Dice; `None` where none is defined."""
    known = {name: worst.scores.get(name) for name in labels.names}
    values = {name: value for name, value in known.items() if value is not None}
    return labels.names.index(min(values, key=lambda name: values[name])) if values else None


def verdict(worst: WorstCase, labels: LabelSpace) -> str:
    """The structure that makes a case worst, and how: a mean hides it behind those that went well."""
    index = weakest(worst, labels)
    if index is None:
        return ""
    name = labels.names[index]
    there, found = (bool(labels.mask(array, index).any()) for array in (worst.reference, worst.prediction))
    told = f"{name} {number(worst.scores[name])}"
    if there != found:
        return f"{told}: missed" if there else f"{told}: invented, the reference has none"
    return f"Lowest: {told}" if len(labels.names) > 1 else ""


def picture(worst: WorstCase, labels: LabelSpace) -> Picture:
    """Draw the slices where reference and prediction differ most.

    The overview shows the whole slice without outlines, a view the surroundings of all structures with them. Rows and
    columns are turned as radiologists expect if the orientation is known.
    """
    plane = _cut(worst, labels, 0)
    whole, box = _whole(plane), _surroundings(plane.pairs, plane.image.shape)
    same = box == (0, plane.image.shape[0], 0, plane.image.shape[1])
    views = [_view(plane, box, labels, worst)]
    for axis in (1, 2) if worst.image.shape[0] >= _FLAT else ():
        other = _cut(worst, labels, axis)
        panel = _view(other, _surroundings(other.pairs, other.image.shape), labels, worst)
        if min(panel.panel.width, panel.panel.height) >= _NARROW * max(panel.panel.width, panel.panel.height):
            views.append(panel)
    return Picture(whole if same else _framed(whole, box, plane.image.shape), same, views)


def telling_slice(worst: WorstCase, labels: LabelSpace, axis: int = 0) -> int:
    """Slice along an axis with most voxels of the weakest structure, or else of any, labelled differently.

    Without any difference, the one with most structure.
    """
    others = tuple(other for other in range(3) if other != axis)
    ignored = labels.ignored(worst.reference)
    index = weakest(worst, labels)
    if index is not None:
        apart = labels.mask(worst.reference, index) != labels.mask(worst.prediction, index)
        weak = (apart & ~ignored).sum(axis=others)
        if weak.any():
            return int(weak.argmax())
    reference: NDArray[Any] = worst.reference
    prediction: NDArray[Any] = worst.prediction
    if labels.instances:  # objects are numbered differently, so their union is compared
        reference, prediction = reference > 0, prediction > 0
    differ = ((reference != prediction).any(axis=0) & ~ignored).sum(axis=others)
    if differ.any():
        return int(differ.argmax())
    present = (worst.reference > 0).any(axis=0).sum(axis=others)
    return int(present.argmax()) if present.any() else len(present) // 2


@dataclass(frozen=True)
class _Plane:
    """One slice as displayed: pixels, masks of each structure (reference, prediction), and where it lies."""

    image: NDArray[np.float32]
    pairs: list[tuple[Mask, Mask]]
    steps: tuple[float | None, ...]
    letters: tuple[str, str, str, str] | None
    title: str
    caption: str


def _cut(worst: WorstCase, labels: LabelSpace, axis: int) -> _Plane:
    """The telling slice along an axis."""
    index = telling_slice(worst, labels, axis)
    others = [other for other in range(3) if other != axis]
    known = len(worst.orientation) == 3
    order = display("".join(worst.orientation[other] for other in others) if known else "")
    image = order.turn(np.asarray(np.take(worst.image, index, axis=axis), dtype=np.float32))
    reference, prediction = (np.take(array, [index], axis=axis + 1) for array in (worst.reference, worst.prediction))
    pairs = [
        (
            order.turn(_parted(np.squeeze(labels.mask(reference, i), axis=axis), reference, labels)),
            order.turn(_parted(np.squeeze(labels.mask(prediction, i), axis=axis), prediction, labels)),
        )
        for i in range(len(labels.structures))
    ]
    steps = tuple(worst.spacing[other] for other in others)[:: -1 if order.transpose else 1]
    title = _PLANES.get(worst.orientation[axis], "") if known else ""
    count = worst.image.shape[axis]
    caption = f"slice {index + 1} of {count}" if count > 1 else ""
    return _Plane(image, pairs, steps, order.letters, title or f"across {'zyx'[axis]}", caption)


def _parted(mask: Mask, array: NDArray[np.integer[Any]], labels: LabelSpace) -> Mask:
    """Of objects the mask without the pixels where two of them meet, so that each gets an outline of its own."""
    if not labels.instances:
        return mask
    ids = array.reshape(mask.shape)
    apart = np.zeros_like(mask)
    apart[:-1] |= (ids[:-1] != ids[1:]) & (ids[:-1] > 0) & (ids[1:] > 0)
    apart[:, :-1] |= (ids[:, :-1] != ids[:, 1:]) & (ids[:, :-1] > 0) & (ids[:, 1:] > 0)
    return mask & ~apart


def _whole(plane: _Plane) -> Panel:
    return panel_of(plane.image, plane.steps, window_of(plane.image), plane.letters)


def _view(plane: _Plane, box: tuple[int, int, int, int], labels: LabelSpace, worst: WorstCase) -> View:
    """A plane cut to a box, with outlines of what it shows; structures absent from both are left out."""
    rows, columns = slice(box[0], box[1]), slice(box[2], box[3])
    panel = panel_of(plane.image[rows, columns], plane.steps, window_of(plane.image), plane.letters)
    shown = [
        (index, reference[rows, columns], prediction[rows, columns])
        for index, (reference, prediction) in enumerate(plane.pairs)
        if reference.any() or prediction.any()
    ]
    paths = traced([mask for _, *pair in shown for mask in pair], panel)
    outlines = [
        Outline(
            labels.names[index],
            colour(labels, index),
            paths[2 * place],
            paths[2 * place + 1],
            number(worst.scores.get(labels.names[index])),
            index,
        )
        for place, (index, _, _) in enumerate(shown)
    ]
    return View(plane.title, plane.caption, panel, outlines)


def _surroundings(pairs: Sequence[tuple[Mask, Mask]], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Rows and columns around all structures, at least a fifth of the slice; all of it if that is most of it."""
    union = np.zeros(shape, bool)
    for reference, prediction in pairs:
        union |= reference | prediction
    if not union.any() or max(shape) <= _SMALL:
        return 0, shape[0], 0, shape[1]
    bounds: list[int] = []
    for axis in (0, 1):
        hit = np.flatnonzero(union.any(axis=1 - axis))
        half = max((hit[-1] - hit[0] + 1) * 0.75, shape[axis] * 0.1, 12)
        centre = (hit[-1] + hit[0] + 1) / 2
        bounds += [max(int(centre - half), 0), min(int(centre + half) + 1, shape[axis])]
    area = (bounds[1] - bounds[0]) * (bounds[3] - bounds[2])
    if area > 0.5 * shape[0] * shape[1]:
        return 0, shape[0], 0, shape[1]
    return bounds[0], bounds[1], bounds[2], bounds[3]


def _framed(overview: Panel, box: tuple[int, int, int, int], shape: tuple[int, ...]) -> Panel:
    """The overview with the rectangle that the detail shows."""
    down, across = overview.height / shape[0], overview.width / shape[1]
    frame = (box[2] * across, box[0] * down, (box[3] - box[2]) * across, (box[1] - box[0]) * down)
    rounded = (round(frame[0], 1), round(frame[1], 1), round(frame[2], 1), round(frame[3], 1))
    return replace(overview, frame=rounded)
