"""Predictions that are no plain masks (polygons, run lengths, DICOM SEG, RTSTRUCT, planes of arrays), case by case."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.core.case import Case, Dataset, LabelSource
from segwright.core.errors import LabelError, SegwrightError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace, Structure
from segwright.core.words import listed
from segwright.evaluation.pairing import CaseFinder, made_of
from segwright.io.dataset import open_dataset
from segwright.io.drawing import geometry_of, is_drawn, read_drawn, to_canonical
from segwright.io.drawn import Drawn
from segwright.io.formats.dicomseg.layout import label_files, owners
from segwright.io.formats.rle.layout import counting_of
from segwright.io.layouts.container import with_keys
from segwright.io.layouts.content import mostly_labels
from segwright.io.layouts.listing import draft
from segwright.io.layouts.scan import Item, files, stem_of, suffix_of
from segwright.io.layouts.structures import with_drawn
from segwright.io.layouts.two import drawn_files
from segwright.io.layouts.values import with_labels
from segwright.io.load import load_label

_TABLES = frozenset({".yaml", ".yml", ".csv", ".tsv"})
#: Arrays without named axes, which may hold a plane a structure.
_ARRAYS = frozenset({".mat", ".npy", ".npz"})


@dataclass(frozen=True)
class Answers:
    """Predictions by the reference's cases.

    Attributes:
        dataset: Cases of the predictions, with the reference's images where it has them.
        cases: Case of the reference to case of `dataset`.
        names: Class of the predictions to structure; `None` where values mean what they mean in the reference.
        extra: Predictions without a reference.
        notes: What was assumed.
        repairs: Filled as cases are read: what was clipped, dropped or assumed in each.
    """

    dataset: Dataset
    cases: Mapping[str, Case]
    names: Mapping[str, str] | None
    extra: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    repairs: dict[str, tuple[str, ...]] = field(default_factory=dict, compare=False)

    @property
    def overlapping(self) -> bool:
        """Whether a voxel may be predicted to be several structures."""
        return self.names is not None and not self.dataset.labels.exclusive

    def grid(self, case: str) -> Geometry:
        """The grid a prediction states itself.

        Raises:
            LabelError: It states none.
        """
        item = self.cases[case]
        first = item.label[0]
        if first.plane is not None:
            return io.read_planes(self.dataset.path(first), first.key).geometry
        try:
            return geometry_of(self.dataset, item)
        except LabelError as error:
            raise LabelError(
                f"Nothing says how large the image of case {case!r} is.",
                where=self.dataset.path(first),
                hint="Give the reference as a dataset: the folder that holds the images as well, or a dataset.yaml.",
            ) from error

    def read(self, case: str, space: LabelSpace, like: Geometry) -> NDArray[Any]:
        """Canonical labels `(P, z, y, x)` of the reference's `space`, on the grid `like`.

        Raises:
            SegwrightError: The file cannot be read, means nothing, or does not fit the grid.
        """
        item = self.cases[case]
        if self.names is None:
            return load_label(self.dataset.model_copy(update={"labels": space}), item, like)
        found = Drawn(like.shape)
        for name, mask in self._masks(item, like, case).items():
            if name in self.names:
                found.mask(self.names[name])[...] |= mask
        return to_canonical(found, space, where=str(self.dataset.path(item.label[0])))

    def _masks(self, item: Case, like: Geometry, case: str) -> Mapping[str, NDArray[np.bool_]]:
        if is_drawn(self.dataset, item):
            drawn = read_drawn(self.dataset, item, like)
            if drawn.repairs:
                self.repairs[case] = tuple(drawn.repairs)
            return drawn.masks
        labels, theirs = load_label(self.dataset, item, like), self.dataset.labels
        return {name: theirs.mask(labels, index) for index, name in enumerate(theirs.names)}


def find_answers(place: Path, reference: Dataset) -> Answers | None:
    """The predictions in `place` for the cases of `reference`; `None` where they are plain masks or maps of values.

    Raises:
        LabelError: They name none of the reference's structures.
    """
    pairs = _pairs(place, reference)
    if pairs is None:
        return None
    dataset, found, extra = pairs
    named = bool(dataset.labels.structures)
    names = same_names(dataset.labels.names, reference.labels, where=str(place)) if named and found else None
    notes = (*dataset.notes, *(names.notes if names else ()))
    return Answers(dataset, found, names.names if names else None, tuple(extra), notes)


def drawn_in(place: Path) -> bool:
    """Whether a place holds labels that name their structures, rather than masks or maps of values."""
    if place.is_file():
        return io.form_of(place) is not None
    direct = files(place)
    if not drawn_files(place):
        return not direct and bool(label_files(place))
    return not direct or not mostly_labels([Item(path, stem_of(path)) for path in direct])


Pairs = tuple[Dataset, dict[str, Case], list[str]]


def _pairs(place: Path, reference: Dataset) -> Pairs | None:
    """Predictions as a dataset, those of each case, and names of those that belong to none."""
    if place.is_file() and place.suffix.lower() in _TABLES and io.form_of(place) is None:
        return _by_id(open_dataset(place), reference)
    if drawn_in(place):
        return _drawn(place, reference)
    direct = files(place) if place.is_dir() else []
    arrays = bool(direct) and all(suffix_of(path) in _ARRAYS for path in direct) and not reference.labels.instances
    return _arrays(place, direct, reference) if arrays else None


def _by_id(theirs: Dataset, reference: Dataset) -> Pairs:
    """A dataset of predictions; each on the grid of the reference's image."""
    finder = CaseFinder(reference.labelled)
    found: dict[str, Case] = {}
    extra = []
    for case in theirs.labelled:
        ours = finder.find(case.id) or next((o for s in case.images if (o := finder.find(s.path))), None)
        if ours is None or ours in found:
            extra.append(case.id)
        else:
            found[ours] = case
    return theirs.model_copy(update={"notes": ()}), found, extra


def _drawn(place: Path, reference: Dataset) -> Pairs:
    """Files that name their structures, each given to its case; several of one case are united."""
    finder = CaseFinder(reference.labelled, made_of(place, reference))
    owner: dict[str, list[LabelSource]] = defaultdict(list)
    extra: list[str] = []
    for names, source in [*_entries(place), *_objects(place, reference)]:
        case = next((found for name in names if name and (found := finder.find(name))), None)
        if case is None:
            extra.append(next(name for name in names if name))
        else:
            owner[case].append(source)
    answered = {case: _answer(reference, case, owner[case]) for case in owner}
    dataset = _dataset(place, reference, answered).model_copy(update={"run_lengths": _counting(reference, answered)})
    if answered:
        dataset = with_drawn(dataset, dataset.cases, look=reference.labels.exclusive)
    several = [case for case, label in owner.items() if len(label) > 1]
    notes = (f"Several predictions of one case are united: {listed(several)}.",) if several else ()
    return dataset.model_copy(update={"notes": notes}), answered, extra


def _counting(reference: Dataset, answered: Mapping[str, Case]) -> str:
    """How a table of run lengths among predictions counts; empty where there is none."""
    cases = list(answered.values())
    for path in dict.fromkeys(Path(source.path) for case in cases for source in case.label):
        form = io.form_of(path)
        if form is not None and form.counted is not None:
            return str(counting_of(Path(reference.root), path, cases).counting)
    return ""


def _entries(place: Path) -> list[tuple[tuple[str, ...], LabelSource]]:
    """Names and sources in JSON and CSV files."""
    out: list[tuple[tuple[str, ...], LabelSource]] = []
    for path in drawn_files(place):
        form = io.form_of(path)
        if form is None or form.name in {"dicomseg", "rtstruct"}:
            continue
        for entry in form.entries(path):
            names = (entry.image, path.resolve().as_posix()) if entry.key is None else (entry.image,)
            out.append((names, LabelSource(path=path.resolve().as_posix(), key=entry.key)))
    return out


def _objects(place: Path, reference: Dataset) -> list[tuple[tuple[str, ...], LabelSource]]:
    """DICOM SEG and RTSTRUCT files: given to the images they refer to, else to the case of their name."""
    found = label_files(place)
    if not found:
        return []
    paths = {reference.path(case.images[0]): case.id for case in reference.labelled if case.images}
    told = owners([Item(path, case) for path, case in paths.items()], found)
    return [
        ((told[path] or "", stem_of(path), path.stem), LabelSource(path=path.resolve().as_posix())) for path in found
    ]


def _arrays(place: Path, direct: Sequence[Path], reference: Dataset) -> Pairs | None:
    """Arrays with a plane a structure, as the reference's own may be; `None` where they are maps of values."""
    finder = CaseFinder(reference.labelled, made_of(place, reference))
    found: dict[str, Case] = {}
    extra = []
    for path in direct:
        case = finder.find(stem_of(path))
        if case is None:
            extra.append(stem_of(path))
        else:
            found[case] = _answer(reference, case, [LabelSource(path=path.resolve().as_posix())])
    dataset = with_keys(_dataset(place, reference, found))
    if not dataset.cases:
        return None
    planes = _ordered(dataset, reference) or _named(with_labels(dataset), reference.labels.names)
    split = planes.cases[0].label[0].plane is not None
    if not split and all(source.key is None for case in dataset.cases for source in case.label):
        return None
    kept = planes if split else dataset
    return kept, {case.id: case for case in kept.cases}, extra


def _ordered(dataset: Dataset, reference: Dataset) -> Dataset | None:
    """Planes without names, as many as there are structures, stand in their order; `None` of any other number."""
    first, names = dataset.cases[0], reference.labels.names
    try:
        planes = io.read_planes(dataset.path(first.label[0]), first.label[0].key).data.shape
    except SegwrightError:
        return None
    if len(names) < 2 or planes[0] != len(names) or not _fits(planes[1:], reference, reference.case(first.id)):
        return None
    cases = tuple(_split(case, names) for case in dataset.cases)
    note = f"Predictions hold {planes[0]} planes, taken as {', '.join(names)} in this order."
    labels = LabelSpace(structures=tuple(Structure(name=name) for name in names), kind="overlapping")
    return dataset.model_copy(update={"labels": labels, "cases": cases, "notes": (note,)})


def _named(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The dataset, with the reference's names for nameless planes that are as many once background is left out."""
    label = dataset.cases[0].label
    if label[0].plane is None or len(label) != len(names) or set(dataset.labels.names) & {*names}:
        return dataset
    ours = dict(zip(dataset.labels.names, names, strict=True))
    cases = tuple(
        case.model_copy(
            update={"label": tuple(s.model_copy(update={"structure": ours.get(s.structure or "")}) for s in case.label)}
        )
        for case in dataset.cases
    )
    structures = tuple(s.model_copy(update={"name": ours[s.name]}) for s in dataset.labels.structures)
    labels = dataset.labels.model_copy(update={"structures": structures})
    note = f"The planes of the predictions are taken as {', '.join(names)} in this order."
    return dataset.model_copy(update={"cases": cases, "labels": labels, "notes": (*dataset.notes, note)})


def _fits(shape: Sequence[int], reference: Dataset, case: Case) -> bool:
    """Whether planes have the size of the case; of a case that states none, any size fits."""
    try:
        return tuple(shape) == geometry_of(reference, case).shape
    except LabelError:
        return True
    except SegwrightError:
        return False


def _split(case: Case, names: Sequence[str]) -> Case:
    first = case.label[0]
    label = [first.model_copy(update={"plane": plane, "structure": name}) for plane, name in enumerate(names)]
    return case.model_copy(update={"label": tuple(label)})


def _answer(reference: Dataset, case: str, label: Sequence[LabelSource]) -> Case:
    """The case with the prediction in place of its label; its image where it is, for its grid."""
    item = reference.case(case)
    images = tuple(s.model_copy(update={"path": reference.path(s).resolve().as_posix()}) for s in item.images)
    return item.model_copy(update={"label": tuple(label), "images": images})


def _dataset(place: Path, reference: Dataset, found: Mapping[str, Case]) -> Dataset:
    cases = [found[case.id] for case in reference.labelled if case.id in found]
    known = {"channels": reference.channels, "modality": reference.modality}
    return draft(place.parent, "labels", cases, **known, upright=reference.upright)


class Naming(NamedTuple):
    """What predicted classes are called in the reference.

    Attributes:
        names: Predicted class to structure.
        notes: Sentences on names that differ, that are unknown, and that nothing predicts.
    """

    names: dict[str, str]
    notes: list[str]


def same_names(predicted: Sequence[str], space: LabelSpace, *, where: str) -> Naming:
    """Match equal names, then names that differ in case and signs, then a structure's value; then lone classes.

    Raises:
        LabelError: Not one class is known.

    Example:
        >>> space = LabelSpace(structures=[{"name": "left lung", "values": [7]}, {"name": "heart"}])
        >>> same_names(["Left_Lung", "liver"], space, where="").names
        {'Left_Lung': 'left lung'}
    """
    table = _known(space)
    names = {name: table[key] for name in predicted if (key := _key(name, table)) is not None}
    if not names and len(predicted) == len(space.names) == 1:
        names = {predicted[0]: space.names[0]}
    if predicted and not names:
        raise LabelError(
            "The predictions name none of the reference's structures.",
            expected=listed(space.names),
            got=listed(predicted),
            where=where,
            hint="Call the structures as the reference does.",
        )
    other = [f"{name!r} is {ours!r}" for name, ours in names.items() if name != ours]
    notes = [f"Classes of the predictions that are called differently: {listed(other)}."] if other else []
    notes += _strangers([name for name in predicted if name not in names], space)
    idle = [name for name in space.names if name not in names.values()]
    if idle:
        notes.append(f"No prediction names {listed(idle)}: taken as predicted nowhere.")
    return Naming(names, notes)


def _known(space: LabelSpace) -> dict[str, str]:
    """Structures by name, by name without case and signs where that is of one alone, and by value."""
    bare = [_bare(name) for name in space.names]
    table = {str(value): s.name for s in space.structures for value in s.values}
    table = table or {str(index): name for index, name in enumerate(space.names, start=1)}
    table |= {key: name for key, name in zip(bare, space.names, strict=True) if key and bare.count(key) == 1}
    return {**table, **{name: name for name in space.names}}


def _key(name: str, table: dict[str, str]) -> str | None:
    return next((key for key in (name, _bare(name)) if key in table), None)


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def _strangers(names: Sequence[str], space: LabelSpace) -> list[str]:
    """A sentence on classes that the reference lacks, with the nearest name of the first."""
    if not names:
        return []
    near = difflib.get_close_matches(names[0], space.names, n=1)
    hint = f" Was {names[0]!r} meant to be {near[0]!r}?" if near else ""
    return [f"Classes of the predictions that the reference does not have, left out: {listed(names)}.{hint}"]
