"""Finds out what label values mean by reading labels: a table of values, planes of one file, or a file a structure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.core.case import Case, Dataset, LabelSource
from segwright.core.errors import SegwrightError
from segwright.core.labels import LabelSpace, Structure
from segwright.io.drawing import is_drawn
from segwright.io.layouts.drawn import with_drawn
from segwright.io.layouts.names import role
from segwright.io.layouts.scan import CONTAINERS, suffix_of
from segwright.io.masks import binary, is_soft, one_plane, value_counts

_ALL_FILES, _ALL_BYTES, _SOME = 400, 300_000_000, 40
#: Labels whose planes are counted to learn what is usual.
_FEW = 9
#: More values than this cannot be structures; they number objects.
_MOST_STRUCTURES = 150

Counts = dict[str, dict[int, int]]


def with_labels(dataset: Dataset) -> Dataset:
    """The dataset with structures found in its labels, unless a file stated them."""
    labelled = [case for case in dataset.cases if case.label]
    if not labelled:
        return dataset
    if any(is_drawn(dataset, case) for case in labelled):
        return with_drawn(dataset, labelled)
    if any(source.structure for case in labelled for source in case.label):
        return _from_files(dataset, labelled)
    if dataset.labels.structures:
        return dataset
    some = sample_of(dataset, labelled)
    planes = _usual_planes(dataset, some)
    return _from_planes(dataset, some, planes) if planes else _from_values(dataset, some)


def sample_of(dataset: Dataset, cases: Sequence[Case]) -> list[Case]:
    """All cases where reading them is cheap, else some, spread evenly."""
    paths = {dataset.path(source) for case in cases for source in case.label}
    size = sum(path.stat().st_size for path in paths if path.is_file())
    if len(cases) <= _ALL_FILES and size <= _ALL_BYTES:
        return list(cases)
    return list(cases)[:: max(1, len(cases) // _SOME)]


def _from_files(dataset: Dataset, labelled: Sequence[Case]) -> Dataset:
    """One file (or several) a structure: overlapping, unless structures of the layout never share voxels."""
    named = dict.fromkeys(source.structure or "foreground" for case in labelled for source in case.label)
    known = dataset.labels.structures or tuple(Structure(name=name) for name in sorted(named))
    if len(known) == 1:
        return _with(dataset, LabelSpace(structures=known, kind="exclusive"))
    step = max(1, len(labelled) // 12)
    some = list(labelled)[::step][:12]
    overlap = any(_overlaps(dataset, case) for case in some)
    note = f"Structures come as files of their own; in {len(some)} cases looked at, "
    note += "some share voxels." if overlap else "none share voxels."
    exclusive = not overlap and dataset.layout == "totalsegmentator"
    note += " They are learnt as exclusive." if exclusive else " They are learnt as overlapping."
    return _with(dataset, LabelSpace(structures=known, kind="exclusive" if exclusive else "overlapping"), note)


def _overlaps(dataset: Dataset, case: Case) -> bool:
    """Whether two structures of a case share a voxel."""
    taken: NDArray[np.bool_] | None = None
    owner: dict[str, NDArray[np.bool_]] = {}
    for source in case.label:
        raw = _raw(dataset, source)
        if raw is None:
            continue
        mask = binary(raw)
        if taken is not None and mask.shape != taken.shape:
            return False
        before = owner.pop(source.structure or "", None)
        if taken is not None and bool((mask & taken).any()) and before is None:
            return True
        taken = mask if taken is None else taken | mask
        owner = {source.structure or "": mask}
    return False


def _raw(dataset: Dataset, source: LabelSource) -> NDArray[Any] | None:
    """Raw values of a label source, `None` where unreadable (the check will say so)."""
    path = dataset.path(source)
    try:
        if source.plane is not None:
            return one_plane(io.read_planes(path, source.key).array()[source.plane, None], where=str(path))
        return one_plane(io.read(path, key=source.key).array(), where=str(path))
    except SegwrightError:
        return None


def _usual_planes(dataset: Dataset, some: Sequence[Case]) -> int:
    """Planes of most of a few labels, so that a broken one decides nothing."""
    few = list(some)[:: max(1, len(some) // _FEW)][:_FEW]
    counts = Counter(_planes(dataset, case) for case in few)
    return max(counts, key=lambda count: (counts[count], count))


def _planes(dataset: Dataset, case: Case) -> int:
    """Planes of a label that holds one structure a plane: `(R, C, K)` beside a flat image, or several channels."""
    source = case.label[0]
    path = dataset.path(source)
    try:
        label = io.read(path, key=source.key)
        image = io.read(dataset.path(case.images[0]), key=case.images[0].key) if case.images else None
    except SegwrightError:
        return 0
    count = label.data.shape[0]
    if count > 4 or (count > 1 and label.dtype != np.uint8):
        return count
    flat = image is not None and image.geometry.shape[0] == 1
    if not flat or image is None or suffix_of(path) not in CONTAINERS | {".npy"} or label.data.shape[1] == 1:
        return _stacked_masks(label.array()) if count in (2, 3, 4) else 0
    stored = io.read_planes(path, source.key)
    return int(stored.data.shape[0]) if stored.geometry.shape == image.geometry.shape else 0


def _stacked_masks(array: NDArray[Any]) -> int:
    """Channels of a label of 0 and 1 (no colours use that range), if planes differ."""
    binary_planes = array.max() == 1 and array.min() >= 0
    same = all((array[0] == plane).all() for plane in array[1:])
    return array.shape[0] if binary_planes and not same else 0


def _from_planes(dataset: Dataset, some: Sequence[Case], count: int) -> Dataset:
    """A plane a structure; a plane that is what the others leave free, in every case, is background and dropped."""
    background, overlap = set(range(count)), False
    for case in some:
        array = _plane_stack(dataset, case.label[0])
        if array is None or array.shape[0] != count:
            continue
        total = array.sum(axis=0)
        background &= {i for i in range(count) if bool((((total - array[i]) > 0) != array[i]).all())}
        rest = [i for i in range(count) if i not in background]
        overlap |= bool((array[rest].sum(axis=0) > 1).any())
    dropped = max(background) if background and count > 1 else None
    kept = [i for i in range(count) if i != dropped]
    names = {plane: f"structure_{rank}" for rank, plane in enumerate(kept, start=1)}
    odd = {
        case.id for case in dataset.cases if case.label and _stored_planes(dataset, case.label[0]) not in (count, None)
    }
    cases = tuple(case if case.id in odd else _split_planes(case, names) for case in dataset.cases)
    note = f"The label holds {count} planes; each is a structure"
    note += f", but plane {dropped + 1} is what the others leave free: background." if dropped is not None else "."
    note += " Planes share voxels." if overlap else f" No planes share voxels in the {len(some)} cases looked at."
    structures = tuple(Structure(name=names[plane]) for plane in kept)
    every = len(some) == sum(bool(case.label) for case in dataset.cases)
    kind = "exclusive" if not overlap and (every or dropped is not None) else "overlapping"
    space = LabelSpace.model_validate({"structures": structures, "kind": kind})
    return _with(dataset.model_copy(update={"cases": cases}), space, note)


def _plane_stack(dataset: Dataset, source: LabelSource) -> NDArray[np.bool_] | None:
    path = dataset.path(source)
    try:
        volume = io.read(path, key=source.key)
        volume = io.read_planes(path, source.key) if volume.data.shape[0] == 1 else volume
        return volume.array() != 0
    except SegwrightError:
        return None


def _stored_planes(dataset: Dataset, source: LabelSource) -> int | None:
    """Planes of one label by its header; `None` where it cannot be read as planes, which the check reports."""
    path = dataset.path(source)
    try:
        count = io.read(path, key=source.key).data.shape[0]
        return int(count if count > 1 else io.read_planes(path, source.key).data.shape[0])
    except SegwrightError:
        return None


def _split_planes(case: Case, names: Mapping[int, str]) -> Case:
    """The case with one label source a kept plane."""
    if not case.label:
        return case
    first = case.label[0]
    sources = [LabelSource(path=first.path, key=first.key, plane=p, structure=name) for p, name in names.items()]
    return case.model_copy(update={"label": tuple(sources)})


def _from_values(dataset: Dataset, some: Sequence[Case]) -> Dataset:
    """A table of the values found."""
    counts: Counts = {}
    soft = False
    for case in some:
        raw = _raw(dataset, case.label[0])
        if raw is None:
            continue
        if is_soft(raw):
            soft, raw = True, np.where(binary(raw), 255, 0).astype(np.uint8)
        counts[case.id] = value_counts(raw)
    space, notes = space_of(counts, dense=dataset.modality == "em")
    if soft:
        notes.append("Masks with in-between values (compression or blur) are read as set from 128 on.")
    if not space.structures and any(c for c in counts.values()):
        cases = tuple(_as_one(case) for case in dataset.cases)
        dataset = dataset.model_copy(update={"cases": cases})
        space = LabelSpace(structures=(Structure(name="foreground"),))
    elif space.names == ("foreground",):
        only = space.structures[0].model_copy(update={"name": _folder_name(dataset, some)})
        space = space.model_copy(update={"structures": (only,)})
    if len(counts) < sum(bool(case.label) for case in dataset.cases):
        notes.append(f"Label values were looked up in {len(counts)} of the labelled cases.")
    return _with(dataset, space, *notes)


def _folder_name(dataset: Dataset, some: Sequence[Case]) -> str:
    """A name for the only structure: the folder of the labels where that says more than `masks`."""
    places = {dataset.path(case.label[0]) for case in some}
    stacks = all(place.is_dir() for place in places)
    folders = {place if stacks else place.parent for place in places}
    folder = min(folders)
    images = {dataset.path(case.images[0]).parent for case in some if case.images}
    plain = len(folders) == 1 and folder not in images and folder.resolve() != Path(dataset.root)
    return folder.name if plain and role(folder.name) is None and len(folder.name) > 2 else "foreground"


def _as_one(case: Case) -> Case:
    """The case with its label read as one structure, whatever the value."""
    label = tuple(source.model_copy(update={"structure": "foreground"}) for source in case.label)
    return case.model_copy(update={"label": label})


def space_of(counts: Counts, *, dense: bool = False) -> tuple[LabelSpace, list[str]]:
    """Structures for the values of some labels, with what was assumed; no structures if values number objects.

    With `dense` (electron microscopy), more than twenty values are taken for objects.

    Example:
        >>> space_of({"a": {0: 9, 1: 1}, "b": {0: 5, 255: 2}})[0].structures
        (Structure(name='foreground', values=(255, 1), colour=''),)
    """
    totals: dict[int, int] = {}
    for table in counts.values():
        for value, number in table.items():
            totals[value] = totals.get(value, 0) + number
    values = sorted(value for value in totals if value != 0)
    notes = []
    if totals and 0 not in totals:
        notes.append("No label holds the value 0, so no voxel is background; every value is a structure.")
    if not values or _numbers_objects(counts, values) or (dense and len(values) > 20):
        told = f"Labels hold {len(values)} values that number objects; all together they are 'foreground'. "
        told += "To tell the objects apart, give instances=true."
        return LabelSpace(), [told] if values else []
    ignore = _ignore(counts, values)
    kept = [value for value in values if value != ignore]
    if ignore is not None:
        notes.append(f"Value {ignore} is taken as 'ignore' (no structure); name it in dataset.yaml if it is one.")
    if set(kept) <= {1, 255} and not any({1, 255} <= set(table) for table in counts.values()):
        order = tuple(sorted(kept, reverse=True))
        return LabelSpace(structures=(Structure(name="foreground", values=order),), ignore=ignore), notes
    if len(kept) == 1:
        structures = [Structure(name="foreground", values=(kept[0],))]
    else:
        structures = [Structure(name=_value_name(value, kept), values=(value,)) for value in kept]
    return LabelSpace(structures=tuple(structures), ignore=ignore), notes


def _value_name(value: int, values: Sequence[int]) -> str:
    """`structure_7`, or the colour where values are packed colours."""
    return f"colour_{value:06X}" if max(values) > 0xFFFF else f"structure_{value}"


def _numbers_objects(counts: Counts, values: Sequence[int]) -> bool:
    """Whether values number objects: too many, widely scattered, or in every case 1 to n with n going up and down."""
    if len(values) > _MOST_STRUCTURES or (len(values) > 20 and max(values) > 3 * len(values) and max(values) > 255):
        return True
    tops = []
    for table in counts.values():
        here = sorted(value for value in table if value > 0)
        if here and here != list(range(1, len(here) + 1)):
            return False
        tops.append(len(here))
    return len(tops) >= 3 and max(tops) > 20 and len(set(tops)) >= 3


def _ignore(counts: Counts, values: Sequence[int]) -> int | None:
    """A value that means `counts nowhere`: -1, or 255 on top of 1 to n within the same files."""
    if -1 in values:
        return -1
    rest = [value for value in values if value != 255]
    together = any(255 in table and len({*table} - {0, 255}) > 0 for table in counts.values())
    return 255 if 255 in values and rest and together and rest == list(range(1, len(rest) + 1)) else None


def _with(dataset: Dataset, space: LabelSpace, *notes: str) -> Dataset:
    return dataset.model_copy(update={"labels": space, "notes": (*dataset.notes, *notes)})
