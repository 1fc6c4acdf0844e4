"""Calibration against scikit-learn-free oracles: counted by hand, by a histogram of floats, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.core.labels import LabelSpace
from segwright.metrics.calibration import BINS, FLOOR, LEVELS, Calibration, ScoredVoxels, calibration

ONE = LabelSpace(structures=[{"name": "a", "values": [1]}])


def scored(scores, labels, case="c") -> ScoredVoxels:
    return ScoredVoxels(case, np.asarray(scores, np.uint8), np.asarray(labels))


def oracle(scores: np.ndarray, inside: np.ndarray) -> float:
    """Expected calibration error by its definition, on floats."""
    kept = scores >= FLOOR
    scores, inside = scores[kept] / 255, inside[kept]
    edges = np.arange(BINS + 1) * LEVELS / 255
    place = np.digitize(scores + 1e-9, edges) - 1
    gaps = [abs(scores[place == b].mean() - inside[place == b].mean()) * (place == b).sum() for b in np.unique(place)]
    return float(sum(gaps) / len(scores))


def test_counts_by_hand():
    scores = [[[[255, 255, 128, 128, 0, 2]]]]
    labels = [[[[1, 1, 1, 0, 0, 1]]]]
    found = calibration([scored(scores, labels)], ONE).structures[0]
    assert found.voxels[15] == 2 and found.inside[15] == 2
    assert found.voxels[8] == 2 and found.inside[8] == 1
    assert (found.below, found.missed) == (2, 1)
    assert found.error == pytest.approx(abs(2 * 128 / 255 - 1) / 4)


@pytest.mark.parametrize("kind", ["exclusive", "overlapping"])
def test_error_is_that_of_the_definition(kind):
    rng = np.random.default_rng(0)
    space = LabelSpace(structures=[{"name": "a", "values": [1]}, {"name": "b", "values": [2]}], kind=kind)
    cases = []
    for number in range(3):
        scores = (rng.beta(0.5, 0.8, (2, 3, 20, 20)) * 255).astype(np.uint8)
        labels = rng.integers(0, 2, (2, 3, 20, 20)) if kind == "overlapping" else rng.integers(0, 3, (1, 3, 20, 20))
        cases.append(scored(scores, labels.astype(np.int16), f"c{number}"))
    found = calibration(cases, space)
    for index, row in enumerate(found.structures):
        values = np.concatenate([c.scores[index].ravel() for c in cases])
        inside = np.concatenate([space.mask(c.reference, index).ravel() for c in cases])
        assert row.error == pytest.approx(oracle(values, inside), abs=1e-9)
        assert sum(row.voxels) + row.below == len(values)


def test_true_probabilities_have_no_error_and_boasting_ones_have():
    rng = np.random.default_rng(1)
    chance = rng.random((1, 4, 100, 100))
    labels = (rng.random(chance.shape) < chance).astype(np.int16)
    honest = calibration([scored(np.round(chance * 255), labels)], ONE).structures[0]
    boasting = calibration([scored(np.round((chance > 0.5) * 255), labels)], ONE).structures[0]
    assert honest.error < 0.02
    assert boasting.error == pytest.approx(0.25, abs=0.02)


def test_ignored_voxels_count_nowhere():
    labels = np.array([[[[1, -1, -1, 0]]]], np.int16)
    found = calibration([scored([[[[255, 255, 0, 255]]]], labels)], ONE).structures[0]
    assert (sum(found.voxels), sum(found.inside), found.below) == (2, 1, 0)


def test_a_structure_nobody_scores_has_no_error():
    found = calibration([scored(np.zeros((1, 1, 2, 2)), np.ones((1, 1, 2, 2), np.int16))], ONE).structures[0]
    assert found.error is None and found.missed == 4


def test_scores_of_another_kind_are_left_out_and_said():
    found = calibration([scored(np.zeros((3, 1, 2, 2)), np.ones((1, 1, 2, 2), np.int16), "odd")], ONE)
    assert found.cases == 0 and "odd" in found.notes[0]


def test_the_document_comes_back(tmp_path):
    found = calibration([scored([[[[255, 100]]]], [[[[1, 0]]]])], ONE)
    assert Calibration.load(found.save(tmp_path / "c.json")) == found
