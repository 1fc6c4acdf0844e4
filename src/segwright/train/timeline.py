"""The parts of a training run: until which share of the budget which patch is cut, and how coarse."""

from __future__ import annotations

from typing import NamedTuple

from segwright.core.plan import SamplePlan, Triple


class Stretch(NamedTuple):
    """A part of the budget: it ends at the share `until`."""

    until: float
    patch: Triple
    zoom: int


def timeline(sample: SamplePlan) -> tuple[Stretch, ...]:
    """Stretches in order; the last ends at 1.

    Example:
        >>> from segwright.core.recipe import PartChoice
        >>> plan = SamplePlan(policy=PartChoice(name="uniform"), patch=(1, 64, 64), zooms=((0.5, 2),))
        >>> timeline(plan)
        (Stretch(until=0.5, patch=(1, 64, 64), zoom=2), Stretch(until=1.0, patch=(1, 64, 64), zoom=1))
    """
    patches = (*sample.stages, (1.0, sample.patch))
    zooms = (*sample.zooms, (1.0, 1))
    ends = sorted({share for share, _ in (*patches, *zooms)})
    return tuple(
        Stretch(
            end,
            next(p for share, p in patches if share >= end),
            next(factor for share, factor in zooms if share >= end),
        )
        for end in ends
    )
