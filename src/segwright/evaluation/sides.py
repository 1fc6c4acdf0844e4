"""What the files of references and of predictions mean: each side is decided once, over all its files, by the task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.core.errors import LabelError, SegwrightError
from segwright.core.labels import LabelSpace, Structure
from segwright.core.words import listed
from segwright.evaluation.pairing import Parts
from segwright.io.layouts.content import is_label
from segwright.io.layouts.values import space_of
from segwright.io.masks import are_colours, as_colours, is_coloured, value_counts, values_of
from segwright.io.meaning.decide import Meaning, decide
from segwright.io.meaning.facts import facts_of, in_colours

#: More files or bytes than this are looked at in a spread of them.
_ALL_FILES, _ALL_BYTES, _SOME = 400, 300_000_000, 40
#: Cases in which predicted values are held against masks of the reference, and the share that must lie inside.
_COMPARED, _INSIDE = 8, 0.5
#: More classes than this in references are no labels.
_MOST_VALUES = 1000

OBJECTS = "Predictions number objects, so objects are scored: of the references, the pieces of their masks."

Files = Mapping[str, Parts]


def infer_space(wanted: Files, found: Files, notes: list[str]) -> LabelSpace:
    """A label space out of folder names, or out of the values in the references; what was assumed goes to `notes`.

    Masks of one structure become objects where the predictions number some.

    Args:
        wanted: References.
        found: Predictions; none where there is nothing to compare with.

    Raises:
        LabelError: The references hold pictures.
    """
    names = sorted({name for parts in wanted.values() for name in parts if name})
    if names:
        notes.append(f"Structures are the subfolders of the reference: {', '.join(names)}.")
        return LabelSpace(structures=tuple(Structure(name=name) for name in names), kind="overlapping")
    ours = {case: parts for case, parts in found.items() if case in wanted}
    meaning = meaning_of(_paths(wanted))
    if meaning.kind == "empty":
        meaning = meaning_of(_paths(ours))
    if meaning.kind == "empty":
        notes.append("Neither references nor predictions hold a structure.")
        return LabelSpace(structures=(Structure(name="foreground", values=(1,)),))
    if meaning.kind == "image" or len(meaning.values) > _MOST_VALUES:
        raise _no_labels(meaning)
    if meaning.kind == "objects":
        if not all(is_label(path) is not False for path in _paths(wanted)[:_COMPARED]):
            raise _no_labels(meaning)
        notes.append("Values of the references number objects, so objects are scored and not values.")
        return LabelSpace(structures=(Structure(name="object"),), kind="instances")
    notes += meaning.notes
    if meaning.kind == "classes":
        return _classes(space_of(meaning), notes)
    return _of_mask(space_of(meaning), wanted, ours, notes)


def _no_labels(meaning: Meaning) -> LabelError:
    return LabelError(
        "The reference does not look like labels.",
        expected=f"1 to {_MOST_VALUES} values beside 0",
        got=f"{len(meaning.values)} values" if meaning.kind == "classes" else meaning.notes[0],
        hint="Give the folder of labels; add --instances if the values number objects; or say what they mean in a "
        "dataset.yaml.",
    )


def _classes(space: LabelSpace, notes: list[str]) -> LabelSpace:
    """Structures that are called as their values are."""
    structures = tuple(s.model_copy(update={"name": s.name.removeprefix("structure_")}) for s in space.structures)
    names = ", ".join(s.name for s in structures)
    notes.append(f"Structures are the values found in the reference: {names}.")
    return space.model_copy(update={"structures": structures})


def _of_mask(space: LabelSpace, wanted: Files, ours: Files, notes: list[str]) -> LabelSpace:
    """The mask's structure, or its objects, or classes of which the references show one only."""
    theirs = meaning_of(_paths(ours))
    if number_objects(space, wanted, ours, theirs):
        notes.append(OBJECTS)
        return space.model_copy(update={"kind": "instances"})
    if theirs.kind != "classes":
        notes.append(f"Masks of one structure; it has the value {_listed(space.structures[0].values)}.")
        return space
    values = sorted({*space.structures[0].values, *theirs.values})
    notes.append(f"Structures are the values found in references and predictions: {_listed(values)}.")
    return space.model_copy(update={"structures": tuple(Structure(name=str(v), values=(v,)) for v in values)})


def number_objects(space: LabelSpace, wanted: Files, ours: Files, theirs: Meaning | None = None) -> bool:
    """Whether predictions number objects of a mask.

    Their values are not the mask's, or else lie inside the mask just as the mask's own value does, which those of other
    classes would not.

    Args:
        space: Of one structure.
        wanted, ours: References and the predictions of the same cases.
        theirs: What the predictions' values mean, where that is known.
    """
    meaning = theirs or meaning_of(_paths(ours))
    if meaning.kind != "classes":
        return meaning.kind == "objects"
    own = known_values(space)
    if not own & {*meaning.values}:
        return True
    inside = other = 0
    for case in [case for case in ours if "" in ours[case] and case in wanted][:_COMPARED]:
        try:
            reference, prediction = (read_values(side[case][""]) for side in (wanted, ours))
        except SegwrightError:
            continue
        if reference.shape == prediction.shape:
            odd = ~np.isin(prediction, list(own))
            other += int(np.count_nonzero(odd))
            inside += int(np.count_nonzero(odd & (reference != 0)))
    return inside > _INSIDE * other


def as_written(task: LabelSpace, files: Files, notes: list[str], *, whose: str = "predictions") -> LabelSpace:
    """The task's structures with the values that they have in the files of one side.

    A mask of a single structure may have any value, smeared edges, or be numbered by objects; objects may be numbered
    or be the pieces of masks. Values of several classes mean what the task says, but may be smeared.

    Args:
        task: What is scored.
        files: Of the side; where structures have files of their own nothing is to be decided.
        notes: What was assumed is added.
        whose: For notes.
    """
    paths = _paths(files)
    known = known_values(task)
    tables = {path: set(table) for path, table in _tables(paths).items()}
    if not tables or (all(table <= known for table in tables.values()) and known != {0}):
        return task
    meaning = meaning_of(list(tables))
    if task.instances:
        return _objects_written(task, meaning, notes, whose)
    if len(task.structures) > 1:
        fits = meaning.smeared and {*meaning.values} <= known
        notes += meaning.notes if fits else ()
        return task.model_copy(update={"smeared": True}) if fits else task
    if meaning.kind == "mask":
        return _mask_written(task, meaning, notes, whose)
    if meaning.kind == "objects":
        notes.append(f"Values of the {whose} number objects; all together they are {task.names[0]!r}.")
        return _with_values(task, sorted(set().union(*tables.values()) - {0}))
    return task


def _objects_written(task: LabelSpace, meaning: Meaning, notes: list[str], whose: str) -> LabelSpace:
    if meaning.kind != "mask":
        if known_values(task) != {0}:
            notes.append(f"Values of the {whose} number objects.")
        return task.model_copy(update={"structures": (task.structures[0].model_copy(update={"values": ()}),)})
    notes.append(f"Objects of the {whose} are the pieces of their masks (touching by faces, edges or corners).")
    notes += meaning.notes
    return _with_values(task, meaning.values, meaning)


def _mask_written(task: LabelSpace, meaning: Meaning, notes: list[str], whose: str) -> LabelSpace:
    ours = ", ".join(str(v) for v in task.structures[0].values) or "1"
    if not meaning.smeared:
        told = f"Masks of one structure: the value {_listed(meaning.values)} of the {whose} means what {ours} means."
        notes.append(told)
    notes += meaning.notes
    return _with_values(task, meaning.values, meaning)


def _with_values(task: LabelSpace, values: Sequence[int], meaning: Meaning | None = None) -> LabelSpace:
    only = task.structures[0].model_copy(update={"values": tuple(values)})
    more = {} if meaning is None else {"smeared": meaning.smeared, "background": meaning.background}
    return task.model_copy(update={"structures": (only,), **more})


def known_values(space: LabelSpace) -> set[int]:
    """Values that files may hold; 0 alone where values number objects."""
    values = {value for structure in space.structures for value in structure.values}
    if not values and not space.instances:
        values = set(range(1, len(space.structures) + 1))
    return {0, *values, *space.background, *([space.ignore] if space.ignore is not None else [])}


def meaning_of(paths: Sequence[Path]) -> Meaning:
    """What the values of some files mean; those that cannot be read become errors of their case later."""
    facts = {}
    for path in _some(paths):
        try:
            label = io.read_label(path)
            coloured = is_coloured(label.array(), colours=are_colours(label))
            facts[str(path)] = facts_of(values_of(label, where=str(path)), colour=coloured)
        except SegwrightError:
            continue
    colour = any(table.colour for table in facts.values())
    if colour:
        facts = {path: in_colours(table) for path, table in facts.items()}
    return decide(facts, lambda path: as_colours(read_values(Path(path))) if colour else read_values(Path(path)))


def read_values(path: Path) -> NDArray[Any]:
    """Values `(z, y, x)` of a file."""
    return values_of(io.read_label(path), where=str(path))


def _tables(paths: Sequence[Path]) -> dict[Path, dict[int, int]]:
    return dict(_readable(_some(paths)))


def _readable(paths: Sequence[Path]) -> Iterator[tuple[Path, dict[int, int]]]:
    for path in paths:
        try:
            yield path, value_counts(read_values(path))
        except SegwrightError:
            continue


def _paths(files: Files) -> list[Path]:
    """Files of values; masks of structures that have folders of their own need no meaning."""
    return [parts[""] for parts in files.values() if "" in parts]


def _some(paths: Sequence[Path]) -> list[Path]:
    """All files where reading them is cheap, else some, spread evenly."""
    size = sum(path.stat().st_size for path in paths if path.is_file())
    if len(paths) <= _ALL_FILES and size <= _ALL_BYTES:
        return list(paths)
    return list(paths)[:: max(1, len(paths) // _SOME)]


def _listed(values: Sequence[int]) -> str:
    return listed(values)
