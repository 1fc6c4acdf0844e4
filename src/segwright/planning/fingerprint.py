"""Measured facts of a dataset as a whole, and what follows from them once it is known how scans are prepared."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from segwright.core.case import Dataset
from segwright.core.document import Document
from segwright.core.errors import PlanError
from segwright.core.inspection import CaseFacts, Inspection
from segwright.core.labels import LabelSpace
from segwright.core.plan import Edges, PreparePlan, Triple
from segwright.planning.order import Order, order_of
from segwright.planning.sides import Sides, sides_of

_WORLD = {"L": 0, "R": 0, "P": 1, "A": 1, "I": 2, "S": 2}

Floats = tuple[float, float, float]


class Fingerprint(Document):
    """Aggregates over the labelled cases of a dataset.

    Shapes and spacings are in `(z, y, x)` order after turning every scan to `orientation`.

    Attributes:
        dims: 2 if every case is a single plane, else 3.
        orientation: Common axis codes, slices first; `None` for single planes.
        spacing: Median mm a voxel over the cases that state it; `None` where fewer than half do. Planes have none in z.
        fine_spacing: 10th percentile of the same.
        spacing_range: Smallest and largest of the same.
        spacing_spread: Largest relative deviation from the median over cases and axes.
        unspaced: Cases that state no spacing along an axis where most do.
        voxel: mm a voxel that a recipe told for files without; counts as stated here.
        extent_large: 95th percentile of the lengths in mm.
        shape_median, shape_large: Median and 95th percentile of the shapes, in voxels.
        zero_share: Median share of voxels that are exactly zero.
        content_share: Median share of the grid inside the box of non-zero voxels.
        foreground: For each channel: mean, std, 0.5 and 99.5 percentile over labelled voxels.
        presence: Cases in which each structure occurs.
        share: Median share of voxels of each structure where it occurs.
        order: How far the structures form a row of look-alikes; `None` if no case has enough of them.
        sides: Which structures change places when scans are flipped; `None` if there is one structure only.
    """

    filename: ClassVar[str] = "fingerprint.json"
    cases: int
    groups: int
    channels: tuple[str, ...]
    upright: bool = False
    modality: str
    labels: LabelSpace
    dims: int
    orientation: str | None
    spacing: tuple[float | None, float | None, float | None]
    fine_spacing: tuple[float | None, float | None, float | None]
    spacing_range: tuple[Edges | None, Edges | None, Edges | None] = (None, None, None)
    spacing_spread: float
    unspaced: int = 0
    voxel: tuple[float | None, float | None, float | None] | None = None
    extent_large: tuple[float | None, float | None, float | None] = (None, None, None)
    shape_median: Floats
    shape_large: Floats
    zero_share: float
    content_share: float
    foreground: tuple[tuple[float, float, float, float], ...]
    presence: dict[str, int]
    share: dict[str, float]
    order: Order | None = None
    sides: Sides | None = None

    @property
    def anisotropy(self) -> float:
        """Slice spacing over in-plane spacing; 1 where unknown."""
        z, y, x = self.spacing
        if z is None or y is None or x is None:
            return 1.0
        return z / max(min(y, x), 1e-9)

    @property
    def rarest_share(self) -> float:
        """Voxel share of the rarest structure."""
        return min(self.share.values(), default=0.0)


def fingerprint(dataset: Dataset, inspection: Inspection) -> Fingerprint:
    """Aggregate the facts of the labelled cases.

    Raises:
        PlanError: No labelled case was measured.
    """
    labelled = {case.id for case in dataset.labelled}
    facts = [fact for fact in inspection.facts if fact.case in labelled]
    if not facts:
        raise PlanError("There is no labelled case to plan for.", where=dataset.root, hint="Add labels.")
    dims = 2 if all(fact.shape[0] == 1 for fact in facts) else 3
    orientation = _common_orientation(facts) if dims == 3 else None
    shapes = np.array([turned(fact.shape, fact, orientation) for fact in facts], dtype=float)
    spacings = _stated([turned(fact.spacing, fact, orientation) for fact in facts], flat=dims == 2)
    median = _over(spacings, 50)
    names = dataset.labels.names
    turns = [turn(fact, orientation) for fact in facts]
    presence, share = presence_and_share(facts, names)
    return Fingerprint(
        cases=len(facts),
        groups=len({fact.group for fact in facts}),
        channels=dataset.channels,
        upright=dataset.upright,
        modality=dataset.modality,
        labels=dataset.labels,
        dims=dims,
        orientation=orientation,
        spacing=_known(median),
        fine_spacing=_known(_over(spacings, 10)),
        spacing_range=_ranges(spacings),
        spacing_spread=_spread(spacings, median),
        unspaced=int((np.isnan(spacings) & ~np.isnan(median)).any(axis=1).sum()),
        voxel=dataset.voxel,
        extent_large=_known(_over(spacings * shapes, 95)),
        shape_median=_triple(np.median(shapes, axis=0)),
        shape_large=_triple(np.percentile(shapes, 95, axis=0)),
        zero_share=float(np.median([fact.zero_share for fact in facts])),
        content_share=float(np.median([np.prod(fact.content) / np.prod(fact.shape) for fact in facts])),
        foreground=_foreground(facts),
        presence=presence,
        share=share,
        order=order_of(facts, names, turns),
        sides=sides_of(facts, names, turns),
    )


def _common_orientation(facts: list[CaseFacts]) -> str:
    """Codes with the coarsest world axis first (or the most frequent slice axis), growing to S, A and R."""
    votes: Counter[int] = Counter()
    for fact in facts:
        known = [(step or 0.0) for step in fact.spacing]
        clear = max(known) > 1.5 * min(known) > 0
        axis = int(np.argmax(known)) if clear else 0
        votes[_WORLD[fact.orientation[axis]]] += 1
    first = votes.most_common(1)[0][0]
    rest = [axis for axis in (2, 1, 0) if axis != first]
    return "".join("RAS"[axis] for axis in (first, *rest))


def turned(values: tuple[float | int | None, ...], fact: CaseFacts, orientation: str | None) -> list[float]:
    """Numbers along a case's stored axes in the common order; NaN for `None`."""
    numbers = [float("nan") if value is None else float(value) for value in values]
    if orientation is None:
        return numbers
    have = {_WORLD[letter]: axis for axis, letter in enumerate(fact.orientation)}
    return [numbers[have[_WORLD[letter]]] for letter in orientation]


def turn(fact: CaseFacts, orientation: str | None) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """The axes of a case in the common order, and which of them run the other way."""
    if orientation is None:
        return (0, 1, 2), (False, False, False)
    have = {_WORLD[letter]: axis for axis, letter in enumerate(fact.orientation)}
    axes = tuple(have[_WORLD[letter]] for letter in orientation)
    return axes, tuple(fact.orientation[axis] != letter for axis, letter in zip(axes, orientation, strict=True))


def _stated(rows: list[list[float]], *, flat: bool) -> np.ndarray:
    """Spacings `(cases, 3)` with NaN where unknown: all along an axis that fewer than half of the cases state."""
    spacings = np.array(rows, dtype=float)
    spacings[:, np.isnan(spacings).mean(axis=0) > 0.5] = np.nan
    if flat:
        spacings[:, 0] = np.nan
    return spacings


def _over(values: np.ndarray, percent: float) -> np.ndarray:
    """A percentile along each axis over the cases that have a value; NaN where none has."""
    return np.array([np.percentile(known, percent) if (known := v[~np.isnan(v)]).size else np.nan for v in values.T])


def _ranges(spacings: np.ndarray) -> tuple[Edges | None, Edges | None, Edges | None]:
    ends = [_known(_over(spacings, percent)) for percent in (0, 100)]
    z, y, x = (None if low is None or high is None else (low, high) for low, high in zip(*ends, strict=True))
    return z, y, x


def _known(values: np.ndarray) -> tuple[float | None, float | None, float | None]:
    """Seven digits each, for edges may be nanometres; `None` for NaN."""
    z, y, x = (None if np.isnan(value) else float(f"{value:.7g}") for value in values)
    return z, y, x


def _triple(values: np.ndarray) -> Floats:
    return float(values[0]), float(values[1]), float(values[2])


def _spread(spacings: np.ndarray, median: np.ndarray) -> float:
    known = ~np.isnan(median)
    if not known.any():
        return 0.0
    return float(np.nanmax(np.abs(spacings[:, known] / median[known] - 1)))


def _foreground(facts: list[CaseFacts]) -> tuple[tuple[float, float, float, float], ...]:
    """Mean over cases of each channel's statistics inside labels."""
    rows = [fact.foreground for fact in facts if fact.foreground]
    if not rows:
        return ()
    means = np.array(rows, dtype=float).mean(axis=0)
    return tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in means)


def presence_and_share(facts: Sequence[CaseFacts], names: Sequence[str]) -> tuple[dict[str, int], dict[str, float]]:
    """Cases in which each structure occurs, and its median share of voxels there."""
    presence = {name: sum(fact.volumes.get(name, 0) > 0 for fact in facts) for name in names}
    return presence, {name: _share(facts, name) for name in names}


def _share(facts: Sequence[CaseFacts], name: str) -> float:
    shares = [fact.volumes[name] / float(np.prod(fact.shape)) for fact in facts if fact.volumes.get(name, 0) > 0]
    return float(np.median(shares)) if shares else 0.0


def prepared_shape(facts: Fingerprint, prepare: PreparePlan) -> tuple[float, float, float]:
    """Large (95th percentile) shape after preparation."""
    if prepare.fit is not None and None in (prepare.spacing or (None, None))[1:]:
        return 1.0, float(prepare.fit[0]), float(prepare.fit[1])
    z, y, x = (_length(facts, prepare, axis) for axis in range(3))
    return z, y, x


def _length(facts: Fingerprint, prepare: PreparePlan, axis: int) -> float:
    """Voxels along an axis: those of the scans, or their extent in voxels of the planned size."""
    own, voxels = facts.spacing[axis], facts.shape_large[axis]
    edge = prepare.edge(axis, own)
    if own is None or edge is None or edge == own:
        return voxels
    return (facts.extent_large[axis] or voxels * own) / edge


def prepared_steps(facts: Fingerprint, prepare: PreparePlan) -> tuple[float, float, float]:
    """Voxel edges after preparation relative to the finest; 1 where unknown."""
    mm = [prepare.edge(axis, own) or 1.0 for axis, own in enumerate(facts.spacing)]
    return mm[0] / min(mm), mm[1] / min(mm), mm[2] / min(mm)


def patches_held(facts: Fingerprint, prepare: PreparePlan, patch: Triple, folds: int) -> float:
    """Patches that fill the training cases of one of so many folds; of all cases where there are none."""
    cases = facts.cases * (folds - 1) / folds if folds else facts.cases
    return cases * max(1.0, math.prod(prepared_shape(facts, prepare)) / math.prod(patch))
