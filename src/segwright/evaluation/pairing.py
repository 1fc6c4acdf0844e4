"""Which prediction belongs to which reference, and the masks that their files hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.core.case import Case, Dataset
from segwright.core.errors import LabelError, LayoutError, SegwrightError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.core.prediction import Predictions
from segwright.io.grids import onto_grid, refuse_other_shape
from segwright.io.instances import numbered
from segwright.io.layouts.names import safe_id
from segwright.io.layouts.scan import files, stem_of, subfolders
from segwright.io.masks import binary, settle, values_of


class CaseFinder:
    """Cases by every name that a prediction of theirs may have; a name that two cases have means neither.

    Args:
        cases: Of the reference.
        made: Cases by what their predictions are called, where that is known (see `made_of`).

    Example:
        >>> from segwright.core.case import Source
        >>> cases = [Case(id=f"p{i}_a", images=(Source(path=f"p{i}/a.png"),), group="") for i in (1, 2)]
        >>> cases.append(Case(id="p2_b", images=(Source(path="p2/b.png"),), group=""))
        >>> finder = CaseFinder(cases)
        >>> [finder.find(name) for name in ("p1_a", "p2/a.png", "p2/a", "a.png", "B.json", "x_p2_b", "c")]
        ['p1_a', 'p2_a', 'p2_a', None, 'p2_b', 'p2_b', None]
    """

    def __init__(self, cases: Iterable[Case], made: Mapping[str, str] = MappingProxyType({})) -> None:
        self._made = made
        self._ids: dict[str, str] = {}
        self._names: dict[str, set[str]] = defaultdict(set)
        for case in cases:
            self._ids[case.id] = case.id
            for name in _names_of(case):
                self._names[name].add(case.id)

    def find(self, name: str) -> str | None:
        """The id of the case a file name, or a path, speaks of; the longest part of it that one case alone has."""
        made = self._made.get(name) or self._made.get(stem_of(Path(name)))
        if made is not None or name in self._ids:
            return made or name
        for wanted in _tails(name):
            found = self._names.get(wanted, set())
            if len(found) == 1:
                return next(iter(found))
            if found:
                return None
        return self._longer(stem_of(Path(name.replace("\\", "/"))).lower())

    def _longer(self, stem: str) -> str | None:
        """The only case whose id is the name with a folder in front, or the other way round."""
        near = {case for case in self._ids if _ends(case.lower(), stem) or _ends(stem, case.lower())}
        return near.pop() if len(near) == 1 else None


def made_of(place: Path, reference: Dataset) -> dict[str, str]:
    """Cases of a reference by what predictions are called, as the list that `predict` leaves beside them tells.

    A scan is called after its folders below the one that was predicted, so that one site's `a` is `siteB_a` where all
    sites are the reference. An image that several cases share tells none of them.
    """
    path = (place if place.is_dir() else place.parent) / Predictions.filename
    try:
        rows = Predictions.load(path).cases if path.is_file() else ()
    except SegwrightError:
        return {}
    owner: dict[str, set[str]] = defaultdict(set)
    for case in reference.labelled:
        for source in case.images[:1]:
            owner[reference.path(source).resolve().as_posix()].add(case.id)
    found = {row.case: owner.get(row.image, set()) for row in rows}
    return {name: next(iter(cases)) for name, cases in found.items() if len(cases) == 1}


def _ends(long: str, short: str) -> bool:
    return long.endswith(("_" + short, "-" + short))


def _names_of(case: Case) -> set[str]:
    """Every name of a case, in lower case: its id, and its image's path from each folder on."""
    names = {case.id.lower()}
    for source in case.images or case.label:
        told = source.key if not case.images and source.key else source.path
        for tail in _tails(told):
            names |= {tail, safe_id(tail)}
    return names


def _tails(name: str) -> Iterator[str]:
    """A path without its suffix, then with one folder less in front, down to the file alone.

    Example:
        >>> list(_tails("../Scans/A.nii.gz"))
        ['scans/a.nii.gz', 'scans/a', 'a.nii.gz', 'a']
    """
    parts = [part for part in PurePosixPath(name.replace("\\", "/").lower()).parts if part not in {"/", ".", ".."}]
    for start in range(len(parts)):
        tail = "/".join(parts[start:])
        yield tail
        bare = "/".join([*parts[start:-1], stem_of(Path(parts[-1]))])
        if bare != tail:
            yield bare


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
