"""Positions of reliability diagrams: share of voxels inside a structure against the score they were given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from segwright.core.words import amount
from segwright.metrics.calibration import Calibration, StructureCalibration
from segwright.report.wording import number, percent

#: Voxels below which a bin is too few to be drawn.
_FEWEST = 20
#: Diagrams beyond which the rest is folded away.
MOST_DRAWN = 12


@dataclass(frozen=True)
class Bin:
    """One bin: centre of its scores and share inside in percent of the axes, height of its bar, and words."""

    x: float
    y: float
    bar: float
    title: str


@dataclass(frozen=True)
class Diagram:
    """One structure: bins with their line, and the error in words."""

    name: str
    colour: str
    bins: list[Bin]
    path: str
    error: str
    missed: str
    leaning: str


@dataclass(frozen=True)
class Reliability:
    """All diagrams, the worst first, and what to say about them."""

    drawn: list[Diagram]
    more: list[Diagram]
    cases: int
    floor: str
    notes: tuple[str, ...]


def reliability(found: Calibration | None, colours: Mapping[str, str]) -> Reliability | None:
    """Diagrams of all structures that have scores, largest error first; `None` if nothing was counted."""
    if found is None or not found.cases:
        return None
    rows = sorted((row for row in found.structures if row.error is not None), key=lambda row: -(row.error or 0.0))
    diagrams = [_diagram(row, colours.get(row.structure, "#56B4E9")) for row in rows]
    silent = [row.structure for row in found.structures if row.error is None]
    notes = list(found.notes)
    if silent:
        notes.append(f"No voxel was scored at least {percent(found.floor)} for: {', '.join(silent)}.")
    floor = percent(found.floor)
    return Reliability(diagrams[:MOST_DRAWN], diagrams[MOST_DRAWN:], found.cases, floor, tuple(notes))


def unmeasured(found: Calibration | None) -> str:
    """Why there are no diagrams, in a sentence."""
    if found is None:
        return "No out-of-fold scores were kept."
    return " ".join(found.notes) or "No case was judged."


def _diagram(row: StructureCalibration, colour: str) -> Diagram:
    most = math.log10(max(row.voxels) + 1)
    bins = [
        Bin(
            round(100 * score / count, 2),
            round(100 - 100 * inside / count, 2),
            round(22 * math.log10(count + 1) / most, 2),
            f"scored about {score / count:.2f}: {percent(inside / count)} inside, {amount(count, 'voxel')}",
        )
        for count, inside, score in zip(row.voxels, row.inside, row.score, strict=True)
        if count >= _FEWEST
    ]
    path = "M" + "L".join(f"{10 * item.x:.0f} {10 * item.y:.0f}" for item in bins) if bins else ""
    missed = percent(row.missed / (row.missed + sum(row.inside))) if row.missed + sum(row.inside) else "–"
    return Diagram(row.structure, colour, bins, path, number(row.error), missed, _leaning(row))


def _leaning(row: StructureCalibration) -> str:
    """Whether scores above one half promise too much or too little."""
    half = len(row.voxels) // 2
    count = sum(row.voxels[half:])
    if count < _FEWEST:
        return ""
    gap = (sum(row.score[half:]) - sum(row.inside[half:])) / count
    if abs(gap) < 0.02:
        return "scores above 0.5 can be taken at their word"
    return f"scores above 0.5 promise {percent(abs(gap))} too {'much' if gap > 0 else 'little'}"
