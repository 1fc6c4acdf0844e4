"""Finds how labels without a place in the world lie on their scans: by names of files, and by what the images show."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.core.case import Case, Dataset, LabelSource
from segwright.core.errors import ChoiceError, LabelError, Reading, SegwrightError
from segwright.core.volume import Volume
from segwright.io.drawing import is_drawn
from segwright.io.fit_to_image import Look, Verdict, judge, look
from segwright.io.grids import has_place
from segwright.io.layouts.overlays import drop_pictures, pictures
from segwright.io.lie import last_numbers, planes_for
from segwright.io.masks import are_colours, one_plane
from segwright.io.sources import planes_of_source, volume_of

#: Voxels above which every second row and column is left out.
_LARGE = 20_000_000
#: One case speaks against what the others say if another way is ahead in it by this much, and surely if the way of the
#: others fits no better than this; in deviations. Of 47 real cases none does surely, and two symmetric heads do.
_DENIES, _CHANCE = 4.0, 2.0
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

    Costs the headers of all cases, and a read of each of which only the scan has a place.

    Raises:
        ChoiceError: Labels fit in several ways, and neither images nor names of files tell which; with a picture each.
        LabelError: The label of one case lies clearly otherwise than those of the others; names it.
    """
    cases = [case for case in dataset.cases if case.label and case.images and not is_drawn(dataset, case)]
    cases = [case for case in cases if not any(s.order or s.flip for s in case.label) and _needed(dataset, case)]
    if not cases:
        return dataset
    if dataset.label_order or dataset.label_flip:
        drop_pictures(dataset.root)  # the question is answered
        return _all_placed(dataset, cases, Way(dataset.label_order or None, dataset.label_flip))
    ways = _ways(dataset, cases)
    if not ways:
        return dataset
    chosen, note = _decided(dataset, cases, ways)
    drop_pictures(dataset.root)
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


def _needed(dataset: Dataset, case: Case) -> bool:
    """Whether a scan of several planes has a place and its label has none; false where either cannot be read."""
    try:
        image = volume_of(dataset, case.images[0])
        if image.geometry.shape[0] == 1 or not has_place(image.geometry):
            return False
        return not has_place(planes_of_source(dataset, case.label[0]).geometry)
    except SegwrightError:
        return False  # the check names it


def _ways(dataset: Dataset, cases: Sequence[Case]) -> list[Way]:
    """All ways in which the labels fit the scans by their shape, but for labels that fit in none; usual ones first."""
    letters = _letters(dataset, cases[0])
    fitting = [{axes for axes in letters if _fits(dataset, case, axes)} for case in cases]
    shared = [axes for axes in letters if all(axes in one for one in fitting if one)] if any(fitting) else []
    series = any("slices" in volume_of(dataset, case.images[0]).header for case in cases)
    orders: tuple[str | None, ...] = _ORDERS if series else (None,)
    return [Way(order, flip, axes) for flip in _FLIPS for axes in shared for order in orders]


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
    seen, distinct = _looks(dataset, cases, ways)
    looks = list(seen.values())
    usual = [way for way in distinct if way.usual]
    verdict, among = None, distinct
    for among in (distinct, usual):
        if len(looks) and len(among) > 1:
            verdict = judge([{str(way): one[way] for way in among} for one in looks])
            if verdict.winner is not None:
                break
    if verdict is not None and verdict.winner is not None:
        way = next(way for way in among if str(way) == verdict.winner)
        return way, " ".join([_told(way, verdict.reason), *_exceptions(dataset, seen, way, among)])
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
    captions = [_captions(way, one) for way, one in zip(usual, lines, strict=True)]
    shown = pictures(dataset.root, [str(way) for way in usual], captions, _laid_each(dataset, cases, usual))
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


def _looks(dataset: Dataset, cases: Sequence[Case], ways: list[Way]) -> tuple[dict[str, dict[Way, Look]], list[Way]]:
    """Looks at the images of all cases by their ids, and the ways that differ in any of them.

    A label that fits in none of the ways decides nothing: reading it says what is wrong.
    """
    seen = {case.id: found for case in cases if (found := _looked(dataset, case, ways))[0]}
    kept: list[Way] = []
    for way in ways:
        fits = all(way in first for _, first in seen.values())
        if fits and not any(all(first[way] == first[other] for _, first in seen.values()) for other in kept):
            kept.append(way)
    return {case: looks for case, (looks, _) in seen.items()}, kept


def _exceptions(
    dataset: Dataset, seen: Mapping[str, Mapping[Way, Look]], chosen: Way, among: Sequence[Way]
) -> list[str]:
    """Sentences on cases whose image speaks for another way than the one that is right in the others.

    Raises:
        LabelError: One surely does; names the case.
    """
    told = []
    for name, looks in seen.items():
        here, other = looks[chosen], max((way for way in among if way != chosen), key=lambda way: looks[way].edge)
        if looks[other].edge - here.edge < _DENIES:
            continue
        if here.edge < _CHANCE:
            case = next(case for case in dataset.cases if case.id == name)
            raise LabelError(
                f"The label of case {name!r} lies otherwise on its scan than those of the other cases.",
                expected=f"{chosen}, as in the others: border contrast {here.ratio:.2f}",
                got=f"{other}: border contrast {looks[other].ratio:.2f} (1 is chance)",
                where=dataset.path(case.label[0]),
                hint="Store the label of this case as the others are stored, or list the cases in a dataset.yaml and "
                "give each label its 'order' and 'flip'.",
            )
        told.append(
            f"Look at case {name}: its image fits the label better {other} (border contrast {looks[other].ratio:.2f} "
            f"against {here.ratio:.2f})."
        )
    return told


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


def _laid_each(
    dataset: Dataset, cases: Sequence[Case], ways: Sequence[Way]
) -> Iterator[tuple[NDArray[Any], dict[str, NDArray[Any]]]]:
    """The scan of each case that can be read, and its label as it lies in each way that fits."""
    for case in cases:
        try:
            image = volume_of(dataset, case.images[0])
            labels = {way: _values(dataset, case, way.axes) for way in ways}
            names = volume_of(dataset, case.label[0]).header.get("files", ())
            voxels = image.array()[0]
        except SegwrightError:
            continue
        laid = {str(way): lay(label, way, image, names) for way, label in labels.items()}
        yield voxels, {way: label for way, label in laid.items() if label is not None}


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
