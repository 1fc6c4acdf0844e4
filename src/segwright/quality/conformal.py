"""Bounds that hold as often as they say: curves that only rise, and the ranks of errors of cases nobody had seen."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from segwright.core.document import Part

Floats = NDArray[np.float64]

#: Folds of patients that errors are taken over.
FOLDS = 10
#: Added to an expected error, so that a certain answer may still err.
FLOOR = 0.01


class Curve(Part):
    """A rising curve from a signal to the score that goes with it, both 0 to 1, by straight lines between knots.

    Attributes:
        signal: Of each knot, rising.
        score: Of each knot, never falling.
    """

    signal: tuple[float, ...]
    score: tuple[float, ...]

    @classmethod
    def of(cls, signals: Floats, scores: Floats, weights: Floats) -> Curve:
        """The rising curve nearest to the points by weighted squares (pool adjacent violators), through the origin.

        Copies that agree in nothing speak of a score of nothing, whatever has been seen so far.
        """
        order = np.argsort(signals, kind="stable")
        fit = isotonic_regression(scores[order], weights=weights[order])
        knots = [(0.0, 0.0)]
        for first, last in zip(fit.blocks[:-1], fit.blocks[1:], strict=True):
            inside = order[first:last]
            middle = float(np.average(signals[inside], weights=weights[inside]))
            knots.append((max(middle, knots[-1][0]), float(fit.x[first])))
        return cls(signal=tuple(x for x, _ in knots), score=tuple(y for _, y in knots))

    def at(self, signals: Floats) -> Floats:
        """The scores that go with signals; beyond the last knot that of the last."""
        return np.interp(signals, self.signal, self.score)


class Errors(Part):
    """Errors of a group of folds' patients, against the curve of all others, and how much each case weighs.

    Attributes:
        curve: Of the other patients.
        ratio: Errors `1 - score` as multiples of those expected.
        weight: Of each; those of one patient add up to 1.
    """

    curve: Curve
    ratio: tuple[float, ...]
    weight: tuple[float, ...]


class Calibrated(Part):
    """What a signal meant for a score.

    Attributes:
        curve: Of all patients, for the score to expect.
        errors: For the bound, fold by fold.
        patients: It rests on.
        cases: It rests on.
    """

    curve: Curve
    errors: tuple[Errors, ...]
    patients: int
    cases: int

    def expected(self, signal: float) -> float:
        """The score to expect."""
        return float(self.curve.at(np.array([signal]))[0])

    def lower(self, signal: float, level: float) -> float | None:
        """A bound that the score exceeds with probability `level`; `None` of too few patients.

        The jackknife+ by folds ("CV+", Barber et al., Annals of Statistics 2021) with one-sided errors, as multiples of
        the error that the signal makes one expect, and every patient of one weight: the rank is that of the new patient
        among all and itself.
        """
        at = np.array([signal])
        bounds = [1 - np.array(errors.ratio) * (1 - errors.curve.at(at) + FLOOR) for errors in self.errors]
        weights = [np.array(errors.weight) for errors in self.errors]
        found = lowest(np.concatenate(bounds), np.concatenate(weights), 1 - level)
        return None if found is None else min(max(found, 0.0), self.expected(signal))


def calibrated(signals: Floats, scores: Floats, groups: Sequence[Hashable]) -> tuple[Calibrated, Floats]:
    """Learn what signals mean.

    Args:
        signals, scores: `(cases,)`, 0 to 1.
        groups: Patient of each case; at least two.

    Returns:
        What was learnt, and for each case the score that the other patients make one expect of its signal.
    """
    index, weights = by_group(groups)
    out_of_fold, folds = np.empty(len(index)), []
    for fold in range(min(FOLDS, index.max() + 1)):
        out = index % FOLDS == fold
        curve = Curve.of(signals[~out], scores[~out], weights[~out])
        out_of_fold[out] = curve.at(signals[out])
        ratio = (1 - scores[out]) / (1 - out_of_fold[out] + FLOOR)
        folds.append(Errors(curve=curve, ratio=tuple(ratio.tolist()), weight=tuple(weights[out].tolist())))
    curve, patients = Curve.of(signals, scores, weights), int(index.max()) + 1
    return Calibrated(curve=curve, errors=tuple(folds), patients=patients, cases=len(index)), out_of_fold


def by_group(groups: Sequence[Hashable]) -> tuple[NDArray[np.intp], Floats]:
    """The number of each case's group, and a weight of each case; those of one group add up to 1."""
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    index = np.array([numbers[group] for group in groups])
    return index, 1 / np.bincount(index)[index]


def lowest(values: Floats, weights: Floats, share: float) -> float | None:
    """The value that a new one falls below with a probability of `share` at most; `None` of too few to say.

    Of n equal weights the value of rank `floor(share (n + 1))` from below: a new one takes each rank among them alike.

    Example:
        >>> lowest(np.arange(9.0), np.ones(9), 0.1), lowest(np.arange(8.0), np.ones(8), 0.1)
        (0.0, None)
        >>> lowest(np.arange(19.0), np.ones(19), 0.1)
        1.0
    """
    most = share * (weights.sum() + 1) + 1e-9
    if most < 1:
        return None
    order = np.argsort(values, kind="stable")
    reached = np.flatnonzero(np.cumsum(weights[order]) <= most)
    return float(values[order[reached[-1]]]) if len(reached) else None
