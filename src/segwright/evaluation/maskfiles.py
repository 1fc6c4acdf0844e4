"""Folders of masks and maps of values: which file is whose, what its values mean, and canonical labels out of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.core.errors import LabelError, LayoutError, SegwrightError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace, Structure
from segwright.io.grids import onto_grid
from segwright.io.instances import object_space, predicted
from segwright.io.layouts.content import looks_like_label
from segwright.io.layouts.scan import files, stem_of, subfolders
from segwright.io.masks import binary, settle, value_counts, values_of

#: Files of a case by structure; a single file of values has the key "".
Parts = Mapping[str, Path]

#: References read to learn whether their values number objects.
_LOOKED_AT = 8

#: More values than this in references are no labels.
_MOST_VALUES = 1000


def find_labels(folder: Path, cases: Collection[str] = ()) -> dict[str, Parts]:
    """Case names to label files of a folder: files in it, or else files in its subfolders, one a structure.

    A subfolder named as one of `cases` is the label of that case: a stack of sections or a DICOM series.

    Raises:
        LayoutError: No file in it can be read, or two differ in suffix only.
    """
    if not folder.is_dir():
        raise LayoutError("There is no such folder.", where=folder, cure="Check the path.")
    direct = files(folder)
    if direct:
        _refuse_twins(direct, folder)
        return {stem_of(path): {"": path} for path in direct}
    named = {part.name: {"": part} for part in subfolders(folder) if part.name in cases}
    if named:
        return dict(named)
    found: dict[str, dict[str, Path]] = {}
    for part in subfolders(folder):
        inside = files(part)
        _refuse_twins(inside, part)
        for path in inside:
            found.setdefault(stem_of(path), {})[part.name] = path
    if not found:
        raise LayoutError(
            "The folder holds no label files.",
            expected="one file a case, or one subfolder a structure with one file a case",
            where=folder,
            cure="Give the folder that holds the labels themselves.",
        )
    return dict(sorted(found.items()))


def _refuse_twins(paths: Sequence[Path], folder: Path) -> None:
    names = [stem_of(path) for path in paths]
    twins = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twins:
        raise LayoutError(
            f"Two files are named {twins[0]!r} but for their suffix.", where=folder, cure="Remove one of them."
        )


def read_labels(parts: Parts, space: LabelSpace, *, like: Geometry | None = None) -> tuple[NDArray[Any], Geometry]:
    """Canonical labels `(P, z, y, x)` from the files of a case, turned onto the grid `like` if it is given.

    Raises:
        ReadError, LabelError, GeometryError: A file cannot be read, means nothing, or does not fit the grid.
    """
    masks: dict[str, NDArray[Any]] = {}
    grid = like
    for structure, path in parts.items():
        volume = io.read_label(path)
        raw = values_of(volume, where=str(path))
        grid = grid or volume.geometry
        masks[structure] = onto_grid(raw, volume.geometry, grid, where=str(path))
    if grid is None:
        raise LabelError("The case has no label files.", cure="Add them.")
    if "" in masks:
        where = str(parts[""])
        if _is_mask(masks[""], space):
            return space.from_masks([binary(masks[""])]), grid
        raw = settle(masks[""], space, where=where)
        return (predicted(raw, space, where=where) if space.instances else space.from_values(raw, where=where)), grid
    strangers = sorted(set(masks) - set(space.names))
    if strangers:
        raise LabelError(
            f"Folder {strangers[0]!r} is no structure.", expected=", ".join(space.names), came=", ".join(strangers)
        )
    empty = np.zeros(grid.shape, dtype=bool)
    return space.from_masks([binary(masks[name]) if name in masks else empty for name in space.names]), grid


def _is_mask(raw: NDArray[Any], space: LabelSpace) -> bool:
    """Whether a file is the black and white mask of the only structure, which has no value, or another one."""
    if len(space.structures) != 1 or space.instances or space.ignore is not None:
        return False
    values = space.structures[0].values
    return not values or (255 not in values and set(value_counts(raw)) == {0, 255})


def infer_space(wanted: Mapping[str, Parts], found: Mapping[str, Parts], notes: list[str]) -> LabelSpace:
    """A label space out of folder names, or out of the values in the references; what was assumed goes to `notes`.

    Raises:
        LabelError: Far too many values to be labels, or none but background.
    """
    names = sorted({name for parts in wanted.values() for name in parts if name})
    if names:
        notes.append(f"Structures are the subfolders of the reference: {', '.join(names)}.")
        return LabelSpace(structures=tuple(Structure(name=name) for name in names), kind="overlapping")
    some = list(_readable(wanted, _LOOKED_AT))
    objects = object_space(some) if all(looks_like_label(a[None]) for a in some) else None
    if objects is not None:
        notes.append("Values of the references number objects, so objects are scored and not values.")
        return objects
    values = _values(wanted)
    if len(values) <= 1:
        values |= _values({case: parts for case, parts in found.items() if case in wanted}, stop=2)
    if not values:
        notes.append("Neither references nor predictions hold a structure.")
        return LabelSpace(structures=(Structure(name="foreground", values=(1,)),))
    if len(values) <= 2 and values & {1, 255} == values:
        notes.append(f"Masks of one structure; the values {sorted(values)} mean the same.")
        return LabelSpace(structures=(Structure(name="foreground", values=tuple(sorted(values))),))
    if not values or len(values) > _MOST_VALUES:
        raise LabelError(
            "The reference does not look like labels.",
            expected=f"1 to {_MOST_VALUES} values beside 0",
            came=f"{len(values)} values",
            cure="Give the folder of labels, or say what the values mean with a dataset.yaml.",
        )
    notes.append(f"Structures are the values found in the reference: {', '.join(map(str, sorted(values)))}.")
    return LabelSpace(structures=tuple(Structure(name=str(v), values=(v,)) for v in sorted(values)))


def _values(cases: Mapping[str, Parts], *, stop: int = _MOST_VALUES) -> set[int]:
    """Non-zero values in files that can be read; those that cannot become errors of their case later."""
    values: set[int] = set()
    for raw in _readable(cases):
        values.update(int(value) for value in np.unique(raw) if value)
        if len(values) > stop:
            break
    return values


def _readable(cases: Mapping[str, Parts], most: int | None = None) -> Iterator[NDArray[Any]]:
    """Values `(z, y, x)` of the files of all cases, or of some, that can be read."""
    for parts in list(cases.values())[:most]:
        for path in parts.values():
            try:
                yield values_of(io.read_label(path), where=str(path))
            except SegwrightError:
                continue
