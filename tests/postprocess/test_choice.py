"""The rule keeps the default unless a gain is larger than its error, on most changed cases, and on folds left out."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.postprocess.choice import choose, measure, nested_gain, remains

NAMES = [str(i) for i in range(20)]
FOLDS = [i % 4 for i in range(20)]


def test_numbers_are_those_of_the_formula() -> None:
    gains = np.random.default_rng(0).normal(0.02, 0.05, 20)
    gain = measure(gains, NAMES)
    assert gain.mean == pytest.approx(gains.mean())
    assert gain.error == pytest.approx(gains.std(ddof=1) / np.sqrt(20))
    assert (gain.changed, gain.improved) == (20, (gains > 0).sum())


def test_views_of_a_patient_count_once() -> None:
    gains = np.array([0.1, 0.1, 0.1, 0.0])
    assert measure(gains, ["p", "p", "p", "q"]).mean == pytest.approx(0.05)
    assert measure(gains, ["p"] * 4).verdict == "gain within one standard error"


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([0.0] * 20, "changes no score"),
        ([-0.1] * 20, "does not help"),
        ([0.5] + [0.0] * 19, "gain within one standard error"),
        ([0.3] * 10 + [-0.01] * 10, "improves 10 of 20 changed cases only"),
        ([0.1] * 12 + [-0.01] * 8, ""),
    ],
)
def test_rule(gains: list[float], verdict: str) -> None:
    assert measure(np.array(gains), NAMES).verdict == verdict


def test_best_of_those_that_pass_is_chosen() -> None:
    options = np.array([[0.1] * 20, [0.2] * 20, [5.0] + [0.0] * 19])
    assert choose(options, NAMES) == 1
    assert choose(np.zeros((2, 20)), NAMES) is None
    assert choose(np.zeros((0, 20)), NAMES) is None


def test_nested_gain_of_a_real_effect_remains() -> None:
    options = np.random.default_rng(1).normal(0.05, 0.02, (3, 20))
    assert nested_gain(options, NAMES, FOLDS) == pytest.approx(0.05, abs=0.02)


def test_nested_gain_of_luck_vanishes() -> None:
    """Many useless options: the best in sample looks good, and the nested estimate is not fooled."""
    rng = np.random.default_rng(2)
    inside, honest = [], []
    for _ in range(40):
        options = rng.normal(0, 0.05, (30, 20))
        best = choose(options, NAMES)
        inside.append(0 if best is None else options[best].mean())
        honest.append(nested_gain(options, NAMES, FOLDS))
    assert np.mean(inside) > 0.015 and abs(np.mean(honest)) < 0.006


def test_one_fold_has_no_nested_gain() -> None:
    assert nested_gain(np.ones((1, 20)), NAMES, [0] * 20) is None
    assert nested_gain(np.ones((1, 20)), NAMES, [None] * 20) is None


@pytest.mark.parametrize(("nested", "kept"), [(0.1, True), (0.05, True), (0.0499, False), (0.0, False), (-0.1, False)])
def test_half_of_a_gain_must_remain(nested: float, kept: bool) -> None:
    assert remains(0.1, nested) == kept


def test_nested_gain_by_hand() -> None:
    """Each fold is judged by what the other chose: of the first option 0 in fold 1, of the second -0.02 in fold 0."""
    folds = [i % 2 for i in range(8)]
    first = np.array([0.10 if fold == 0 else 0.0 for fold in folds])
    second = np.array([-0.02 if fold == 0 else 0.08 for fold in folds])
    groups = NAMES[:8]
    assert nested_gain(np.stack([first, second]), groups, folds) == pytest.approx((4 * 0.0 + 4 * -0.02) / 8)
    assert nested_gain(first[None], groups, folds) == 0.0, "nothing passes on fold 1, and nothing is gained there"
    always = np.full(8, 0.05)
    assert nested_gain(always[None], groups, folds) == pytest.approx(0.05)
    assert nested_gain(always[None], groups, [None, *folds[1:]]) == pytest.approx(0.05), "no fold is one of its own"


def test_exactly_six_of_ten_changed_cases_is_enough_and_one_standard_error_is_not() -> None:
    assert measure(np.array([0.1] * 6 + [-0.01] * 4), NAMES[:10]).verdict == ""
    assert measure(np.array([0.1] * 5 + [-0.01] * 4), NAMES[:9]).verdict.startswith("improves 5 of 9")
    two = measure(np.array([0.2, 0.0]), NAMES[:2])  # mean 0.1, deviation 0.1414, error 0.1
    assert two.error == pytest.approx(0.1) and two.verdict == "gain within one standard error"
    assert measure(np.array([0.2, 0.001]), NAMES[:2]).verdict == ""
    assert measure(np.zeros(0), []) == (0.0, float("inf"), 0, 0)


@pytest.mark.parametrize("helped", [0, 1, 2])
def test_nested_gain_chooses_on_all_other_folds(helped: int) -> None:
    """Of three folds, two outvote the third: the option that helps one alone is not taken for it, nor elsewhere."""
    folds = [i % 3 for i in range(12)]
    alone = np.array([0.3 if fold == helped else -0.1 for fold in folds])
    steady = np.full(12, 0.02)
    found = nested_gain(np.stack([alone, steady]), NAMES[:12], folds)
    assert found == pytest.approx(0.02), "of any two folds it improves half of the cases at most"
