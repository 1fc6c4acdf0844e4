"""What labelled scans say of a row: how many show each structure, and where it usually lies in those of one kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segwright.core.inspection import CaseFacts
from segwright.core.plan import RowPlan

Turn = tuple[tuple[int, ...], tuple[bool, ...]]

#: Cases that usual places are taken from, at least.
LEAST = 10
#: Places that deviate by more than this share of the gap between neighbours say nothing about names.
SPREAD = 0.75
#: Deviations are taken to be at least this share of the gap: the next scan may be cut otherwise.
FLOOR = 0.25


def row_facts(
    facts: Sequence[CaseFacts], names: Sequence[str], axis: int, turns: Sequence[Turn]
) -> tuple[RowPlan, str]:
    """How many scans show each structure, and the mean and deviation of its centre along an axis; and why.

    Args:
        facts: Of labelled cases.
        names: Structures in their order along the row.
        axis: Of scans in their common orientation.
        turns: For each case, its axes in the common order and which of them run the other way.

    Returns:
        The row, without places where there are too few cases or structures move about.
    """
    rows = [[_place(fact, name, axis, turn) for name in names] for fact, turn in zip(facts, turns, strict=True)]
    table = np.array([row for row in rows if not np.isnan(row).all()], dtype=float).reshape(-1, len(names))
    seen = (~np.isnan(table)).sum(axis=0)
    places, why = _usual(table, seen, "zyx"[axis])
    shown = tuple(round(float(count + 1) / (len(table) + 2), 5) for count in seen)
    return RowPlan(axis=axis, shown=shown, places=places), why


def _usual(
    table: NDArray[np.float64], seen: NDArray[np.int64], axis: str
) -> tuple[tuple[tuple[float, float], ...], str]:
    """Mean and deviation of each column of places, or nothing if they say nothing; and why."""
    if not seen.size or seen.min() < LEAST:
        return (), f"too few scans show every structure ({seen.min() if seen.size else 0}, {LEAST} wanted)"
    means, deviations = np.nanmean(table, axis=0), np.nanstd(table, axis=0)
    gap = float(np.abs(np.diff(means)).mean())
    spread = float(deviations.mean()) / max(gap, 1e-9)
    told = f"along {axis} structures keep their places to {spread:.2f} of the gap between neighbours"
    if spread > SPREAD:
        return (), f"{told}: too little to tell names by"
    floors = np.maximum(deviations, FLOOR * gap)
    places = tuple((round(float(mean), 5), round(float(floor), 5)) for mean, floor in zip(means, floors, strict=True))
    return places, f"{told}, which counts beside their looks"


def _place(fact: CaseFacts, name: str, axis: int, turn: Turn) -> float:
    """Centre of a structure as a share of the axis; NaN where it is absent."""
    if name not in fact.centres:
        return float("nan")
    order, flipped = turn
    length = fact.shape[order[axis]]
    place = (fact.centres[name][order[axis]] + 0.5) / length
    return 1 - place if flipped[axis] else place
