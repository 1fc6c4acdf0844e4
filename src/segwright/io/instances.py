"""Labels that number objects: id volumes of any width, or masks whose connected components are the objects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segwright.core.case import Case, Dataset
from segwright.core.errors import LabelError, SegwrightError
from segwright.core.labels import LabelSpace, Structure
from segwright.io.masks import is_soft, values_of
from segwright.io.meaning.decide import TELL_APART
from segwright.io.sources import volume_of

#: Names that readers give to values nobody named.
_NAMELESS = ("structure_", "colour_", "foreground")


def numbered(raw: NDArray[Any], space: LabelSpace, *, where: str, part: bool = False) -> NDArray[np.int32]:
    """Canonical instance labels `(1, z, y, x)` from file values `(z, y, x)`.

    Args:
        raw: Ids, or values of a mask where the structure has values; its components touch by faces, edges or corners.
        space: Of kind `instances`.
        where: For messages.
        part: The array is a part of a volume: what is left of an object in several pieces becomes several objects.

    Raises:
        LabelError: An id below 0.

    Example:
        >>> space = LabelSpace(structures=[{"name": "cell", "values": [255]}], kind="instances")
        >>> numbered(np.array([[[255, 0, 255]]]), space, where="").tolist()
        [[[[1, 0, 2]]]]
    """
    values = [value for structure in space.structures for value in structure.values]
    if values:
        labels = components(np.isin(raw, values))
        if space.ignore is not None:
            labels[raw == space.ignore] = -1
        return labels[None]
    labels = space.from_values(raw, where=where)[0]
    return (pieces(labels) if part else labels)[None]


def components(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Connected components of a mask `(z, y, x)`, numbered from 1."""
    labels = np.zeros(mask.shape, np.int32)
    ndimage.label(mask, structure=np.ones((3, 3, 3)), output=labels)
    return labels


def pieces(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """The connected pieces of every object, numbered from 1 in the order of the objects; others stay as they are.

    Example:
        >>> pieces(np.array([[[1, 0, 1, 2, -1]]], dtype=np.int32)).tolist()
        [[[1, 0, 2, 3, -1]]]
    """
    out = np.where(labels < 0, labels, 0)
    number = 0
    for index, box in enumerate(ndimage.find_objects(np.maximum(labels, 0)), start=1):
        if box is not None:
            mask = labels[box] == index
            parts, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
            out[box][mask] = parts[mask] + number
            number += count
    return out


def numbers_objects(dataset: Dataset) -> bool:
    """Whether reading found that labels number objects, which are one structure until somebody wants them apart."""
    return not dataset.labels.instances and any(TELL_APART in note for note in dataset.notes)


def as_instances(dataset: Dataset, which: bool | str) -> Dataset:
    """The dataset with one structure's objects told apart, with a note on how they were found.

    Args:
        dataset: As read from a folder, or with instances already.
        which: The structure's name or its beginning, or `True` for the only one; a name decides only among several.

    Raises:
        LabelError: No such structure, or several and none was named.
    """
    if not which or dataset.labels.instances:
        return dataset
    name, values = _chosen(dataset, which)
    cases = tuple(_kept(case, name) for case in dataset.cases)
    draft = dataset.model_copy(update={"cases": cases})
    mask = values or _mask_values(draft)
    space = LabelSpace(structures=(Structure(name=name, values=mask),), kind="instances", ignore=dataset.labels.ignore)
    told = (
        f"Objects of {name!r} are the connected components of its mask (touching by faces, edges or corners)."
        if mask
        else f"Every value of the labels is an object of {name!r}."
    )
    return draft.model_copy(update={"labels": space, "notes": (*dataset.notes, told)})


def _chosen(dataset: Dataset, which: bool | str) -> tuple[str, tuple[int, ...]]:
    """Name of the structure, and its values where labels are maps that hold other structures as well."""
    structures = dataset.labels.structures
    maps = not any(source.structure for case in dataset.labelled for source in case.label)
    if isinstance(which, str):
        found = [s for s in structures if s.name == which] or [s for s in structures if _alike(s.name, which)]
        if not found and len(structures) == 1:
            return structures[0].name, ()
        if not found and not (maps and all(s.name.startswith(_NAMELESS) for s in structures)):
            raise LabelError(
                f"There is no structure {which!r}.",
                expected=", ".join(dataset.labels.names),
                got=which,
                hint="Name one of these with instances=NAME.",
            )
        return (found[0].name if found else which), found[0].values if found and len(structures) > 1 else ()
    if maps and all(s.name.startswith(_NAMELESS) for s in structures):
        return (structures[0].name if len(structures) == 1 else "object"), ()
    if len(structures) != 1:
        raise LabelError(
            "Instances are objects of one structure, and the labels hold several.",
            expected="one structure",
            got=", ".join(dataset.labels.names),
            where=dataset.root,
            hint=f"Say which one, e.g. instances={structures[0].name if structures else 'NAME'}.",
        )
    return structures[0].name, ()


def _alike(name: str, wanted: str) -> bool:
    """Whether two names begin alike: `mito`, `Mitochondria` and `mitochondrion`."""
    return name.lower()[:4] == wanted.lower()[:4] and len(name) >= 4


def _kept(case: Case, name: str) -> Case:
    """The case with the label sources of one structure, read as values."""
    sources = tuple(
        source.model_copy(update={"structure": None})
        for source in case.label
        if source.structure in {None, name, "foreground"}
    )
    return case.model_copy(update={"label": sources})


def _mask_values(dataset: Dataset) -> tuple[int, ...]:
    """The value of masks, if all labels are masks; nothing as soon as one holds ids. Costs a read of all masks."""
    found: set[int] = set()
    for raw in _labels(dataset):
        soft = is_soft(raw)
        values = {255} if soft else {int(v) for v in np.unique(raw) if v > 0 and v != dataset.labels.ignore}
        found |= values
        if len(values) > 1 or len(found) > 2:
            return ()
    return tuple(sorted(found, reverse=True)) if found <= {1, 255} or len(found) == 1 else ()


def _labels(dataset: Dataset) -> Iterator[NDArray[Any]]:
    """Values of the labels that can be read, one after the other; the check names the others."""
    for case in dataset.labelled:
        with suppress(SegwrightError):
            yield values_of(volume_of(dataset, case.label[0]), where=str(dataset.path(case.label[0])))
