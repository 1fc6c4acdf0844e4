"""Labels that come as a file (or several) for each structure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.case import Case, Dataset, LabelSource
from segwright.core.errors import SegwrightError
from segwright.core.labels import LabelSpace, Structure
from segwright.core.words import amount
from segwright.io.masks import binary, one_plane, values_of
from segwright.io.sources import planes_of_source, volume_of


def from_files(dataset: Dataset, labelled: Sequence[Case]) -> Dataset:
    """One file (or several) a structure: overlapping, unless structures of the layout never share voxels."""
    named = dict.fromkeys(source.structure or "foreground" for case in labelled for source in case.label)
    known = dataset.labels.structures or tuple(Structure(name=name) for name in sorted(named))
    absent = _absent([structure.name for structure in known], labelled)
    if len(known) == 1:
        return _with(dataset, LabelSpace(structures=known, kind="exclusive"))
    step = max(1, len(labelled) // 12)
    some = list(labelled)[::step][:12]
    overlap = any(_overlaps(dataset, case) for case in some)
    note = f"Structures come as files of their own; in {amount(len(some), 'case')} looked at, "
    note += "some voxels belong to several." if overlap else "no voxel belongs to several."
    exclusive = not overlap and dataset.layout == "totalsegmentator"
    note += " They are learnt as exclusive." if exclusive else " They are learnt as overlapping."
    return _with(dataset, LabelSpace(structures=known, kind="exclusive" if exclusive else "overlapping"), note, *absent)


def _absent(names: Sequence[str], labelled: Sequence[Case]) -> list[str]:
    """A sentence on structures for which some labelled cases have no file."""
    found = [(name, c.id) for c in labelled for name in names if name not in {s.structure for s in c.label}]
    if not found:
        return []
    some = ", ".join(f"{name} in {case}" for name, case in found[:4]) + (", ..." if len(found) > 4 else "")
    return [f"Structures without a file are taken as absent in {amount(len(found), 'place')}: {some}."]


def _overlaps(dataset: Dataset, case: Case) -> bool:
    """Whether two structures of a case share a voxel."""
    taken: NDArray[np.bool_] | None = None
    owner: dict[str, NDArray[np.bool_]] = {}
    for source in case.label:
        raw = raw_of(dataset, source)
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


def raw_of(dataset: Dataset, source: LabelSource) -> NDArray[Any] | None:
    """Raw values of a label source, `None` where unreadable (the check will say so)."""
    path = dataset.path(source)
    try:
        if source.plane is not None:
            return one_plane(planes_of_source(dataset, source).array()[source.plane, None], where=str(path))
        return values_of(volume_of(dataset, source), where=str(path))
    except SegwrightError:
        return None


def _with(dataset: Dataset, space: LabelSpace, *notes: str) -> Dataset:
    return dataset.model_copy(update={"labels": space, "notes": (*dataset.notes, *notes)})
