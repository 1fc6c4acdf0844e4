"""Finds the structures that drawn labels name, and whether any of them share pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.core.case import Case, Dataset
from segwright.core.errors import SegwrightError
from segwright.core.labels import LabelSpace, Structure
from segwright.core.words import amount
from segwright.io.drawing import geometry_of, read_drawn
from segwright.io.drawn import natural

#: Pixels times structures that are looked at in full; of more, some cases are taken.
_ENOUGH = 4_000_000_000
_SOME = 40


def with_drawn(dataset: Dataset, labelled: Sequence[Case], *, look: bool = True) -> Dataset:
    """The dataset with a structure for each name; exclusive only if every case was looked at and nothing is shared.

    Args:
        dataset: Without structures; one that has them stays as it is.
        labelled: Its cases with labels.
        look: Look for shared pixels; without, structures are taken as overlapping.
    """
    if dataset.labels.structures:
        return dataset
    names = _names(dataset, labelled)
    if not names:
        return dataset
    known = _stated(dataset, labelled)
    structures = tuple(known.get(name, Structure(name=name)) for name in sorted(names, key=natural))
    if not look:
        return dataset.model_copy(update={"labels": LabelSpace(structures=structures, kind="overlapping")})
    some = _sample(dataset, labelled, len(names))
    looked = [_looked(dataset, case) for case in some]
    sharing = [told for told, _ in looked if told]
    several = [told for _, told in looked if told]
    every = len(some) == len(labelled)
    note = f"Labels name their structures. Looked at {len(some)} of {amount(len(labelled), 'label')}: "
    note += f"in {len(sharing)} structures share pixels ({sharing[0]})." if sharing else "structures share no pixels."
    kind = "exclusive" if every and not sharing else "overlapping"
    space = LabelSpace.model_validate({"structures": structures, "kind": kind})
    notes = [*dataset.notes, f"{note} They are learnt as {kind}."]
    if several:
        notes.append(f"Outlines of one name are united, in {amount(len(several), 'case')}: {'; '.join(several[:3])}.")
    return dataset.model_copy(update={"labels": space, "notes": tuple(notes)})


def _names(dataset: Dataset, labelled: Sequence[Case]) -> dict[str, None]:
    """Names of all files; files that cannot be read are told by the check."""
    names: dict[str, None] = {}
    for path in dict.fromkeys(dataset.path(source) for case in labelled for source in case.label):
        form = io.form_of(path)
        try:
            found = form.entries(path) if form else ()
        except SegwrightError:
            continue
        names.update(dict.fromkeys(name for entry in found for name in entry.names))
    return names


def _stated(dataset: Dataset, labelled: Sequence[Case]) -> dict[str, Structure]:
    """Values and colours that files give their structures: the first file's, less values that two structures share."""
    found: dict[str, Structure] = {}
    for path in dict.fromkeys(dataset.path(source) for case in labelled for source in case.label):
        form = io.form_of(path)
        if form is not None and form.structures is not None:
            found = {**form.structures(path), **found}
    values = Counter(value for structure in found.values() for value in structure.values)
    if any(count > 1 for count in values.values()):
        return {name: structure.model_copy(update={"values": ()}) for name, structure in found.items()}
    return found


def _sample(dataset: Dataset, labelled: Sequence[Case], count: int) -> list[Case]:
    cases = list(labelled)
    try:
        pixels = int(np.prod(geometry_of(dataset, cases[0]).shape))
    except SegwrightError:
        pixels = 1
    cheap = pixels * count * len(cases) <= _ENOUGH
    return cases if cheap else cases[:: max(1, len(cases) // _SOME)]


def _looked(dataset: Dataset, case: Case) -> tuple[str, str]:
    """In words, two structures of a case that share pixels, and structures drawn in several outlines; empty if none."""
    try:
        geometry = geometry_of(dataset, case)
        drawn = read_drawn(dataset, case, geometry)
    except SegwrightError:
        return "", ""
    several = [f"{name} ({count} outlines)" for name, count in drawn.outlines.items() if count > 1]
    told = f"{', '.join(several[:3])}{' and more' if len(several) > 3 else ''} in {case.id}" if several else ""
    return _sharing(drawn.masks, np.zeros(geometry.shape, dtype=bool), case.id), told


def _sharing(masks: Mapping[str, NDArray[np.bool_]], taken: NDArray[np.bool_], case: str) -> str:
    for name, mask in masks.items():
        if bool((mask & taken).any()):
            other = next(o for o, m in masks.items() if o != name and bool((m & mask).any()))
            return f"{other} and {name} in {case}"
        taken |= mask
    return ""
