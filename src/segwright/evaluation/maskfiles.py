"""Folders of masks and maps of values: which file is whose, and canonical labels out of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.core.errors import LabelError, LayoutError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.io.grids import onto_grid, refuse_other_shape
from segwright.io.instances import numbered
from segwright.io.layouts.scan import files, stem_of, subfolders
from segwright.io.masks import binary, settle, values_of

#: Files of a case by structure; a single file of values has the key "".
Parts = Mapping[str, Path]


def find_labels(folder: Path, cases: Collection[str] = ()) -> dict[str, Parts]:
    """Case names to label files of a folder: files in it, or else files in its subfolders, one a structure.

    A subfolder named as one of `cases` is the label of that case: a stack of sections or a DICOM series.

    Raises:
        LayoutError: No file in it can be read, or two differ in suffix only.
    """
    if not folder.is_dir():
        raise LayoutError("There is no such folder.", where=folder, hint="Check the path.")
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
            hint="Give the folder that holds the labels themselves.",
        )
    return dict(sorted(found.items()))


def _refuse_twins(paths: Sequence[Path], folder: Path) -> None:
    names = [stem_of(path) for path in paths]
    twins = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twins:
        raise LayoutError(
            f"Two files are named {twins[0]!r} but for their suffix.", where=folder, hint="Remove one of them."
        )


def read_labels(parts: Parts, space: LabelSpace, *, like: Geometry | None = None) -> tuple[NDArray[Any], Geometry]:
    """Canonical labels `(P, z, y, x)` from the files of a case, turned onto the grid `like` if it is given.

    Args:
        parts: Files of the case.
        space: The structures with the values that they have in files of this side, see `sides.as_written`.
        like: The grid wanted; that of the files if there is none.

    Raises:
        ReadError, LabelError, GeometryError: A file cannot be read, means nothing, or does not fit the grid.
    """
    masks: dict[str, NDArray[Any]] = {}
    grid = like
    for structure, path in parts.items():
        volume = io.read_label(path)
        if like is not None:
            refuse_other_shape(volume.geometry, like, where=str(path))  # before anything is decoded
        raw = values_of(volume, where=str(path))
        grid = grid or volume.geometry
        masks[structure] = onto_grid(raw, volume.geometry, grid, where=str(path))
    if grid is None:
        raise LabelError("The case has no label files.", hint="Add them.")
    if "" in masks:
        where = str(parts[""])
        raw = settle(masks[""], space, where=where)
        return (numbered(raw, space, where=where) if space.instances else space.from_values(raw, where=where)), grid
    strangers = sorted(set(masks) - set(space.names))
    if strangers:
        raise LabelError(
            f"Folder {strangers[0]!r} is no structure.", expected=", ".join(space.names), got=", ".join(strangers)
        )
    empty = np.zeros(grid.shape, dtype=bool)
    return space.from_masks([binary(masks[name]) if name in masks else empty for name in space.names]), grid
