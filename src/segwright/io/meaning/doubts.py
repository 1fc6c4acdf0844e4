"""Sentences on label values that are read as they stand and may not be meant so: the files alone do not tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.words import amount, listed
from segwright.io.meaning.facts import LabelFacts
from segwright.io.meaning.levels import in_between, inner

Facts = Mapping[str, LabelFacts]
Reread = Callable[[str], NDArray[Any]]

#: Share of solid voxels of lines one voxel wide.
_LINES = 0.05
#: Shares of voxels with equal ones all around, of bands of a few voxels and of shapes; and so many values at most.
_BAND, _SHAPE, _MOST = 0.1, 0.3, 4
#: Share of the voxels of a line that stand between a lower and a higher value.
_BETWEEN = 0.9
#: A border touches other structures along this share of its own border, in nearly all files.
_TOUCHES, _NEARLY_ALL = 0.3, 0.8
#: A slip has fewer voxels, and so many times fewer than the most frequent value.
_FEW, _TIMES = 10, 100
#: Share of the frame that a mask fills if it shows what is not the object.
_FRAME = 0.9
#: Files that are read again.
_LOOKED_AT = 6


def doubts(facts: Facts, values: Sequence[int], reread: Reread | None) -> tuple[str, ...]:
    """What else the values of classes or of one mask may mean, in sentences; `facts` of files with values."""
    told = list(facts.values())
    if any(table.colour for table in told):
        return ()
    return (
        *_slips(facts, values),
        *_interpolated(facts, values, reread),
        *_borders(facts, values, reread),
        *_scales(told, values),
        *_inverted(told, values),
    )


def _slips(facts: Facts, values: Sequence[int]) -> list[str]:
    """Values of a few voxels in a single case."""
    owners = {value: [case for case, table in facts.items() if value in table.counts] for value in values}
    count = {value: sum(facts[case].counts[value] for case in owners[value]) for value in values}
    most = max(count.values(), default=0)
    tiny = [v for v in values if len(facts) > 1 and len(owners[v]) == 1 and count[v] < min(_FEW, most / _TIMES)]
    return [
        f"Value {value} is {amount(count[value], 'voxel')} of case {owners[value][0]} and nothing else: it may be a "
        "slip of the pen. If so, correct the label."
        for value in tiny[:4]
    ]


def _interpolated(facts: Facts, values: Sequence[int], reread: Reread | None) -> list[str]:
    """Values that interpolated class numbers have left: lines between a lower and a higher value."""
    thin = [v for v in values[:-1] if v > 0 and solid_share(list(facts.values()), [v]) < _LINES]
    if not thin or reread is None:
        return []
    held = [case for case, table in facts.items() if table.values & set(thin)]
    seen = [reread(case) for case in held[:: max(1, len(held) // _LOOKED_AT)][:_LOOKED_AT]]
    shares = {v: [in_between(raw, v) for raw in seen if (raw == v).any()] for v in thin}
    lines = [v for v, found in shares.items() if found and np.mean(found) >= _BETWEEN]
    if not lines:
        return []
    rest = ", ".join(f"value {value}" for value in values if value not in lines)
    named = f"{', '.join(f'Value {value}' for value in lines)} {'is' if len(lines) == 1 else 'are'}"
    return [
        f"{named} only lines between a lower and a higher value, as interpolation (blur, resizing) of class "
        f"numbers leaves them; the borders of {rest} have then moved too. If so, export the labels without it."
    ]


def _borders(facts: Facts, values: Sequence[int], reread: Reread | None) -> list[str]:
    """Values that are a band of a few voxels along solid ones, as unsure borders are."""
    told = list(facts.values())
    shares = {v: [table.contact.get(v, 0.0) for table in told if v in table.counts] for v in values}
    beside = [v for v, s in shares.items() if len(s) >= _NEARLY_ALL * len(told) and np.mean(s) >= _TOUCHES]
    if not beside or not 2 <= len(values) <= _MOST or reread is None:
        return []
    seen = [reread(case) for case in list(facts)[:: max(1, len(facts) // _LOOKED_AT)][:_LOOKED_AT]]
    inside = {v: float(np.mean([inner(raw, v) for raw in seen])) for v in values}
    bands = [v for v in beside if inside[v] < _BAND and min(inside[o] for o in values if o != v) > _SHAPE]
    return [
        f"Value {value} is a narrow band along the others and is read as a structure. If it marks voxels that nobody "
        f"is sure of, set 'ignore: {value}' under labels in dataset.yaml."
        for value in bands[:1]
    ]


def _scales(told: Sequence[LabelFacts], values: Sequence[int]) -> list[str]:
    """Sets of several values that never stand in one file: the same classes on two scales?"""
    families: list[set[int]] = []
    for table in told:
        joined = set(table.values).union(*(f for f in families if f & table.values))
        families = [*(f for f in families if not f & table.values), joined]
    files = Counter(next(i for i, f in enumerate(families) if f & table.values) for table in told)
    if len(families) < 2 or min(len(f) for f in families) < 2 or min(files.values()) < 2:
        return []
    if len({len(f) for f in families}) > 1:
        return []
    sets = " and ".join(listed(family) for family in sorted(map(sorted, families)))
    return [
        f"Files hold either the values {sets}, never of both: the same structures may be numbered in two ways. If so, "
        "write all files in one way, or give a structure all its 'values' under labels.structures in dataset.yaml."
    ]


def _inverted(told: Sequence[LabelFacts], values: Sequence[int]) -> list[str]:
    """A mask that fills the frame of the images while 0 does not."""
    if len(values) != 1 or not all(0 in table.counts for table in told):
        return []
    own = [table.frame.get(values[0], 0) / max(1, sum(table.frame.values())) for table in told]
    if min(own) < _FRAME:
        return []
    return [
        f"Value {values[0]} fills the frame of all images and is read as the structure. If 0 is the structure, give it "
        f"'values: [0]' under labels.structures in dataset.yaml, and 'background: [{values[0]}]' under labels."
    ]


def solid_share(told: Sequence[LabelFacts], values: Sequence[int]) -> float:
    """Share of the voxels of some values that lie in squares of them."""
    count = sum(table.counts.get(value, 0) for table in told for value in values)
    solid = sum(table.solid.get(value, 0) for table in told for value in values)
    return solid / count if count else 0.0
