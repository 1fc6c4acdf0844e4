"""Finds how labels without a place in the world lie on their scans: by names of files, and by what the images show."""

from __future__ import annotations

import itertools
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.core.case import Case, Dataset, LabelSource
from segwright.core.errors import ChoiceError, Reading, SegwrightError
from segwright.core.volume import Volume
from segwright.io.drawing import is_drawn
from segwright.io.fit_to_image import Look, Verdict, judge, look
from segwright.io.grids import has_place
from segwright.io.image import write_captioned
from segwright.io.lie import last_numbers, planes_for
from segwright.io.masks import are_colours, one_plane
from segwright.io.sources import planes_of_source, volume_of

#: Cases whose images are looked at, and voxels above which every second row and column is left out.
_CASES, _LARGE = 6, 20_000_000
#: Cases, and slices of each, in a picture of a way; a slice has about so many pixels on its longer side.
_SHOWN, _PANEL = 3, 256
_ORDERS = ("position", "file", "number")
_FLIPS = tuple("".join(axes) for count in range(4) for axes in itertools.combinations("zyx", count))
_ORDER_WORDS = {
    "position": "as the series is read, by position",
    "file": "in the order of the files of the series",
    "number": "in the order of the InstanceNumbers of the series",
}


class Way(NamedTuple):
    """One way in which the labels of a dataset may lie.

    Attributes:
        order: Of their planes; `None` where the scan has but one.
        flip: Axes that run backwards.
        axes: Of the stored array; empty as they are read.
    """

    order: str | None = None
    flip: str = ""
    axes: str = ""

    @property
    def usual(self) -> bool:
        """Whether a tool would write labels so without turning them."""
        return not self.flip

    def __str__(self) -> str:
        told = [self.order or "", f"axes {self.axes}" if self.axes else "", f"flipped in {self.flip}" * bool(self.flip)]
        return ", ".join(part for part in told if part) or "as stored"


def with_places(dataset: Dataset) -> Dataset:
    """The dataset with the order, direction and axes of labels that do not say where they lie.

    Costs two reads of up to six cases, and the headers of all; nothing where labels and scans have a place, or neither.

    Raises:
        ChoiceError: Labels fit in several ways, and neither images nor names of files tell which; with a picture each.
    """
    cases = [case for case in dataset.cases if case.label and case.images and not is_drawn(dataset, case)]
    cases = [case for case in cases if not any(s.order or s.flip for s in case.label)]
    if not cases or not _needed(dataset, cases):
        return dataset
    if dataset.label_order or dataset.label_flip:
        return _all_placed(dataset, cases, Way(dataset.label_order or None, dataset.label_flip))
    ways = _ways(dataset, cases)
    if not ways:
        return dataset
    chosen, note = _decided(dataset, cases, ways)
    placed = _all_placed(dataset, cases, chosen)
    return placed.model_copy(update={"notes": (*dataset.notes, note)})


def _all_placed(dataset: Dataset, cases: Sequence[Case], way: Way) -> Dataset:
    """The dataset with the labels of some cases laid in one way."""
    wanted = {case.id for case in cases}
    changed = tuple(_placed(case, way) if case.id in wanted else case for case in dataset.cases)
    return dataset.model_copy(update={"cases": changed})


def _placed(case: Case, way: Way) -> Case:
    told = {"order": way.order, "flip": way.flip or None}
    if way.axes:
        told["axes"] = way.axes
    return case.model_copy(update={"label": tuple(source.model_copy(update=told) for source in case.label)})


def _needed(dataset: Dataset, cases: Sequence[Case]) -> bool:
    """Whether scans of several planes have a place and labels do not, by the first case that can be read."""
    for case in cases[:5]:
        try:
            image, label = volume_of(dataset, case.images[0]), planes_of_source(dataset, case.label[0])
        except SegwrightError:
            continue
        return has_place(image.geometry) and not has_place(label.geometry) and image.geometry.shape[0] > 1
    return False


def _ways(dataset: Dataset, cases: Sequence[Case]) -> list[Way]:
    """All ways in which the labels fit the scans by their shape; usual ones first."""
    axes = [
        letters for letters in _letters(dataset, cases[0]) if all(_fits(dataset, c, letters) for c in cases[:_CASES])
    ]
    series = any("slices" in volume.header for volume in _images(dataset, cases[:_CASES]))
    orders: tuple[str | None, ...] = _ORDERS if series else (None,)
    return [Way(order, flip, letters) for flip in _FLIPS for letters in axes for order in orders]


def _images(dataset: Dataset, cases: Sequence[Case]) -> Iterator[Volume]:
    for case in cases:
        try:
            yield volume_of(dataset, case.images[0])
        except SegwrightError:
            continue  # the check names it


def _letters(dataset: Dataset, case: Case) -> list[str]:
    """Orders of axes that a label's array may have; only the one it is read with where that is stated or fixed."""
    source = case.label[0]
    path = dataset.path(source)
    if source.axes or dataset.label_axes or source.plane is not None or not io.takes_axes(path):
        return [""]
    try:
        header = volume_of(dataset, source).header
    except SegwrightError:
        return [""]
    plain = sorted(str(header.get("axes", ""))) == ["x", "y", "z"] and not header.get("named")
    return ["", *(a for a in ("zyx", "xyz", "yxz", "zxy") if a != header["axes"])] if plain else [""]


def _fits(dataset: Dataset, case: Case, letters: str) -> bool:
    """Whether label and scan have one shape under some axes; true where either cannot be read."""
    try:
        image = volume_of(dataset, case.images[0])
        label = _label_volume(dataset, case.label[0], letters)
    except SegwrightError:
        return not letters
    planes = len(label.header.get("files", ()))
    fewer = not letters and 0 < planes < image.geometry.shape[0]
    return label.geometry.shape[1:] == image.geometry.shape[1:] and (
        label.geometry.shape[0] == image.geometry.shape[0] or fewer
    )


def _label_volume(dataset: Dataset, source: LabelSource, letters: str) -> Volume:
    return planes_of_source(dataset, source.model_copy(update={"axes": letters}) if letters else source)


def _decided(dataset: Dataset, cases: Sequence[Case], ways: list[Way]) -> tuple[Way, str]:
    """The way to take, and what is said of it."""
    looks, distinct = _looks(dataset, cases, ways)
    usual = [way for way in distinct if way.usual]
    verdict, among = None, distinct
    for among in (distinct, usual):
        if len(looks) and len(among) > 1:
            verdict = judge([{str(way): one[way] for way in among} for one in looks])
            if verdict.winner is not None:
                break
    if verdict is not None and verdict.winner is not None:
        way = next(way for way in among if str(way) == verdict.winner)
        return way, _told(way, verdict.reason)
    if len(usual) == 1:
        return usual[0], _told(usual[0], "the images do not tell otherwise, and do not prove it")
    by_name = _by_name(dataset, cases, usual)
    if by_name is not None:
        return by_name, _told(
            by_name, "the numbers of the label's files are those of the series; the images do not tell"
        )
    raise _cannot_tell(dataset, cases, usual, verdict)


def _told(way: Way, evidence: str) -> str:
    words = [_ORDER_WORDS[way.order] if way.order else "as stored"]
    words += [f"with axes {way.axes}"] if way.axes else []
    words += [f"turned round along {way.flip}"] if way.flip else []
    fields = ", ".join(["'order'"] * bool(way.order) + ["'flip'", "'axes'"])
    return (
        f"Labels have no place in the world; they are laid on the scans {', '.join(words)}: {evidence}. "
        f"To state it, give each label {fields} in dataset.yaml."
    )


def _cannot_tell(dataset: Dataset, cases: Sequence[Case], usual: Sequence[Way], verdict: Verdict | None) -> ChoiceError:
    """The question, with a picture of each way and the lines that state it."""
    axes = str(volume_of(dataset, cases[0].label[0]).header.get("axes", ""))
    several = len({way.axes for way in usual}) > 1
    lines = [_lines(way, axes if several else "") for way in usual]
    shown = _shown_ways(dataset, cases, usual, [_captions(way, one) for way, one in zip(usual, lines, strict=True)])
    told = verdict.reason if verdict else "no case could be looked at"
    return ChoiceError(
        f"Labels have no place in the world, and fit their scans in {len(usual)} ways; the images do not tell which "
        f"({told}).",
        [
            Reading(f"{_captions(way, one)[0]}{f', drawn in {path}' if path else ''}", one)
            for way, one, path in zip(usual, lines, shown, strict=True)
        ],
        dataset.root,
        expected="outlines that lie on what they outline, in one of the pictures" if any(shown) else None,
    )


def _lines(way: Way, axes: str) -> dict[str, str]:
    """What states a way in a `dataset.yaml`; `axes` as a label is read, where these are open too."""
    order = {"label_order": way.order} if way.order else {}
    return order | ({"label_axes": way.axes or axes} if axes else {})


def _captions(way: Way, lines: Mapping[str, str]) -> tuple[str, str]:
    """A way in words, and its lines."""
    words = [_ORDER_WORDS[way.order]] if way.order else []
    words += [f"with axes {lines['label_axes']}"] if "label_axes" in lines else []
    return ", ".join(words), ", ".join(f"{key}: {value}" for key, value in lines.items())


def _looks(dataset: Dataset, cases: Sequence[Case], ways: list[Way]) -> tuple[list[dict[Way, Look]], list[Way]]:
    """Looks at the images of some cases, and the ways that differ in any of them."""
    seen = [_looked(dataset, case, ways) for case in cases[:: max(1, len(cases) // _CASES)][:_CASES]]
    seen = [(looks, first) for looks, first in seen if looks]
    kept: list[Way] = []
    for way in ways:
        fits = all(way in first for _, first in seen)
        if fits and not any(all(first[way] == first[other] for _, first in seen) for other in kept):
            kept.append(way)
    return [looks for looks, _ in seen], kept


def _looked(dataset: Dataset, case: Case, ways: Sequence[Way]) -> tuple[dict[Way, Look], dict[Way, Way]]:
    """How each way fits the image of one case, and the first way that lays the label alike."""
    try:
        image = volume_of(dataset, case.images[0])
        voxels = image.array()
        labels = {letters: _values(dataset, case, letters) for letters in dict.fromkeys(way.axes for way in ways)}
    except SegwrightError:
        return {}, {}
    names = volume_of(dataset, case.label[0]).header.get("files", ())
    step = slice(None, None, 2 if voxels[0].size > _LARGE else 1)
    seen: dict[bytes, tuple[Way, Look]] = {}
    looks, first = {}, {}
    for way in ways:
        laid = lay(labels[way.axes], way, image, names)
        if laid is None:
            continue
        key = np.packbits(laid[:, ::3, ::3] != 0).tobytes() + str(laid.shape).encode()
        if key not in seen:
            seen[key] = way, look(voxels[:, :, step, step], laid[:, step, step])
        first[way], looks[way] = seen[key]
    return looks, first


def lay(label: NDArray[Any], way: Way, image: Volume, names: Sequence[str] = ()) -> NDArray[Any] | None:
    """A label as it lies in one way on its scan; `None` where it does not fit so."""
    order = planes_for(way.order or "position", image.header, len(label), names)
    if order is None or label.shape[1:] != image.geometry.shape[1:]:
        return None
    out = np.zeros(image.geometry.shape, label.dtype)
    if len(label) == len(out) or way.order in ("file", "number"):
        out[order] = np.flip(label, tuple("zyx".index(axis) for axis in way.flip))
        return out
    return None


def _values(dataset: Dataset, case: Case, letters: str) -> NDArray[Any]:
    """The label of a case in its own order, structures that come as masks numbered in turn."""
    out: NDArray[Any] | None = None
    for number, source in enumerate(case.label, start=1):
        volume = _label_volume(dataset, source, letters)
        array = volume.array() if source.plane is None else volume.array()[source.plane : source.plane + 1]
        values = one_plane(array, where=str(dataset.path(source)), colours=are_colours(volume))
        if source.structure is None:
            return values
        out = np.zeros(values.shape, np.uint16) if out is None else out
        out[values != 0] = number
    assert out is not None  # a case without label sources is not looked at
    return out


def _shown_ways(
    dataset: Dataset, cases: Sequence[Case], ways: Sequence[Way], captions: Sequence[Sequence[str]]
) -> list[Path | None]:
    """A picture of each way in a new folder: slices of some cases with the label's outline; `None` where none can be.

    Costs a read of each case shown.
    """
    folder = Path(tempfile.mkdtemp(prefix="segwright-ways-"))
    rows = [_row_of_each(dataset, case, ways) for case in cases[:_SHOWN]]
    out: list[Path | None] = []
    for number, (way, caption) in enumerate(zip(ways, captions, strict=True), 1):
        row = [one[way] for one in rows if way in one]
        if not row:
            out.append(None)
            continue
        width = max(one.shape[1] for one in row)
        page = np.concatenate([np.pad(one, ((0, 4), (0, width - one.shape[1]), (0, 0))) for one in row])
        path = folder / f"{number}-{re.sub('[^a-z]+', '-', str(way))}.png"
        write_captioned(path, page, caption)
        out.append(path)
    return out


def _row_of_each(dataset: Dataset, case: Case, ways: Sequence[Way]) -> dict[Way, NDArray[np.uint8]]:
    """For each way the slices of a case `(y, x, 3)` side by side in which its label is largest, outlined in red."""
    try:
        image = volume_of(dataset, case.images[0])
        voxels = image.array()[0].astype(np.float64)
        labels = {way: _values(dataset, case, way.axes) for way in ways}
    except SegwrightError:
        return {}
    names = volume_of(dataset, case.label[0]).header.get("files", ())
    low, high = np.nanpercentile(voxels[:, ::3, ::3], [1, 99])
    grey = (np.clip((np.nan_to_num(voxels) - low) / max(high - low, 1e-9), 0, 1) * 255).astype(np.uint8)
    laid = {way: lay(label, way, image, names) for way, label in labels.items()}
    return {way: _outlined(grey, label) for way, label in laid.items() if label is not None}


def _outlined(grey: NDArray[np.uint8], label: NDArray[Any]) -> NDArray[np.uint8]:
    filled = np.flatnonzero((label != 0).any(axis=(1, 2)))
    chosen = filled[np.linspace(0, len(filled) - 1, 2 * _SHOWN + 1).astype(int)[1::2]] if len(filled) else [0]
    larger = max(1, _PANEL // max(grey.shape[1:]))
    panels = []
    for z in chosen:
        paint = np.repeat(grey[z][..., None], 3, axis=2).repeat(larger, 0).repeat(larger, 1)
        mask = label[z].repeat(larger, 0).repeat(larger, 1)
        edge = np.zeros(mask.shape, bool)
        edge[1:] |= mask[1:] != mask[:-1]
        edge[:, 1:] |= mask[:, 1:] != mask[:, :-1]
        paint[edge] = (255, 40, 40)
        panels.append(np.pad(paint, ((0, 0), (0, 4), (0, 0))))
    return np.concatenate(panels, axis=1)


def _by_name(dataset: Dataset, cases: Sequence[Case], usual: Sequence[Way]) -> Way | None:
    """The order of files or InstanceNumbers, where the files of every label have the same numbers as they."""
    found = set()
    for case in cases:
        try:
            image, label = volume_of(dataset, case.images[0]), volume_of(dataset, case.label[0])
        except SegwrightError:
            continue
        planes, wanted = image.header.get("slices", ()), last_numbers(label.header.get("files", ()))
        if not wanted or not planes:
            return None
        by_file = wanted == sorted(last_numbers([name for name, _, _ in planes]))
        by_number = wanted == sorted(int(number) for _, _, number in planes)
        found.add(("file" if by_file else "") + ("number" if by_number else ""))
    fitting = [way for way in usual if all(way.order and way.order in one for one in found)]
    return fitting[0] if len(fitting) == 1 else None
