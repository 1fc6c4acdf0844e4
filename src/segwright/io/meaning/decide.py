"""Decides once, from the facts of all label files, what their values mean.

Each reading of the values has what it needs and what rules it out; the first that nothing rules out is taken, and the
next best is kept beside it, so that a person sees what else was possible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segwright.io.meaning.facts import LabelFacts
from segwright.io.meaning.levels import UNEXPLAINED, find_levels, on_ramps, snap

Facts = Mapping[str, LabelFacts]
#: Reads the values of a case again; only smeared files are read twice.
Reread = Callable[[str], NDArray[Any]]
Kind = Literal["empty", "mask", "classes", "objects", "image"]

#: Without cases to compare: more values than this number objects; so do fewer that are widely scattered.
_MOST_CLASSES, _SCATTERED = 150, 20
#: Values of objects are new in nearly every case.
_NEW = 0.9
#: A class keeps to its place: standard deviation over cases, as a share of the array; uniform places give 0.29.
_STEADY, _ANYWHERE = 0.12, 0.18
#: Share of objects that are one piece.
_WHOLE = 0.9
#: Shares of solid voxels. On JPEG (quality 30 to 100), blur and resizing we measured at most 0.29 for values near their
#: level (0.41 in colour) and none for values far from it; drawn shapes have 0.9 and more.
_NEAR, _NEAR_COLOUR, _FAR = 0.35, 0.5, 0.05
#: A mark drawn along borders is thinner than the classes it parts.
_THIN = 0.5
#: Up to so many values may all be thin lines.
_SHAPES = 16
#: Smearing leaves many values; where there are fewer they must stand between both levels of a mask.
_FEW_STRAYS, _ON_RAMPS = 6, 0.9
#: Smeared files looked at again, voxel by voxel, before their levels are trusted.
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


def decide(facts: Facts, reread: Reread | None = None, *, dense: bool = False) -> Meaning:
    """The meaning of the values of some label files.

    Args:
        facts: By case, of every file that was looked at.
        reread: Values of a case, to test whether smeared files are safe to snap; without it they are trusted.
        dense: The files are of a kind whose many values nearly always number objects (electron microscopy).

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
    if _objects(told, values, dense=dense):
        note = f"Labels hold {len(values)} values that number objects; all together they are 'foreground'. "
        return Meaning(
            "objects",
            notes=(note + "To tell the objects apart, give instances=true.",),
            other=f"{len(values)} classes (no: {_why_objects(told, values)})",
        )
    if _picture(told, values):
        return Meaning("image", notes=(f"{len(values)} different values, most of which form no shape",))
    return _classes(told, values)


def _classes(told: Sequence[LabelFacts], values: Sequence[int]) -> Meaning:
    """Exclusive classes, or the mask of one structure."""
    ignore, why = _ignore(told, values)
    kept = [value for value in values if value != ignore]
    notes = [f"Value {ignore} counts nowhere ('ignore'): {why}. If it is a structure, name it in dataset.yaml."]
    notes = notes if ignore is not None else []
    if set(kept) <= {1, 255} and not any({1, 255} <= table.values for table in told):
        order = tuple(sorted(kept, reverse=True))
        return Meaning("mask", order, ignore, notes=tuple(notes))
    if all(0 not in table.counts for table in told):
        return _without_zero(told, kept, ignore, notes)
    other = "numbers of objects (no: the same values come back in most cases)" if len(kept) > _SCATTERED else ""
    return Meaning("mask" if len(kept) == 1 else "classes", tuple(kept), ignore, notes=tuple(notes), other=other)


def _without_zero(told: Sequence[LabelFacts], kept: list[int], ignore: int | None, notes: list[str]) -> Meaning:
    """Labels in which no voxel is 0: of two values one is background; of more, every value is a structure."""
    frame = Counter[int]()
    for table in told:
        frame.update(table.frame)
    total = sum(frame.values())
    ground, count = frame.most_common(1)[0] if frame else (0, 0)
    if len(kept) == 2 and count >= 0.9 * total:
        rest = tuple(value for value in kept if value != ground)
        told_ = f"No label holds 0; value {ground} fills the frame of the images and is taken as background."
        return Meaning("mask", rest, ignore, (ground,), notes=(*notes, told_), other="two structures")
    told_ = "No label holds the value 0, so no voxel is background; every value is a structure."
    return Meaning("classes", tuple(kept), ignore, notes=(*notes, told_))


def _ignore(told: Sequence[LabelFacts], values: Sequence[int]) -> tuple[int | None, str]:
    """The value that counts nowhere, and why; a negative value, or a usual mark above small class numbers.

    A mark must stand beside classes in some file: alone with 0 it is a mask. Of numbers that are no usual mark only
    thin ones, which lie along the borders of others, are taken.
    """
    negative = [value for value in values if value < 0]
    if len(negative) == 1:
        return negative[0], "negative values are no classes"
    top, rest = values[-1], list(values[:-1])
    if not rest or any(table.colour for table in told) or top <= max(16, 3 * len(rest)):
        return None, ""
    if not any(top in table.values and len(table.values) > 1 for table in told):
        return None, ""
    contact, thin = _along(told, top), _solid_share(told, [top])
    usual = top in _MARKS or top in {table.span for table in told}
    if usual and (rest[-1] <= max(30, 2 * len(rest)) or (contact >= 0.2 and thin < _THIN)):
        return top, f"it is the usual mark, above class numbers up to {rest[-1]}"
    if top >= 90 and rest[-1] <= 30 and contact >= 0.2 and thin < _THIN < _solid_share(told, rest):
        return top, "it lies thin along the borders of the other values (a guess)"
    return None, ""


def _along(told: Sequence[LabelFacts], value: int) -> float:
    """Mean share of a value's border that touches other structures."""
    shares = [table.contact[value] for table in told if value in table.contact]
    return float(np.mean(shares)) if shares else 0.0


def _solid_share(told: Sequence[LabelFacts], values: Sequence[int]) -> float:
    """Share of the voxels of some values that lie in squares of them."""
    count = sum(table.counts.get(value, 0) for table in told for value in values)
    solid = sum(table.solid.get(value, 0) for table in told for value in values)
    return solid / count if count else 0.0


def _objects(told: Sequence[LabelFacts], values: Sequence[int], *, dense: bool) -> bool:
    """Whether values number objects: new in each case, or in each case 1 to n at any place."""
    if any(table.colour for table in told):
        return len(values) > _MOST_CLASSES
    if len(told) == 1:
        return _many(values) or (dense and len(values) > _SCATTERED)
    owners = Counter(value for table in told for value in table.values)
    new = sum(count == 1 for count in owners.values()) / len(values)
    if new >= _NEW and len(values) >= max(6, 2 * len(told)) and _whole(told):
        return True
    recurring = float(np.mean([count / len(told) for count in owners.values()]))
    if recurring >= 0.5 and not _counted(told):
        return False
    if _many(values):
        return True
    return _numbered(told) or (dense and len(values) > _SCATTERED)


def _many(values: Sequence[int]) -> bool:
    """More values than classes have, or a few that are widely scattered."""
    top = max(values)
    return len(values) > _MOST_CLASSES or (len(values) > _SCATTERED and top > 3 * len(values) and top > 255)


def _counted(told: Sequence[LabelFacts]) -> bool:
    """Whether every file holds 1 to n, with n going up and down."""
    counts = [len(table.values) for table in told]
    prefix = all(table.values == frozenset(range(1, count + 1)) for table, count in zip(told, counts, strict=True))
    return prefix and len(counts) >= 3 and len(set(counts)) >= 3


def _numbered(told: Sequence[LabelFacts]) -> bool:
    """Whether files that hold 1 to n number objects: of many values unless each keeps to its place, of few if none
    does and each is one piece."""
    if not _counted(told):
        return False
    spread = _spread(told)
    if max(len(table.values) for table in told) > _SCATTERED:
        return spread is None or spread >= _STEADY
    return spread is not None and spread >= _ANYWHERE and _whole(told, _WHOLE + 0.05)


def _whole(told: Sequence[LabelFacts], least: float = _WHOLE) -> bool:
    shares = [table.single for table in told if table.single is not None]
    return not shares or float(np.mean(shares)) >= least


def _spread(told: Sequence[LabelFacts]) -> float | None:
    """How far a value wanders from case to case along the axis where it wanders most; `None` if none comes back."""
    places: dict[int, list[tuple[float, ...]]] = {}
    for table in told:
        for value, place in table.places.items():
            places.setdefault(value, []).append(place)
    deviations = [np.std(np.array(found), axis=0) for found in places.values() if len(found) >= 3]
    return float(np.mean(deviations, axis=0).max()) if deviations else None


def _why_objects(told: Sequence[LabelFacts], values: Sequence[int]) -> str:
    if len(told) == 1:
        return "there are too many, and no other case to compare"
    return "they count 1 to n at any place" if _counted(told) else "they are new in nearly every case"


def _picture(told: Sequence[LabelFacts], values: Sequence[int]) -> bool:
    """Whether files hold pictures, or drawings smeared past recognition: most of many values form no shape."""
    shapeless = sum(_solid_share(told, [value]) < _FAR for value in values)
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
    if _solid_share(told, stray) >= (_NEAR_COLOUR if colour else _NEAR):
        return False
    if colour:
        return True
    tolerance = max(4.0, (levels[-1] - levels[0]) / 20)
    far = [value for value in stray if min(abs(value - level) for level in levels) > tolerance]
    return not far or _solid_share(told, far) < _FAR


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
