"""Records what the training scans were like, from the facts of the integrity check."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean, stdev

from scipy.special import stdtrit

from segwright.core.appearance import Look
from segwright.core.case import Dataset
from segwright.core.domain import ChannelDomain, Domain, Seen, numbers_of, seen
from segwright.core.inspection import CaseFacts
from segwright.core.plan import Edges, Plan
from segwright.planning.fingerprint import turned

#: Share of scans like those of training whose numbers lie within the bounds, if they are normally distributed.
LEVEL = 0.999
#: Least room beyond the numbers seen: logarithms of span and texture, offsets in spans, correlations; other shares.
ROOM = {"span": 0.4, "offset": 0.15, "texture": 0.3, "likeness": 0.1}
SHARE_ROOM = 0.03
#: Numbers that do not depend on a scanner's units, by which channels are told apart, and their least deviation.
UNITLESS = ("zero", "texture", "tenth", "quarter", "half", "three quarters", "nine tenths")
LEAST_DEVIATION = {"texture": 0.1}


def domain_of(plan: Plan, dataset: Dataset, facts: Sequence[CaseFacts]) -> Domain:
    """What a model of this plan has learnt from.

    Args:
        plan: Its plan.
        dataset: With the cases it was trained on: those that have labels.
        facts: Of all cases that could be read.
    """
    labelled = {case.id for case in dataset.labelled}
    known = [fact for fact in facts if fact.case in labelled]
    rows = [seen_in(fact, plan) for fact in known]
    scale = [row.spacing for row in rows]
    return Domain(
        cases=len(rows),
        flat=plan.flat,
        axes=plan.prepare.orientation or "",
        orientations=_distinct(row.orientation for row in rows if row.orientation),
        modality=plan.modality,
        modalities=_distinct(row.modality for row in rows if row.modality),
        spacing=_ranges(scale),
        unspaced=any(row.unit == "voxels" for row in rows),
        fields={} if _any_field(plan) else _fields(rows),
        adapted=_distinct(text for row in rows for text in row.adapted),
        channels=_channels(plan.channels, known),
        likeness=_likeness(known),
    )


def seen_in(fact: CaseFacts, plan: Plan) -> Seen:
    """A case as it was measured."""
    z, y, x = (int(n) for n in turned(fact.shape, fact, plan.prepare.orientation))
    steps = turned(fact.spacing, fact, plan.prepare.orientation)
    a, b, c = (None if math.isnan(step) else step for step in steps)
    return seen(
        (z, y, x),
        (a, b, c),
        plan.prepare,
        orientation="" if None in fact.spacing else fact.orientation,
        modality=fact.modality,
        adapted=fact.adapted,
        appearance=fact.appearance,
    )


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def _any_field(plan: Plan) -> bool:
    """Whether a field of view says nothing: objects and sections are found in tiles of any size."""
    return plan.labels.instances or plan.modality == "em"


def _fields(rows: Sequence[Seen]) -> dict[str, tuple[Edges | None, Edges | None, Edges | None]]:
    return {unit: _ranges([row.lengths for row in rows if row.unit == unit]) for unit in {row.unit for row in rows}}


def _ranges(rows: Sequence[Sequence[float | None]]) -> tuple[Edges | None, Edges | None, Edges | None]:
    """Smallest and largest along each axis over the rows that know it."""
    columns = ([value for value in column if value is not None] for column in zip(*rows, strict=True))
    z, y, x = ((min(column), max(column)) if column else None for column in columns)
    return z, y, x


def _channels(names: Sequence[str], facts: Sequence[CaseFacts]) -> tuple[ChannelDomain, ...]:
    """The looks of each channel; none if any case was not measured or has other channels."""
    if any(fact.appearance is None or len(fact.appearance.channels) != len(names) for fact in facts):
        return ()
    found = []
    for index, name in enumerate(names):
        looks = [look for fact in facts if fact.appearance and (look := fact.appearance.channels[index])]
        if not looks:
            return ()
        found.append(_channel(name, looks))
    return tuple(found)


def _channel(name: str, looks: Sequence[Look]) -> ChannelDomain:
    rows = [numbers_of(look) for look in looks]
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    lows, highs = ([pick(look) for look in looks] for pick in _ENDS)
    return ChannelDomain(
        name=name,
        bounds={key: bounds(values, ROOM.get(key, SHARE_ROOM)) for key, values in columns.items()},
        centre={key: _centre(columns[key], LEAST_DEVIATION.get(key, 0.02)) for key in UNITLESS},
        low=(min(lows), max(lows)),
        high=(min(highs), max(highs)),
    )


_ENDS: tuple[Callable[[Look], float], Callable[[Look], float]] = (lambda look: look.low, lambda look: look.high)


def bounds(values: Sequence[float], room: float) -> Edges:
    """Between which a further value is to be expected: what was seen, what a normal distribution foretells, and room.

    The prediction interval of one more draw is `mean ± t sqrt(1 + 1/n) s`; see any textbook on regression.

    Example:
        >>> bounds([0.0, 0.0, 0.0], 0.1)
        (-0.2, 0.2)
    """
    count, low, high = len(values), min(values), max(values)
    room *= 1 + 3 / count
    if count > 1:
        mean, reach = fmean(values), float(stdtrit(count - 1, (1 + LEVEL) / 2))
        half = reach * math.sqrt(1 + 1 / count) * stdev(values)
        low, high = min(low, mean - half), max(high, mean + half)
    return low - room, high + room


def _centre(values: Sequence[float], least: float) -> Edges:
    return fmean(values), max(least, stdev(values) if len(values) > 1 else 0.0)


def _likeness(facts: Sequence[CaseFacts]) -> tuple[Edges, ...]:
    rows = [fact.appearance.likeness for fact in facts if fact.appearance is not None]
    if len(rows) != len(facts) or len(set(map(len, rows))) != 1:
        return ()
    return tuple((low, high) for low, high in (bounds(column, ROOM["likeness"]) for column in zip(*rows, strict=True)))
