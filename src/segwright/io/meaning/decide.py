"""Decides once, from the facts of all label files, what their values mean.

Each reading of the values has what it needs and what rules it out; the first that nothing rules out is taken, and the
next best is kept beside it, so that a person sees what else was possible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from segwright.core.words import listed
from segwright.io.meaning.doubts import Facts, Reread, doubts, solid_share
from segwright.io.meaning.facts import LabelFacts, one_piece
from segwright.io.meaning.levels import UNEXPLAINED, find_levels, on_ramps, snap
from segwright.io.meaning.objects import Verdict, number_objects

#: What a note says that tells of numbered objects.
TELL_APART = "give instances=true."
Kind = Literal["empty", "mask", "classes", "objects", "image"]
Stated = Literal["", "classes", "objects"]

#: Shares of solid voxels. On JPEG (quality 30 to 100), blur and resizing we measured at most 0.29 for values near their
#: level (0.41 in colour) and none for values far from it; drawn shapes have 0.9 and more.
_NEAR, _NEAR_COLOUR, _FAR = 0.35, 0.5, 0.05
#: A mark drawn along borders is thinner than the classes it parts.
_THIN = 0.5
#: Share of the frame of all images that background fills.
_GROUND = 0.9
#: Numbers of objects are nearly all in one file only.
_ONCE = 0.9
#: Up to so many values may all be thin lines.
_SHAPES = 16
#: Smearing leaves many values; where there are fewer they must stand between both levels of a mask.
_FEW_STRAYS, _ON_RAMPS = 6, 0.9
#: More classes than this are told not to be objects.
_SCATTERED = 20
#: Files looked at again, voxel by voxel.
_LOOKED_AT = 12
#: Marks of voxels that count nowhere, beside any single negative value.
_MARKS = frozenset({255, 254, 65535, 65534, 32767})


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the values of all labels mean.

    Attributes:
        kind: `mask` of one structure, exclusive `classes`, numbers of `objects`, `image` (no labels at all) or `empty`.
        values: Values of structures, in their order; of a mask all that mean set.
        ignore: Value that counts nowhere.
        background: Values beside 0 that mean no structure.
        smeared: Voxels take the level of the flat area beside them.
        notes: What was assumed, in sentences.
        other: What else was possible, and why it was not taken.
    """

    kind: Kind
    values: tuple[int, ...] = ()
    ignore: int | None = None
    background: tuple[int, ...] = ()
    smeared: bool = False
    notes: tuple[str, ...] = ()
    other: str = ""


def decide(facts: Facts, reread: Reread | None = None, *, dense: bool = False, stated: Stated = "") -> Meaning:
    """The meaning of the values of some label files.

    Args:
        facts: By case, of every file that was looked at.
        reread: Values of a case, to test whether smeared files are safe to snap; without it they are trusted.
        dense: The files are of a kind whose many values nearly always number objects (electron microscopy).
        stated: What a person says the values are, where classes and numbers of objects look alike.

    Example:
        >>> from segwright.io.meaning.facts import facts_of
        >>> decide({"a": facts_of(np.array([[[0, 0, 255, 255]]]))}).values
        (255,)
    """
    told = [table for table in facts.values() if table.values]
    values = sorted({value for table in told for value in table.values})
    if not values:
        return Meaning("empty")
    smeared = _smeared(facts, reread)
    if smeared is not None:
        return smeared
    ignore, notes = _ignore(told, values)
    kept = [table.without(ignore) for table in told]
    classes = tuple(value for value in values if value != ignore)
    if stated != "classes":
        verdict = _verdict(facts, kept, reread, dense=dense) if not stated else Verdict(True, "stated")
        if verdict.objects:
            return _objects(classes, ignore, notes, verdict)
        notes += _doubtful(classes, verdict)
    if _picture(kept, classes):
        return Meaning("image", notes=(f"{len(values)} different values, most of which form no shape",))
    notes += doubts({case: t.without(ignore) for case, t in facts.items() if t.values - {ignore}}, classes, reread)
    return _classes(kept, classes, ignore, notes)


def _verdict(facts: Facts, kept: Sequence[LabelFacts], reread: Reread | None, *, dense: bool) -> Verdict:
    """Whether values number objects; files are read again only where the question of pieces comes up."""

    @cache
    def pieces() -> float | None:
        shares = [one_piece(reread(case)) for case in _looked_at(facts)] if reread else []
        known = [share for share in shares if share is not None]
        return float(np.mean(known)) if known else None

    return number_objects([table for table in kept if table.values], pieces, dense=dense)


def _objects(values: Sequence[int], ignore: int | None, notes: tuple[str, ...], verdict: Verdict) -> Meaning:
    note = f"Labels hold {len(values)} values that number objects; all together they are 'foreground'. "
    note += f"To tell the objects apart, {TELL_APART}"
    note += f" It is a guess ({verdict.doubt}): if they are classes, {_state('classes')}." if verdict.doubt else ""
    other = f"{len(values)} classes (no: {verdict.why})"
    return Meaning("objects", ignore=ignore, notes=(*notes, note), other=other)


def _doubtful(values: Sequence[int], verdict: Verdict) -> tuple[str, ...]:
    """A sentence on classes that may number objects."""
    if not verdict.doubt:
        return ()
    names = f"Values {listed(values)}" if len(values) > 1 else f"Value {values[0]}"
    return (f"{names} are read as classes, and may number objects: {verdict.doubt}. If they do, {_state('objects')}.",)


def _state(what: str) -> str:
    return f"write 'label_values: {what}' into a dataset.yaml in the folder"


def _classes(told: Sequence[LabelFacts], kept: Sequence[int], ignore: int | None, notes: tuple[str, ...]) -> Meaning:
    """Exclusive classes, or the mask of one structure."""
    if set(kept) <= {1, 255} and not any({1, 255} <= table.values for table in told):
        return Meaning("mask", tuple(sorted(kept, reverse=True)), ignore, notes=notes)
    if all(0 not in table.counts for table in told):
        return _without_zero(told, kept, ignore, notes)
    other = "numbers of objects (no: the same values come back in most cases)" if len(kept) > _SCATTERED else ""
    return Meaning("mask" if len(kept) == 1 else "classes", tuple(kept), ignore, notes=notes, other=other)


def _without_zero(
    told: Sequence[LabelFacts], kept: Sequence[int], ignore: int | None, notes: tuple[str, ...]
) -> Meaning:
    """Labels in which no voxel is 0: of two values one is background; of more, every value is a structure."""
    frame = Counter[int]()
    for table in told:
        frame.update(table.frame)
    total = sum(frame.values())
    ground, count = frame.most_common(1)[0] if frame else (0, 0)
    if len(kept) > 1 and count >= _GROUND * total:
        rest = tuple(value for value in kept if value != ground)
        told_ = (
            f"No label holds 0; value {ground} fills the frame of the images and is taken as background. If it is a "
        )
        told_ += "structure, name it under labels.structures in dataset.yaml."
        kind: Kind = "mask" if len(rest) == 1 else "classes"
        return Meaning(kind, rest, ignore, (ground,), notes=(*notes, told_), other=f"{len(kept)} structures")
    told_ = "No label holds the value 0, so no voxel is background; every value is a structure."
    return Meaning("classes", tuple(kept), ignore, notes=(*notes, told_))


def _ignore(told: Sequence[LabelFacts], values: Sequence[int]) -> tuple[int | None, tuple[str, ...]]:
    """The value that counts nowhere, and a sentence that says so."""
    mark, why = _mark(told, values)
    if mark is None:
        return None, ()
    return mark, (f"Value {mark} counts nowhere ('ignore'): {why}. If it is a structure, name it in dataset.yaml.",)


def _mark(told: Sequence[LabelFacts], values: Sequence[int]) -> tuple[int | None, str]:
    """The value that counts nowhere, and why; a negative value, or a usual mark above small class numbers.

    A mark stands beside classes in most files that have it: alone with 0 it is a mask. Of numbers that are no usual
    mark only thin ones, which lie along the borders of others, are taken.
    """
    negative = [value for value in values if value < 0]
    if len(negative) == 1 < len(values):
        return negative[0], "negative values are no classes"
    top, rest = values[-1], list(values[:-1])
    if not rest or any(table.colour for table in told) or top <= max(16, 3 * len(rest)):
        return None, ""
    beside = [len(table.values) > 1 for table in told if top in table.values]
    if 2 * sum(beside) < len(beside):
        return None, ""
    contact, thin = _along(told, top), solid_share(told, [top])
    usual = top in _MARKS or top in {table.span for table in told}
    if usual and (rest[-1] <= max(30, 2 * len(rest)) or (contact >= 0.2 and thin < _THIN)):
        return top, f"it is the usual mark, above class numbers up to {rest[-1]}"
    if usual and _only_one_to_come_back(told, top):
        return top, "it is the usual mark, and the only value that comes back from case to case"
    if top >= 90 and rest[-1] <= 30 and contact >= 0.2 and thin < _THIN < solid_share(told, rest):
        return top, "it lies thin along the borders of the other values (a guess)"
    return None, ""


def _only_one_to_come_back(told: Sequence[LabelFacts], value: int) -> bool:
    """Whether most files hold a value, and nearly all other values are in one file each, as numbers of objects are."""
    owners = Counter(v for table in told for v in table.values)
    once = sum(count == 1 for v, count in owners.items() if v != value)
    return len(told) > 2 and 2 * owners[value] > len(told) and once >= _ONCE * (len(owners) - 1)


def _along(told: Sequence[LabelFacts], value: int) -> float:
    """Mean share of a value's border that touches other structures."""
    shares = [table.contact[value] for table in told if value in table.contact]
    return float(np.mean(shares)) if shares else 0.0


def _picture(told: Sequence[LabelFacts], values: Sequence[int]) -> bool:
    """Whether files hold pictures, or drawings smeared past recognition: most of many values form no shape."""
    shapeless = sum(solid_share(told, [value]) < _FAR for value in values)
    return len(values) > _SHAPES and shapeless * 2 > len(values)


def _smeared(facts: Facts, reread: Reread | None) -> Meaning | None:
    """The levels of smeared files; `None` where values are exact."""
    told = [table for table in facts.values() if table.values]
    colour = any(table.colour for table in told)
    flat = Counter[int]()
    for table in told:
        flat.update(table.flat or table.counts)
    levels = find_levels(flat, colour=colour)
    stray = sorted({value for table in told for value in table.counts} - set(levels))
    if not levels or not stray or not _thin_strays(told, stray, levels, colour=colour):
        return None
    held = {case: table for case, table in facts.items() if set(table.counts) - set(levels)}
    few = len(stray) < _FEW_STRAYS
    if few and (len(levels) > 2 or colour or not _ramps(held, levels, reread)):
        return None
    return _checked(facts, held, levels, reread)


def _thin_strays(told: Sequence[LabelFacts], stray: Sequence[int], levels: Sequence[int], *, colour: bool) -> bool:
    """Whether values that are no level have as little inside as smearing leaves them."""
    if solid_share(told, stray) >= (_NEAR_COLOUR if colour else _NEAR):
        return False
    if colour:
        return True
    tolerance = max(4.0, (levels[-1] - levels[0]) / 20)
    far = [value for value in stray if min(abs(value - level) for level in levels) > tolerance]
    return not far or solid_share(told, far) < _FAR


def _looked_at(held: Facts) -> list[str]:
    return list(held)[:: max(1, len(held) // _LOOKED_AT)][:_LOOKED_AT]


def _ramps(held: Facts, levels: Sequence[int], reread: Reread | None) -> bool:
    """Whether the few values between two levels stand where one level passes into the other."""
    return reread is not None and all(on_ramps(reread(case), levels) >= _ON_RAMPS for case in _looked_at(held))


def _checked(facts: Facts, held: Facts, levels: Sequence[int], reread: Reread | None) -> Meaning:
    """The levels with how many voxels move, or an image where smearing does not explain the values."""
    colour = any(table.colour for table in facts.values())
    moved = lone = drawn = 0
    for case in _looked_at(held) if reread else ():
        found = snap(reread(case), levels, colour=colour) if reread else None
        if found is not None:
            moved, lone = moved + found.moved, lone + found.lone
            drawn += int(np.count_nonzero(found.values))
    names = ", ".join(f"#{level:06X}" if colour else str(level) for level in levels)
    if lone > max(8, UNEXPLAINED * drawn):
        told = (
            f"values are smeared (compression, blur or resizing) beyond repair: {lone} voxels belong to none of {names}"
        )
        return Meaning("image", notes=(told,))
    kept = tuple(level for level in levels if level != 0)
    note = f"Label files are smeared (compression, blur or resizing): {len(held)} of {len(facts)} hold values between "
    note += f"their levels {names}. Each voxel takes the level of the flat area beside it"
    note += f"; {moved} voxels move in the files looked at." if moved else "."
    return Meaning("mask" if len(kept) == 1 else "classes", kept, smeared=True, notes=(note,))
