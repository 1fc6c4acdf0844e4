"""Rules for sides: which flips are left out because names would be wrong, and which exchange names instead."""

from __future__ import annotations

import re

from segwright.core.labels import LabelSpace
from segwright.core.recipe import Recipe
from segwright.core.words import agree, amount
from segwright.planning.fingerprint import Fingerprint
from segwright.planning.sides import LEAST, Flip

Pairs = tuple[tuple[int, int], ...]
#: Pairs of structures that change places, by the axis of the flip.
Exchange = dict[int, Pairs]
#: Pairs that a sentence names.
NAMED = 3


def flips(
    axes: tuple[int, ...], reason: str, recipe: Recipe, facts: Fingerprint, sideways: int
) -> tuple[tuple[tuple[int, ...], Exchange], str]:
    """Axes to mirror, the pairs of structures that change places with each, and why.

    Args:
        axes: Proposed (0 z, 1 y, 2 x).
        reason: Why these were proposed.
        recipe: Axes that it names are kept, and told where they are doubtful.
        facts: What was measured of sides.
        sideways: The axis from left to right, along which names may tell sides as well.
    """
    doubts = {axis: _doubt(axis, facts, sideways) for axis in axes}
    kept = axes if recipe.mirror is not None else tuple(axis for axis in axes if not doubts[axis])
    exchange = {axis: pairs for axis in kept if not doubts[axis] and (pairs := _pairs(facts, axis))}
    told = [f"not {'zyx'[axis]}: {doubt}" for axis, doubt in doubts.items() if doubt and axis not in kept]
    told += [f"doubtful along {'zyx'[axis]}: {doubts[axis]}" for axis in kept if doubts[axis]]
    told += [f"a flip along {'zyx'[axis]} exchanges {_listed(pairs, facts.labels)}" for axis, pairs in exchange.items()]
    return (kept, exchange), "; ".join([reason, *told] if kept or not told else told)


def measured(facts: Fingerprint) -> str:
    """What was found of sides, in one sentence for a plan's reasons; none for a single structure."""
    found = facts.sides
    if found is None:
        return ""
    if not found.flips:
        return f"not measured: {amount(found.cases, 'labelled case')}, at least {LEAST} are wanted; names count instead"
    parts = [f"along {'zyx'[flip.axis]} {_told(flip, facts.labels)}" for flip in found.flips]
    return f"measured on {found.cases} cases: if flipped, {'; '.join(parts)}"


def _told(flip: Flip, labels: LabelSpace) -> str:
    """What a flip does, in words."""
    if not flip.pairs:
        return "nothing takes another's place"
    places = f"{_listed(flip.pairs, labels)} change places"
    if not flip.stray:
        return places
    one, other = flip.stray[0]
    more = f" and {len(flip.stray) - 1} more" if len(flip.stray) > 1 else ""
    return f"{places}, but {labels.names[one]} (like {labels.names[other]}){more} have no partner"


def _listed(pairs: Pairs, labels: LabelSpace) -> str:
    """The first pairs by name, and how many more.

    Example:
        >>> space = LabelSpace(structures=[{"name": name} for name in "abcdefgh"])
        >>> _listed(((0, 1), (2, 3), (4, 5), (6, 7)), space)
        'a/b, c/d, e/f and 1 more pair'
    """
    names = [f"{labels.names[a]}/{labels.names[b]}" for a, b in pairs]
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {amount(more, 'more pair')}" if more > 0 else "")


def _pairs(facts: Fingerprint, axis: int) -> Pairs:
    """Pairs that change places."""
    flip = facts.sides.flip(axis) if facts.sides else None
    return flip.pairs if flip else ()


def _doubt(axis: int, facts: Fingerprint, sideways: int) -> str:
    """Why a flip along an axis would make names wrong; empty if it would not."""
    if facts.labels.instances:
        return ""
    by_name = _named(facts.labels, _pairs(facts, axis)) if axis == sideways else ""
    flip = facts.sides.flip(axis) if facts.sides else None
    if flip is None:
        return by_name or _careful(facts)
    names = facts.labels.names
    if flip.stray:
        one, other = flip.stray[0]
        first, second = flip.pairs[0]
        return (
            f"{names[first]} and {names[second]} change places, but {names[one]}, like {names[other]}, has no partner"
        )
    if facts.sides and facts.sides.rare:
        return f"{names[facts.sides.rare[0]]} is in too few cases to tell its side"
    return by_name


def _careful(facts: Fingerprint) -> str:
    """Without a measurement several structures may have sides; sections of microscopes are cut in any direction."""
    if facts.sides is None or facts.modality == "em":
        return ""
    few = f"{amount(facts.sides.cases, 'labelled case')} {agree(facts.sides.cases, 'is', 'are')}"
    return f"{few} too few to tell whether structures have sides"


def _named(labels: LabelSpace, pairs: Pairs) -> str:
    """Names that speak of sides which a flip does not exchange."""
    exchanged = {index: other for a, b in pairs for index, other in ((a, b), (b, a))}
    for index, name in enumerate(labels.names):
        partner = labels.partner(index)
        if partner is not None and exchanged.get(index) != partner:
            return f"mirroring would swap {name!r} and {labels.names[partner]!r}"
        if index not in exchanged and re.search(r"(?<![a-z])(left|right)(?![a-z])", name.lower()):
            return f"{name!r} has a side, and its partner may be in the scans without a label"
    return ""
