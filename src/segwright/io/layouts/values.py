"""Finds out what labels mean by reading them: a map of values, planes of one file, or a file a structure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.case import Case, Dataset, Decision
from segwright.core.errors import LabelError, SegwrightError
from segwright.core.labels import LabelSpace, Structure
from segwright.core.volume import LazyArray, Volume
from segwright.io import claims
from segwright.io.drawing import is_drawn
from segwright.io.layouts.container import key_names
from segwright.io.layouts.content import all_or_some
from segwright.io.layouts.legends import Shown, refuse_contradictions, shown
from segwright.io.layouts.names import role
from segwright.io.layouts.planes import from_planes, usual_planes
from segwright.io.layouts.scan import suffix_of
from segwright.io.layouts.structures import from_files, with_drawn
from segwright.io.masks import are_colours, as_colours, is_coloured, values_of
from segwright.io.meaning.decide import Meaning, decide
from segwright.io.meaning.facts import LabelFacts, facts_of, in_colours
from segwright.io.sources import volume_of

#: Suffixes of files that change values, and by how much they may.
_LOSSY, _LOSS = frozenset({".jpg", ".jpeg"}), 8
#: Cases that are looked at where they are too many to look at all.
_SOME = 40


def with_labels(dataset: Dataset) -> Dataset:
    """The dataset with structures found in its labels, unless a file stated them.

    Raises:
        LabelError: The labels hold pictures, or values smeared beyond repair.
    """
    labelled = [case for case in dataset.cases if case.label]
    if not labelled:
        return dataset
    if any(is_drawn(dataset, case) for case in labelled):
        return with_drawn(dataset, labelled)
    if any(source.structure for case in labelled for source in case.label):
        return from_files(dataset, labelled)
    if dataset.labels.structures:
        return dataset
    files = _apart(labelled)
    planes = usual_planes(dataset, files)
    if planes:
        return from_planes(dataset, files, planes)
    return _from_values(dataset, all_or_some(dataset, files, _SOME))


def _apart(cases: Sequence[Case]) -> list[Case]:
    """The cases, but one where many are planes of one array."""
    return list({(case.label[0].path, case.label[0].key): case for case in reversed(cases)}.values())[::-1]


def _from_values(dataset: Dataset, some: Sequence[Case]) -> Dataset:
    """What the values mean, decided over all files that are looked at."""
    facts = _facts(dataset, some)
    refuse_contradictions(
        {dataset.path(case.label[0]): _shown(dataset, case, facts[case.id]) for case in some if case.id in facts}
    )
    meaning = decide(
        facts,
        lambda case: _values(dataset, some, case, facts),
        dense=dataset.modality == "em",
        stated=dataset.label_values,
    )
    if meaning.kind == "image":
        raise _no_labels(dataset, some, meaning)
    _refuse_lossy(dataset, some, meaning)
    space, notes = space_of(meaning), list(meaning.notes)
    if meaning.kind == "objects":
        cases = tuple(_as_one(case) for case in dataset.cases)
        dataset = dataset.model_copy(update={"cases": cases})
        space = LabelSpace(structures=(Structure(name="foreground"),), ignore=meaning.ignore)
    elif space.names == ("foreground",):
        only = space.structures[0].model_copy(update={"name": _folder_name(dataset, some)})
        space = space.model_copy(update={"structures": (only,)})
    if len(facts) < sum(bool(case.label) for case in dataset.cases):
        notes.append(f"Label values were looked up in {len(facts)} of the labelled cases.")
    told = {"notes": (*dataset.notes, *notes)}
    if meaning.other:
        decision = Decision(topic="label values", chosen=meaning.kind, other=meaning.other)
        return dataset.model_copy(update={**told, "labels": space, "decisions": (*dataset.decisions, decision)})
    return dataset.model_copy(update={**told, "labels": space})


def _facts(dataset: Dataset, some: Sequence[Case]) -> dict[str, LabelFacts]:
    """Facts of the labels that can be read; where some are in colour, grey ones are read as colours too."""
    found = {case.id: facts for case in some if (facts := _facts_of(dataset, case)) is not None}
    if any(facts.colour for facts in found.values()):
        return {case: in_colours(facts) for case, facts in found.items()}
    return found


def _facts_of(dataset: Dataset, case: Case) -> LabelFacts | None:
    label = _label(dataset, case)
    if label is None:
        return None
    return facts_of(_one(dataset, case, label), colour=is_coloured(label.array(), colours=are_colours(label)))


def _shown(dataset: Dataset, case: Case, facts: LabelFacts) -> Shown:
    """The colours that a palette gives to the values of a label."""
    try:
        palette = volume_of(dataset, case.label[0]).header.get("palette", ())
    except SegwrightError:
        return {}
    return shown(palette, sorted(facts.values))


def _label(dataset: Dataset, case: Case) -> Volume | None:
    """A label with its voxels in memory, `None` where they mean nothing or are far too many (the check says so)."""
    path = dataset.path(case.label[0])
    try:
        label = volume_of(dataset, case.label[0])
        if _outsized(dataset, case, label):
            return None
        label = replace(label, data=LazyArray.of(label.array()))
        values_of(label, where=str(path))
    except SegwrightError:
        return None
    return label


def _outsized(dataset: Dataset, case: Case, label: Volume) -> bool:
    """Whether a large label claims far more voxels than the image it belongs to; nothing is decoded to tell."""
    voxels = math.prod(label.geometry.shape)
    if voxels <= claims.LARGE or not case.images or case.label[0].plane is not None:
        return False
    return voxels > claims.ROOM * math.prod(volume_of(dataset, case.images[0]).geometry.shape)


def _one(dataset: Dataset, case: Case, label: Volume) -> NDArray[Any]:
    return values_of(label, where=str(dataset.path(case.label[0])))


def _values(dataset: Dataset, some: Sequence[Case], case_id: str, facts: Mapping[str, LabelFacts]) -> NDArray[Any]:
    """The values of one case again, as its facts were taken."""
    case = next(case for case in some if case.id == case_id)
    label = _label(dataset, case)
    raw = np.zeros((1, 1, 1), np.uint8) if label is None else _one(dataset, case, label)
    return as_colours(raw) if facts[case_id].colour else raw


def _refuse_lossy(dataset: Dataset, some: Sequence[Case], meaning: Meaning) -> None:
    """JPEG cannot keep numbers of classes apart that lie closer than what it changes."""
    levels = sorted({0, *meaning.values})
    steps = [b - a for a, b in itertools.pairwise(levels)]
    paths = [dataset.path(case.label[0]) for case in some]
    files = [next(path.iterdir()) if path.is_dir() and not suffix_of(path) else path for path in paths]
    lossy = [path for path in files if suffix_of(path) in _LOSSY]
    if lossy and meaning.kind == "classes" and min(steps) < _LOSS:
        raise LabelError(
            "Labels are stored as JPEG, which does not keep such values apart.",
            expected=f"values that differ by {_LOSS} or more",
            got=", ".join(map(str, levels[:8])),
            where=lossy[0],
            hint="Export the labels without compression (PNG, TIFF, NIfTI).",
        )


def _no_labels(dataset: Dataset, some: Sequence[Case], meaning: Meaning) -> LabelError:
    smeared = "smeared" in meaning.notes[0]
    return LabelError(
        "The labels are smeared beyond repair." if smeared else "The labels look like pictures.",
        expected="one whole number a structure",
        got=meaning.notes[0],
        where=dataset.path(some[0].label[0]),
        hint="Export the labels without compression, blur or resizing (PNG, TIFF, NIfTI), or name the folder that "
        "holds them with a CSV table (columns id, image, label).",
    )


def _folder_name(dataset: Dataset, some: Sequence[Case]) -> str:
    """A name for the only structure: the array or folder of the labels where that says more than `masks`."""
    keys = {case.label[0].key for case in some}
    named = key_names([key for key in keys if key and key.startswith("labels/")])
    if len(keys) == len(named) == 1:
        return next(iter(named.values()))
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


def space_of(meaning: Meaning) -> LabelSpace:
    """The label space of a meaning; without structures where values number objects or there are none.

    Example:
        >>> [(one.name, one.values) for one in space_of(Meaning("mask", (255, 1))).structures]
        [('foreground', (255, 1))]
    """
    if meaning.kind not in ("mask", "classes"):
        return LabelSpace()
    if meaning.kind == "mask":
        structures: list[Structure] = [Structure(name="foreground", values=meaning.values)]
    else:
        structures = [Structure(name=_value_name(value, meaning.values), values=(value,)) for value in meaning.values]
    return LabelSpace(
        structures=tuple(structures), ignore=meaning.ignore, background=meaning.background, smeared=meaning.smeared
    )


def _value_name(value: int, values: Sequence[int]) -> str:
    """`structure_7`, or the colour where values are packed colours."""
    return f"colour_{value:06X}" if max(values) > 0xFFFF else f"structure_{value}"
