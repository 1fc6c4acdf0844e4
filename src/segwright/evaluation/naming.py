"""Matches the classes that predictions name with the structures of a reference; whatever does not match is told."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import NamedTuple

from segwright.core.errors import LabelError
from segwright.core.labels import LabelSpace
from segwright.core.words import listed


class Naming(NamedTuple):
    """What predicted classes are called in the reference.

    Attributes:
        names: Predicted class to structure.
        notes: Sentences on names that differ, that are unknown, and that nothing predicts.
    """

    names: dict[str, str]
    notes: list[str]


def same_names(predicted: Sequence[str], space: LabelSpace, *, where: str) -> Naming:
    """Match equal names, then names that differ in case and signs, then a structure's value; then lone classes.

    Raises:
        LabelError: Not one class is known.

    Example:
        >>> space = LabelSpace(structures=[{"name": "left lung", "values": [7]}, {"name": "heart"}])
        >>> same_names(["Left_Lung", "liver"], space, where="").names
        {'Left_Lung': 'left lung'}
    """
    table = _known(space)
    names = {name: table[key] for name in predicted if (key := _key(name, table)) is not None}
    if not names and len(predicted) == len(space.names) == 1:
        names = {predicted[0]: space.names[0]}
    if predicted and not names:
        raise LabelError(
            "The predictions name none of the reference's structures.",
            expected=listed(space.names),
            got=listed(predicted),
            where=where,
            hint="Call the structures as the reference does.",
        )
    other = [f"{name!r} is {ours!r}" for name, ours in names.items() if name != ours]
    notes = [f"Classes of the predictions that are called differently: {listed(other)}."] if other else []
    notes += _strangers([name for name in predicted if name not in names], space)
    idle = [name for name in space.names if name not in names.values()]
    if idle:
        notes.append(f"No prediction names {listed(idle)}: taken as predicted nowhere.")
    return Naming(names, notes)


def _known(space: LabelSpace) -> dict[str, str]:
    """Structures by name, by name without case and signs where that is of one alone, and by value."""
    bare = [_bare(name) for name in space.names]
    table = {str(value): s.name for s in space.structures for value in s.values}
    table = table or {str(index): name for index, name in enumerate(space.names, start=1)}
    table |= {key: name for key, name in zip(bare, space.names, strict=True) if key and bare.count(key) == 1}
    return {**table, **{name: name for name in space.names}}


def _key(name: str, table: dict[str, str]) -> str | None:
    return next((key for key in (name, _bare(name)) if key in table), None)


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def _strangers(names: Sequence[str], space: LabelSpace) -> list[str]:
    """A sentence on classes that the reference lacks, with the nearest name of the first."""
    if not names:
        return []
    near = difflib.get_close_matches(names[0], space.names, n=1)
    hint = f" Was {names[0]!r} meant to be {near[0]!r}?" if near else ""
    return [f"Classes of the predictions that the reference does not have, left out: {listed(names)}.{hint}"]
