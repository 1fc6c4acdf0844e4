"""Where the structures of a row usually lie in scans that show the same part of the body."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segwright.core.finding import CaseFacts
from segwright.core.plan import RowPlan

Turn = tuple[tuple[int, ...], tuple[bool, ...]]

#: Cases that usual places are taken from, at least.
LEAST = 10
#: Places that deviate by more than this share of the gap between neighbours say nothing about names.
SPREAD = 0.75
#: Deviations are taken to be at least this share of the gap: the next scan may be cut otherwise.
FLOOR = 0.25


def row_places(
    facts: Sequence[CaseFacts], names: Sequence[str], axis: int, turns: Sequence[Turn]
) -> tuple[RowPlan | None, str]:
    """Mean and standard deviation of each structure's centre along an axis, as shares of it, and why.

    Args:
        facts: Of labelled cases.
        names: Structures in their order along the row.
        axis: Of scans in their common orientation.
        turns: For each case, its axes in the common order and which of them run the other way.

    Returns:
        The places, or `None` where there are too few cases or structures move about.
    """
    rows = [[_place(fact, name, axis, turn) for name in names] for fact, turn in zip(facts, turns, strict=True)]
    table = np.array([row for row in rows if not np.isnan(row).all()], dtype=float).reshape(-1, len(names))
    seen = (~np.isnan(table)).sum(axis=0)
    if not seen.size or seen.min() < LEAST:
        return None, f"too few scans show every structure ({seen.min() if seen.size else 0}, {LEAST} wanted)"
    means, deviations = np.nanmean(table, axis=0), np.nanstd(table, axis=0)
    gap = float(np.abs(np.diff(means)).mean())
    spread = float(deviations.mean()) / max(gap, 1e-9)
    told = f"along {'zyx'[axis]} structures keep their places to {spread:.2f} of the gap between neighbours"
    if spread > SPREAD:
        return None, f"{told}: too little to tell names by"
    floors = np.maximum(deviations, FLOOR * gap)
    places = tuple((round(float(mean), 5), round(float(floor), 5)) for mean, floor in zip(means, floors, strict=True))
    return RowPlan(axis=axis, places=places), f"{told}, which counts beside their looks"


def _place(fact: CaseFacts, name: str, axis: int, turn: Turn) -> float:
    """Centre of a structure as a share of the axis; NaN where it is absent."""
    if name not in fact.centres:
        return float("nan")
    order, flipped = turn
    length = fact.shape[order[axis]]
    place = (fact.centres[name][order[axis]] + 0.5) / length
    return 1 - place if flipped[axis] else place
