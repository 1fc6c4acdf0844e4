"""Structures that files name: by a file (or several) each, or inside drawn labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.core.case import Case, Dataset, LabelSource
from segwright.core.errors import LabelError, SegwrightError
from segwright.core.labels import LabelSpace, Structure
from segwright.core.words import amount, listed
from segwright.io.drawing import geometry_of, read_drawn
from segwright.io.drawn import natural
from segwright.io.layouts.content import all_or_some
from segwright.io.masks import binary, one_plane, values_of
from segwright.io.meaning.decide import decide
from segwright.io.meaning.facts import LabelFacts, facts_of
from segwright.io.sources import planes_of_source, volume_of

#: Cases whose files are looked at where they are too many to look at all; values above are packed colours.
_SOME, _MOST_VALUE = 12, 0xFFFF


def from_files(dataset: Dataset, labelled: Sequence[Case]) -> Dataset:
    """One file (or several) a structure: overlapping, unless structures of the layout never share voxels.

    Raises:
        LabelError: Files that would be united hold several classes, or a value counts nowhere in one structure and is
            another.
    """
    named = dict.fromkeys(source.structure or "foreground" for case in labelled for source in case.label)
    known = dataset.labels.structures or tuple(Structure(name=name) for name in sorted(named))
    some = all_or_some(dataset, labelled, _SOME)
    ignore, told = _values(dataset, some, united=len(known) == 1)
    if len(known) == 1:
        return _with(dataset, LabelSpace(structures=known, kind="exclusive", ignore=ignore), *told)
    overlap = any(_overlaps(dataset, case, ignore) for case in some)
    note = f"Structures come as files of their own; in {amount(len(some), 'case')} looked at, "
    note += "some voxels belong to several." if overlap else "no voxel belongs to several."
    exclusive = not overlap and dataset.layout == "totalsegmentator"
    note += " They are learnt as exclusive." if exclusive else " They are learnt as overlapping."
    space = LabelSpace(structures=known, kind="exclusive" if exclusive else "overlapping", ignore=ignore)
    absent = _absent([structure.name for structure in known], labelled)
    return _with(dataset, space, note, *told, *absent)


def _values(dataset: Dataset, some: Sequence[Case], *, united: bool) -> tuple[int | None, list[str]]:
    """The value that counts nowhere in the files of structures, and sentences on what their values mean."""
    found = {name: decide(*looks) for name, looks in _looks(dataset, some).items()}
    marks = {meaning.ignore for meaning in found.values() if meaning.ignore is not None}
    for name, meaning in found.items():
        if marks & set(meaning.values):
            raise LabelError(
                f"Value {min(marks & set(meaning.values))} is structure {name!r}, and counts nowhere in another.",
                expected="one value that counts nowhere, and others for structures",
                got="; ".join(f"{n}: {m.values}, ignored {m.ignore}" for n, m in found.items()),
                where=dataset.root,
                hint="Give the files of all structures the same values, e.g. 0, 1 and 255.",
            )
    several = {n: m.values for n, m in found.items() if m.kind == "classes" and not m.smeared and len(m.values) > 1}
    twice = [case.id for case in some if len(case.label) > 1]
    if united and several and twice:
        raise LabelError(
            "Several label files of one image hold several values, so they are no masks to be united.",
            expected="one label file an image, or a mask of a single value for each structure",
            got=f"values {next(iter(several.values()))} in {amount(len(twice), 'case')}: {', '.join(twice[:3])}",
            where=dataset.root,
            hint="Take the files out that are not meant, or name the right ones in a CSV table (id, image, label).",
        )
    told = [note for meaning in found.values() if meaning.ignore is not None for note in meaning.notes[:1]]
    told += [f"Files of {name!r} hold values {listed(map(str, v))}, which are united." for name, v in several.items()]
    return next(iter(marks), None), list(dict.fromkeys(told))


def _looks(
    dataset: Dataset, some: Sequence[Case]
) -> dict[str, tuple[dict[str, LabelFacts], Callable[[str], NDArray[Any]]]]:
    """Facts of the files of each structure, by path, and how to read one again; files in colour say nothing here."""
    found: dict[str, dict[str, LabelFacts]] = {}
    sources = {s.path: s for case in some for s in case.label if s.plane is None and not s.key}
    for path, source in sources.items():
        raw = raw_of(dataset, source)
        if raw is not None and raw.max(initial=0) <= _MOST_VALUE:
            found.setdefault(source.structure or "", {})[path] = facts_of(raw)

    def again(path: str) -> NDArray[Any]:
        raw = raw_of(dataset, sources[path])
        return np.zeros((1, 1, 1), np.uint8) if raw is None else raw

    return {name: (facts, again) for name, facts in found.items()}


def _absent(names: Sequence[str], labelled: Sequence[Case]) -> list[str]:
    """A sentence on structures for which some labelled cases have no file."""
    found = [(name, c.id) for c in labelled for name in names if name not in {s.structure for s in c.label}]
    if not found:
        return []
    some = ", ".join(f"{name} in {case}" for name, case in found[:4]) + (", ..." if len(found) > 4 else "")
    return [f"Structures without a file are taken as absent in {amount(len(found), 'place')}: {some}."]


def _overlaps(dataset: Dataset, case: Case, ignore: int | None) -> bool:
    """Whether two structures of a case share a voxel that counts."""
    taken: NDArray[np.bool_] | None = None
    owner: dict[str, NDArray[np.bool_]] = {}
    for source in case.label:
        raw = raw_of(dataset, source)
        if raw is None:
            continue
        mask = binary(raw) if ignore is None else binary(raw) & (raw != ignore)
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


#: Pixels times structures that are looked at in full; of more, some cases are taken.
_ENOUGH = 4_000_000_000
_LOOKED_AT = 40


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
    return cases if cheap else cases[:: max(1, len(cases) // _LOOKED_AT)]


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
