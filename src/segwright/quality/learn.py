"""Learns what signals of doubt mean, from cases predicted by networks that had not seen them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segwright.quality.conformal import FLOOR, Calibrated, by_group, calibrated, lowest
from segwright.quality.judgement import LEVEL, Judgement, StructureJudge, signal_of
from segwright.quality.signals import KINDS, Signals

#: Patients from which a score is expected of a signal.
LEAST = 5
#: Share of scans like those of training that may be flagged for their signals; of fewer than its inverse, the depth of
#: the oddest and this much more counts.
ODD, BEYOND = 0.03, 1.5
#: Spread of a signal at least, so that copies that always agree do not make a trifle odd.
SPREAD = 0.01
#: Cases from which a structure may be called always there, and factor by which volumes may lie beyond those seen.
ENOUGH, SLACK = 10, 1.5

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """A case that was predicted by networks that had not seen it.

    Attributes:
        group: Patient.
        signals: Agreement of copies of the answer.
        dice: Of each structure; `None` where neither mask holds any of it.
        predicted, reference: Volume of each structure; `None` where voxels have no size.
    """

    group: str
    signals: Signals
    dice: Mapping[str, float | None]
    predicted: Mapping[str, float | None]
    reference: Mapping[str, float | None]


def learn(cases: Sequence[Known], names: Sequence[str], unit: str) -> Judgement | None:
    """What signals mean for each structure; `None` where no case has any.

    Args:
        cases: Out of fold.
        names: Structures, in the order of signals.
        unit: Of volumes.
    """
    kinds = tuple(kind for kind in KINDS if cases and all(kind in case.signals.agreement() for case in cases))
    if not kinds:
        return None
    signals = [signal_of(case.signals, names, kinds) for case in cases]
    structures = {name: _structure(name, cases, signals) for name in names}
    patients = len({case.group for case in cases})
    found = Judgement(kinds=kinds, structures=structures, patients=patients, cases=len(cases), unit=unit)
    found = found.model_copy(update={"odd": _odd(found, signals)})
    flagged = [any(found.doubts(own, case.predicted)) for own, case in zip(signals, cases, strict=True)]
    return found.model_copy(update={"flagged": float(np.mean(flagged))})


def _structure(name: str, cases: Sequence[Known], signals: Sequence[Mapping[str, float]]) -> StructureJudge:
    own = np.array([found[name] for found in signals if name in found])
    there = [volume for case in cases if (volume := case.reference[name])]
    dice, reach = _dice_and_reach(name, cases, signals)
    return StructureJudge(
        dice=dice,
        reach=reach,
        usual=(float(np.median(own)), _spread(own)) if len(own) >= LEAST else None,
        always=len(cases) >= ENOUGH and all(0 not in (case.reference[name], case.predicted[name]) for case in cases),
        volumes=(min(there) / SLACK, max(there) * SLACK) if len(there) >= ENOUGH else (0.0, math.inf),
    )


def _dice_and_reach(
    name: str, cases: Sequence[Known], signals: Sequence[Mapping[str, float]]
) -> tuple[Calibrated | None, float | None]:
    """What a structure's signal means for Dice, and how far its volume may be off."""
    rows = [
        (case, own[name], dice)
        for case, own in zip(cases, signals, strict=True)
        if name in own and (dice := case.dice[name]) is not None
    ]
    groups = [case.group for case, _, _ in rows]
    if len(set(groups)) < LEAST:
        return None, None
    learnt, expected = calibrated(np.array([own for _, own, _ in rows]), np.array([y for _, _, y in rows]), groups)
    pairs = [(case.reference[name] or 0.0, case.predicted[name] or 0.0) for case, _, _ in rows]
    return learnt, _reach(pairs, expected, groups)


def _spread(signals: Floats) -> float:
    """How far signals lie below their median: the median distance of those that do, as a standard deviation."""
    below = np.median(signals) - signals
    return max(SPREAD, 1.4826 * float(np.median(below[below >= 0])))


def _reach(pairs: Sequence[tuple[float, float]], expected: Floats, groups: Sequence[str]) -> float | None:
    """Multiple of the expected error that the logarithm of true over predicted volume stays within."""
    there = [index for index, pair in enumerate(pairs) if all(pair)]
    if not there:
        return None
    ratios = [abs(np.log(pairs[index][0] / pairs[index][1])) / (1 - expected[index] + FLOOR) for index in there]
    found = lowest(-np.array(ratios), by_group([groups[index] for index in there])[1], 1 - LEVEL)
    return None if found is None else -found


def _odd(found: Judgement, signals: Sequence[Mapping[str, float]]) -> float | None:
    """Depth of the oddest signal of a case that few scans like those of training go beyond."""
    if found.patients < LEAST:
        return None
    depths = np.array([max(one.depth(own.get(name)) for name, one in found.structures.items()) for own in signals])
    limit = lowest(-depths, np.ones(len(depths)), ODD)
    return -limit if limit is not None else BEYOND * max(float(depths.max()), 1.0)
