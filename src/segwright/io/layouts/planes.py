"""Labels whose file holds a plane for each structure: how many planes, which is background, which share voxels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segwright.core.case import Case, Dataset, LabelSource
from segwright.core.errors import SegwrightError
from segwright.core.labels import LabelSpace, Structure
from segwright.core.volume import Volume
from segwright.core.words import amount
from segwright.io.layouts.scan import CONTAINERS, suffix_of
from segwright.io.masks import are_colours
from segwright.io.sources import split_planes, volume_of

#: Files whose arrays may not say what their axes are.
_UNNAMED_AXES = CONTAINERS | {".npy", ".tif", ".tiff"}


def usual_planes(dataset: Dataset, cases: Sequence[Case]) -> int:
    """Planes of most labels, so that a broken one decides nothing. Costs all headers, and the voxels of several planes.

    Labels of another number are read as they stand, which is refused where they hold several planes.
    """
    counts = Counter(_planes(dataset, case) for case in cases)
    return max(counts, key=lambda count: (counts[count], count))


def _planes(dataset: Dataset, case: Case) -> int:
    """Planes of a label that holds one structure a plane: `(R, C, K)` beside a flat image, or several channels."""
    source = case.label[0]
    path = dataset.path(source)
    try:
        label = volume_of(dataset, source)
        image = volume_of(dataset, case.images[0]) if case.images else None
    except SegwrightError:
        return 0
    count, colours = label.data.shape[0], are_colours(label)
    if count > 4 or (count > 1 and (label.dtype != np.uint8 or colours is False)):
        return count if _differ(label) else 0
    flat = image is not None and image.geometry.shape[0] == 1
    if (
        not flat
        or image is None
        or suffix_of(path) not in _UNNAMED_AXES
        or label.data.shape[1] == 1
        or label.header.get("named")
    ):
        return _stacked_masks(label.array()) if count in (2, 3, 4) and not colours else 0
    stored = split_planes(dataset, source)
    return int(stored.data.shape[0]) if stored.geometry.shape == image.geometry.shape else 0


def _differ(label: Volume) -> bool:
    """Whether not all planes are equal, which would be one mask repeated."""
    planes = label.array()
    return not all((planes[0] == plane).all() for plane in planes[1:])


def _stacked_masks(array: NDArray[Any]) -> int:
    """Channels of a label of 0 and one other value, if planes differ; above 1 they may be pure colours.

    Of a colour that mixes others, areas lie anywhere; voxels that structures share lie beside those of one alone.
    """
    level = array.max()
    same = all((array[0] == plane).all() for plane in array[1:])
    if same or level < 1 or not ((array == 0) | (array == level)).all():
        return 0
    return array.shape[0] if level == 1 or _shares_touch(array > 0) else 0


def _shares_touch(planes: NDArray[np.bool_]) -> bool:
    """Whether each piece that several planes share touches voxels of fewer of them."""
    code = sum(plane.astype(np.int64) << i for i, plane in enumerate(planes))
    for value in np.unique(code):
        parts = code == value
        if int(value).bit_count() < 2:
            continue
        fewer = (code != value) & (code > 0) & ((code & value) == code)
        pieces, count = ndimage.label(parts)
        if len(np.unique(pieces[ndimage.binary_dilation(fewer) & parts])) < count:
            return False
    return True


def from_planes(dataset: Dataset, cases: Sequence[Case], count: int) -> Dataset:
    """A plane a structure; a plane that is what the others leave free, in every case, is background and dropped.

    Costs a read of all labels.
    """
    background, overlap = set(range(count)), False
    odd: set[tuple[str, str | None]] = set()
    for case in cases:
        array = _plane_stack(dataset, case.label[0])
        if array is None:
            continue  # the check says what is wrong
        if array.shape[0] != count or not _binary(array):
            odd.add((case.label[0].path, case.label[0].key))  # read as it stands, which refuses it
            continue
        array = array != 0
        total = array.sum(axis=0)
        background &= {i for i in range(count) if bool((((total - array[i]) > 0) != array[i]).all())}
        rest = [i for i in range(count) if i not in background]
        overlap |= bool((array[rest].sum(axis=0) > 1).any())
    dropped = max(background) if background and count > 1 else None
    kept = [i for i in range(count) if i != dropped]
    names = {plane: f"structure_{rank}" for rank, plane in enumerate(kept, start=1)}
    split = tuple(_split_planes(case, names, odd) for case in dataset.cases)
    note = f"The label holds {amount(count, 'plane')}; each is a structure"
    note += f", but plane {dropped + 1} is what the others leave free: background." if dropped is not None else "."
    note += " Planes share voxels." if overlap else f" No planes share voxels in {amount(len(cases), 'case')}."
    structures = tuple(Structure(name=names[plane]) for plane in kept)
    space = LabelSpace.model_validate({"structures": structures, "kind": "overlapping" if overlap else "exclusive"})
    return dataset.model_copy(update={"cases": split, "labels": space, "notes": (*dataset.notes, note)})


def _plane_stack(dataset: Dataset, source: LabelSource) -> NDArray[Any] | None:
    """Planes `(K, z, y, x)` of a label; `None` where it cannot be read as planes."""
    try:
        volume = volume_of(dataset, source)
        return (split_planes(dataset, source) if volume.data.shape[0] == 1 else volume).array()
    except SegwrightError:
        return None


def _binary(planes: NDArray[Any]) -> bool:
    """Whether planes are masks; of few planes of bytes, which may be colours, only if they hold one value beside 0."""
    if len(planes) > 4 or planes.dtype != np.uint8:
        return True
    return bool(((planes == 0) | (planes == planes.max())).all())


def _split_planes(case: Case, names: Mapping[int, str], odd: Collection[tuple[str, str | None]]) -> Case:
    """The case with one label source a kept plane, unless its file holds others."""
    if not case.label or (case.label[0].path, case.label[0].key) in odd:
        return case
    first = case.label[0]
    sources = [first.model_copy(update={"plane": p, "structure": name}) for p, name in names.items()]
    return case.model_copy(update={"label": tuple(sources)})
