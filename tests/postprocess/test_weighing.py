"""Blends by hand, and shares that are taken where a part is better and left equal where it is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from segwright.core.errors import GeometryError
from segwright.core.labels import LabelSpace
from segwright.postprocess.decode import decode
from segwright.postprocess.ensemble import _decide, _judged, blend, equal_weights, mixtures, votes_of, weigh

OVERLAPPING = LabelSpace(structures=[{"name": "a"}, {"name": "b"}], kind="overlapping")
EXCLUSIVE = LabelSpace(structures=[{"name": "a"}, {"name": "b"}])


@dataclass
class Case:
    group: str
    fold: int | None
    scores: list[np.ndarray]
    truth: np.ndarray

    def opinions(self):
        return self.scores

    def reference(self):
        return self.truth


def cases_with(noise, space, count=15, seed=0, folds=5):
    """Cases with one part for each `noise[part][structure]`: the truth, blurred by noise of that strength."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        masks = np.zeros((2, 1, 24, 30), bool)
        masks[0, 0, 4:15, 3:14] = True
        masks[1, 0, 9:20, 14:26] = True
        parts = []
        for strengths in noise:
            sides = [np.where(m, 0.7, 0.1) + rng.normal(0, s, m.shape) for m, s in zip(masks, strengths, strict=True)]
            scores = np.clip(np.stack(sides), 0, 1)
            scores /= np.maximum(1, scores.sum(axis=0)) if space.exclusive else 1
            parts.append(np.rint(scores * 255).astype(np.uint8))
        made.append(Case(f"p{i}", i % folds if folds else None, parts, space.from_masks(list(masks))))
    return made


def test_blends_and_votes_by_hand():
    parts = [np.array(v, np.uint8).reshape(2, 1, 1, 2) for v in ([[0, 100], [255, 9]], [[200, 100], [0, 10]])]
    weights = np.array([[0.5, 0.25], [0.5, 0.75]])
    assert blend(parts, weights).reshape(2, 2).tolist() == [[100, 100], [64, 10]]
    labels = decode(parts[0], OVERLAPPING)
    assert votes_of(labels, OVERLAPPING).ravel().tolist() == [0, 0, 255, 0]
    with pytest.raises(GeometryError, match="different grids"):
        blend([parts[0], parts[1][:, :, :, :1]], weights)


@pytest.mark.parametrize("space", [OVERLAPPING, EXCLUSIVE], ids=["overlapping", "exclusive"])
@pytest.mark.parametrize("parts", [2, 3, 4, 5])
def test_half_of_the_votes_is_no_majority(space, parts):
    """Strictly more than half, as fold voting has it: 2 of 3, 3 of 4."""
    for ayes in range(parts + 1):
        votes = [np.full((2, 1, 1, 1), [[255]], np.uint8) * (i < ayes) for i in range(parts)]
        for one in votes:
            one[1] = 0
        labels = decode(blend([v.astype(np.uint8) for v in votes], equal_weights(parts, 2), votes=True), space)
        assert bool(space.mask(labels, 0).any()) == (ayes > parts / 2)


def test_mixtures_are_shares():
    for parts in range(2, 8):
        options = mixtures(parts)
        assert np.allclose(options.sum(axis=1), 1, atol=1e-5) and len({tuple(o) for o in options}) == len(options)
        assert np.allclose(options[0], 1 / parts, atol=1e-6) and np.allclose(options[1 : parts + 1], np.eye(parts))


@pytest.mark.parametrize("space", [OVERLAPPING, EXCLUSIVE], ids=["overlapping", "exclusive"])
def test_each_structure_takes_the_part_that_knows_it(space):
    found = weigh(cases_with([(0.05, 0.5), (0.5, 0.05)], space), space)
    assert found.weights[0, 0] > 0.5 and found.weights[1, 1] > 0.5
    assert np.allclose(found.weights.sum(axis=0), 1)
    assert found.honest.mean() > found.equal.mean() + 0.005
    assert found.honest.mean() <= found.chosen.mean() + 1e-9
    assert found.alone.shape == (2, 15) and found.honest.mean() > found.alone.mean(axis=1).max()
    assert "remains on folds left out" in found.why


@pytest.mark.parametrize("space", [OVERLAPPING, EXCLUSIVE], ids=["overlapping", "exclusive"])
def test_parts_alike_keep_equal_shares(space):
    found = weigh(cases_with([(0.3, 0.3), (0.3, 0.3)], space, seed=4), space)
    assert np.allclose(found.weights, 0.5)
    assert np.array_equal(found.honest, found.equal)
    assert all(row.reason.startswith("equal") for row in found.rows)


def test_a_case_is_judged_with_shares_that_its_own_fold_did_not_choose():
    """The second mixture gains in the first fold alone, so only the other fold's cases are judged with it."""
    cases = [Case(f"p{i}", int(i >= 5), [], np.zeros(0)) for i in range(7)]
    gains = np.array([0.3] * 5 + [-0.01] * 2)
    options, asked = np.array([[0.5, 0.5], [1.0, 0.0]]), []

    def values_of(case, space, shares):
        asked.append(shares[1][:, 0].tolist())
        return np.zeros((2, 1))

    _judged(cases, OVERLAPPING, values_of, np.stack([np.zeros((1, 7)), gains[None]]), options, options[:1].T)
    assert asked == [[0.5, 0.5]] * 5 + [[1.0, 0.0]] * 2


def test_one_fold_cannot_confirm_and_equal_can_be_asked_for():
    cases = cases_with([(0.05, 0.05), (0.6, 0.6)], OVERLAPPING, folds=0)
    assert np.allclose(weigh(cases, OVERLAPPING).weights, 0.5)
    asked = weigh(cases_with([(0.05, 0.05), (0.6, 0.6)], OVERLAPPING), OVERLAPPING, search=False)
    assert np.allclose(asked.weights, 0.5) and asked.rows[0].reason == "equal, as asked: no others were tried"
    assert "better" not in asked.why and "no others were tried" in asked.why


def test_dice_of_reduced_voxels_is_that_of_whole_arrays():
    """Values are counted where anything can be; ignored voxels count nowhere."""
    for space in (OVERLAPPING, EXCLUSIVE):
        cases = cases_with([(0.3, 0.2), (0.2, 0.4)], space, count=4)
        for case in cases:
            case.truth[:, 0, :3] = -1
        found = weigh(cases, space, search=False)
        for i, case in enumerate(cases):
            labels = decode(blend(case.scores, equal_weights(2, 2)), space)
            counted = ~space.ignored(case.truth)
            values = []
            for k in range(2):
                a, b = space.mask(labels, k) & counted, space.mask(case.truth, k) & counted
                values.append(2 * (a & b).sum() / (a.sum() + b.sum()))
            assert found.equal[i] == pytest.approx(np.mean(values))


def test_shares_whose_gain_vanishes_out_of_fold_stay_equal():
    """Either part is better in one fold and no better in the other, so that each is chosen for the wrong one."""
    folds = [i % 2 for i in range(12)]
    equal = np.full(12, 0.8)
    better = [equal + 0.1 * (np.array(folds) == fold) for fold in (0, 1)]
    better[1] -= 0.01 * (np.array(folds) == 1)
    options = mixtures(2)
    values = np.stack([equal, *better, equal, equal])
    row, pick = _decide("a", values, options, [f"p{i}" for i in range(12)], folds)
    assert pick == 0 and row.weights == (0.5, 0.5) and row.nested == 0.0
    assert row.reason == "equal: only +0.0000 of +0.0500 remains on folds left out"
    row, pick = _decide("a", values, options, [f"p{i}" for i in range(12)], [i // 2 % 2 for i in range(12)])
    assert pick == 1 and row.nested == pytest.approx(0.05)
