"""What can be expected of a prediction: a score and a bound for each structure, a flag and its reasons for a scan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from segwright.core.document import Document, Part
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.core.prediction import Quality, StructureQuality
from segwright.core.words import listed
from segwright.quality.conformal import FLOOR, Calibrated
from segwright.quality.signals import Signals

#: Level of all bounds and intervals.
LEVEL = 0.9


class StructureJudge(Part):
    """What is known of one structure.

    Attributes:
        dice: What its signal means for Dice; `None` of too few patients.
        reach: Logarithm of true over predicted volume, at most, as a multiple of the error expected of Dice; `None` of
            too few patients.
        usual: Median of its signal, and the spread below it.
        always: It is in every scan of training, and was found in each.
        volumes: Least and greatest volume that count as usual; any where too few cases tell.
    """

    dice: Calibrated | None = None
    reach: float | None = None
    usual: tuple[float, float] | None = None
    always: bool = False
    volumes: tuple[float, float] = (0.0, math.inf)

    def quality(self, signal: float | None, volume: float | None) -> StructureQuality:
        """What can be expected of a mask."""
        if signal is None or self.dice is None:
            return StructureQuality(volume=volume, signal=signal)
        expected = self.dice.expected(signal)
        reach = None if self.reach is None or volume is None else self.reach * (1 - expected + FLOOR)
        return StructureQuality(
            volume=volume,
            signal=signal,
            expected_dice=expected,
            lower=self.dice.lower(signal, LEVEL),
            volume_low=None if reach is None or volume is None else volume * float(np.exp(-reach)),
            volume_high=None if reach is None or volume is None else volume * float(np.exp(reach)),
            patients=self.dice.patients,
        )

    def depth(self, signal: float | None) -> float:
        """How far a signal lies below the usual, in spreads."""
        return 0.0 if signal is None or self.usual is None else (self.usual[0] - signal) / self.usual[1]


class Judgement(Document):
    """What signals mean for a model, learnt from out-of-fold predictions; kept beside its plan.

    Attributes:
        kinds: Of signals that all of these cases had.
        structures: By name.
        odd: Depth below the usual from which a signal is odd; `None` of too few patients.
        patients, cases: It rests on.
        flagged: Share of these cases that would have been flagged.
        unit: Of volumes: `ml`, `mm2` or `voxels`.
    """

    filename: ClassVar[str] = "quality.json"
    kinds: tuple[str, ...]
    structures: dict[str, StructureJudge]
    odd: float | None = None
    patients: int
    cases: int
    flagged: float = 0.0
    unit: str = "voxels"

    def judge(self, signals: Signals, labels: NDArray[Any], space: LabelSpace, geometry: Geometry) -> Quality:
        """What can be expected of a prediction.

        Args:
            signals: Agreement of its copies.
            labels: Canonical labels `(P, z, y, x)`.
            space: Their meaning.
            geometry: Their grid.
        """
        own = signal_of(signals, space.names, self.kinds)
        volumes = volumes_of(labels, space, geometry, self.unit)
        rows = {name: one.quality(own.get(name), volumes[name]) for name, one in self.structures.items()}
        expected = [row.expected_dice for row in rows.values() if row.expected_dice is not None]
        reasons = tuple(self.doubts(own, volumes))
        return Quality(
            flagged=bool(reasons),
            reasons=reasons,
            expected_dice=float(np.mean(expected)) if expected else None,
            level=LEVEL,
            unit=self.unit,
            structures=rows,
        )

    def doubts(self, own: Mapping[str, float], volumes: Mapping[str, float | None]) -> Iterator[str]:
        """In what an answer is unlike those out of fold, in words; unknown volumes are `None`."""
        odd = [name for name, one in self.structures.items() if self.odd and one.depth(own.get(name)) > self.odd]
        lost = [name for name, one in self.structures.items() if one.always and volumes[name] == 0]
        found = {name: volume for name, volume in volumes.items() if volume}
        small = [name for name, volume in found.items() if volume < self.structures[name].volumes[0]]
        large = [name for name, volume in found.items() if volume > self.structures[name].volumes[1]]
        if odd:
            yield f"copies of the answer agree less than on scans of training: {listed(odd, 3)}"
        if lost:
            yield f"not found, and in every scan of training: {listed(lost, 3)}"
        if small:
            yield f"much smaller than in any scan of training: {listed(small, 3)}"
        if large:
            yield f"much larger than in any scan of training: {listed(large, 3)}"


def volumes_of(labels: NDArray[Any], space: LabelSpace, geometry: Geometry, unit: str) -> dict[str, float | None]:
    """Volume of each structure, `None` where the scan does not say how large its voxels are.

    Args:
        labels: Canonical labels `(P, z, y, x)`.
        space: Their meaning.
        geometry: Their grid.
        unit: `ml`, `mm2` (of single planes) or `voxels`.
    """
    edges = {"ml": geometry.spacing, "mm2": geometry.spacing[1:]}.get(unit, ())
    known = [edge for edge in edges if edge is not None]
    voxel = math.prod(known) / (1000 if unit == "ml" else 1) if len(known) == len(edges) else None
    counts = {name: int(np.count_nonzero(space.mask(labels, index))) for index, name in enumerate(space.names)}
    return {name: 0.0 if not count else None if voxel is None else count * voxel for name, count in counts.items()}


def unit_of(geometries: Sequence[Geometry]) -> str:
    """The unit that volumes of these scans can be told in."""
    if all(None not in one.spacing for one in geometries) and all(one.shape[0] > 1 for one in geometries):
        return "ml"
    flat = all(one.shape[0] == 1 and None not in one.spacing[1:] for one in geometries)
    return "mm2" if flat else "voxels"


def signal_of(signals: Signals, names: Sequence[str], kinds: Sequence[str]) -> dict[str, float]:
    """One signal for each structure of which something was found, 0 to 1: the mean agreement over kinds.

    Args:
        signals: Counts of each kind.
        names: Structures, in the order of the counts.
        kinds: That count; those that are missing are left out.
    """
    found = signals.agreement()
    rows = [found[kind] for kind in kinds if kind in found]
    if not rows:
        return {}
    means = np.stack(rows).mean(axis=0)
    return {name: float(mean) for name, mean in zip(names, means, strict=True) if not np.isnan(mean)}
