"""Bounds hold as often as they say, by simulation and by ranks counted by hand, and are silent of too few patients."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.quality.conformal import Curve, by_group, calibrated, lowest


def drawn(rng: np.random.Generator, count: int, each: int = 1) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Scores of cases, signals that are near to them, and patients whose cases are alike."""
    patient = np.repeat(rng.beta(8, 2, count), each)
    scores = np.clip(patient + rng.normal(0, 0.03, len(patient)), 0, 1)
    return np.clip(scores + rng.normal(0, 0.05, len(scores)), 0, 1), scores, np.repeat(np.arange(count), each).tolist()


@pytest.mark.parametrize(("patients", "each"), [(9, 1), (12, 2), (20, 1), (40, 2)])
def test_a_new_scan_exceeds_its_bound_in_nine_of_ten(patients: int, each: int) -> None:
    rng, held = np.random.default_rng(patients), []
    for _ in range(70):
        learnt, _ = calibrated(*drawn(rng, patients, each))
        signals, scores, _ = drawn(rng, 12)
        held += [score >= (learnt.lower(signal, 0.9) or 0) for signal, score in zip(signals, scores, strict=True)]
    assert 0.87 <= np.mean(held) <= 0.965


def test_fewer_than_nine_patients_give_no_bound_however_many_scans_they_have() -> None:
    rng = np.random.default_rng(0)
    few, _ = calibrated(*drawn(rng, 8, each=5))
    assert few.lower(0.9, 0.9) is None and few.lower(0.9, 0.8) is not None and 0 < few.expected(0.9) < 1
    assert (few.patients, few.cases) == (8, 40)
    assert calibrated(*drawn(rng, 9))[0].lower(0.9, 0.9) is not None


def test_ranks_are_those_of_the_new_patient_among_all() -> None:
    values = np.array([0.3, 0.1, 0.2, *np.linspace(0.4, 0.9, 16)])
    assert lowest(values, np.ones(19), 0.1) == 0.2  # the second of 20 places
    assert lowest(values[:18], np.ones(18), 0.1) == 0.1  # the first of 19: rank 1.9 is rounded down
    assert lowest(values, np.ones(19), 0.04) is None
    halves = np.full(19, 0.5)  # nine and a half patients of two scans each
    assert lowest(values, halves, 0.2) == pytest.approx(values[np.argsort(values)[3]])


def rising(signals: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The isotonic fit by its max-min formula (Robertson, Wright and Dykstra 1988)."""
    order = np.argsort(signals)
    y, w, fit = scores[order], weights[order], np.empty(len(signals))
    for i in range(len(y)):
        means = [[np.average(y[a : b + 1], weights=w[a : b + 1]) for b in range(i, len(y))] for a in range(i + 1)]
        fit[order[i]] = max(min(row) for row in means)
    return fit


def test_a_curve_is_the_isotonic_fit_through_the_origin() -> None:
    rng = np.random.default_rng(1)
    signals, scores = rng.uniform(0.2, 1, 40), rng.uniform(0, 1, 40)
    weights = rng.uniform(0.2, 1, 40)
    curve = Curve.of(signals, scores, weights)
    fit = rising(signals, scores, weights)
    assert curve.signal[0] == curve.score[0] == 0
    assert np.all(np.diff(curve.signal) >= 0) and np.all(np.diff(curve.score) >= 0)
    for level in np.unique(fit.round(9)):
        block = np.isclose(fit, level)
        assert curve.at(np.array([np.average(signals[block], weights=weights[block])]))[0] == pytest.approx(level)
    assert curve.at(np.array([2.0]))[0] == pytest.approx(fit.max())


def test_patients_weigh_alike() -> None:
    index, weights = by_group(["a", "b", "a", "c", "a"])
    assert index.tolist() == [0, 1, 0, 2, 0] and weights.tolist() == pytest.approx([1 / 3, 1, 1 / 3, 1, 1 / 3])
