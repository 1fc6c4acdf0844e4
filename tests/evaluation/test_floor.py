"""A constant prediction scores what it would score, and a model is held against it case by case."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.core.labels import LabelSpace
from segwright.evaluation.compare import constant_scores, filled, floor_of, told
from segwright.evaluation.interval import mean_interval

ONE = LabelSpace(structures=[{"name": "a"}])
TWO = LabelSpace(structures=[{"name": "a"}, {"name": "b"}], kind="overlapping")


def box(start: int, stop: int, shape: tuple[int, int, int] = (1, 96, 96)) -> np.ndarray:
    labels = np.zeros((1, *shape), np.int16)
    labels[:, :, start:stop, 24:72] = 1
    return labels


def test_the_mask_is_the_best_of_nothing_everything_and_the_usual_place() -> None:
    """Worked out by hand, on borders of cells: a structure that never moves is met, one that jumps about is not."""
    still = [filled(str(i), str(i), i % 2, box(24, 48), ONE) for i in range(4)]
    assert set(constant_scores(still).values()) == {1.0}
    jumping = [
        filled(str(i), str(i), i % 2, box(*place), ONE)
        for i, place in enumerate([(0, 24), (0, 24), (48, 96), (72, 96)])
    ]
    scores = constant_scores(jumping)
    # fold 0 knows rows 0-24 and 72-96 each once: the best mask is both, 2 x 24 / (24 + 48) for what lies in one of them
    assert scores["0"] == pytest.approx(2 * 24 / (24 + 48))


def test_dice_is_exact_on_any_grid() -> None:
    rng = np.random.default_rng(0)
    reference = (rng.random((1, 11, 50, 37)) < 0.3).astype(np.int16)
    reference[0, :2] = -1
    case = filled("x", "x", 0, reference, ONE)
    assert case.sizes.sum() == 9 * 50 * 37 and case.counts.sum() == (reference == 1).sum()
    everything = 2 * (reference == 1).sum() / ((reference == 1).sum() + 9 * 50 * 37)
    assert constant_scores([case])["x"] == pytest.approx(everything)  # no other group says where it usually lies
    assert len(case.sizes) == 8 * 24 * 24


def test_masks_are_chosen_on_other_folds() -> None:
    """A structure that lies elsewhere in the fold judged is missed, although its own place would be met."""
    cases = [filled(str(i), str(i), 0, box(0, 24), ONE) for i in range(3)] + [filled("9", "9", 1, box(72, 96), ONE)]
    scores = constant_scores(cases)
    assert scores["9"] == 0
    single = [filled(str(i), f"p{i // 2}", 0, box(24 * (i // 2), 24 * (i // 2) + 24), ONE) for i in range(4)]
    assert set(constant_scores(single).values()) == {0.0}, "of a single fold, groups judge one another"


def test_structures_that_are_absent_do_not_count() -> None:
    both = np.concatenate([box(0, 24), np.zeros_like(box(0, 24))])
    cases = [filled(str(i), str(i), i, both, TWO) for i in range(2)]
    assert constant_scores(cases) == {"0": 1.0, "1": 1.0}
    none = np.zeros((2, 1, 96, 96), np.int16)
    assert floor_of([filled("x", "x", 0, none, TWO)], {}) is None
    assert floor_of([], {}) is None


def moved(count: int) -> list:
    rng = np.random.default_rng(0)
    return [
        filled(str(i), str(i), i % 2, box(start, start + 24), ONE)
        for i, start in enumerate(rng.integers(0, 72, count).tolist())
    ]


def test_a_model_is_held_against_it_case_by_case() -> None:
    cases = moved(12)
    constant = constant_scores(cases)
    reached = {name: min(1.0, value + 0.1 + 0.02 * (int(name) % 3)) for name, value in constant.items()}
    floor = floor_of(cases, reached)
    gains = [reached[name] - constant[name] for name in constant]
    by_case = [reached[case.case] - constant[case.case] for case in cases]
    assert floor.gain == pytest.approx(np.mean(gains))
    assert (floor.low, floor.high) == pytest.approx(mean_interval(by_case, range(12), bounds=(-1, 1)))
    assert floor.passed and "not shown" not in told(floor)


@pytest.mark.parametrize("reached", [0.002, "constant"])
def test_a_model_that_is_no_better_does_not_pass(reached: object) -> None:
    cases = moved(12)
    constant = constant_scores(cases)
    values = {name: value if reached == "constant" else 0.002 for name, value in constant.items()}
    floor = floor_of(cases, values)
    assert not floor.passed and "not shown to have learnt anything" in told(floor)


def test_of_few_groups_a_gain_in_each_is_enough_if_it_is_one() -> None:
    cases = moved(3)
    constant = constant_scores(cases)
    far = floor_of(
        cases, {name: value + gain for (name, value), gain in zip(constant.items(), (0.3, 0.05, 0.6), strict=True)}
    )
    assert far.low < 0 and far.passed
    near = floor_of(
        cases, {name: value + gain for (name, value), gain in zip(constant.items(), (0.01, 0.001, 0.1), strict=True)}
    )
    assert not near.passed
    mixed = floor_of(
        cases, {name: value + gain for (name, value), gain in zip(constant.items(), (0.9, -0.01, 0.6), strict=True)}
    )
    assert not mixed.passed
    alone = floor_of(moved(1), {"0": 0.9})
    assert alone.low is None and alone.passed == (alone.gain >= 0.05)


@pytest.mark.parametrize(("groups", "passed"), [(5, True), (6, False)])
def test_from_six_groups_on_the_interval_alone_decides(groups: int, passed: bool) -> None:
    cases = moved(groups)
    constant = constant_scores(cases)
    gains = [0.001] * (groups - 1) + [0.6]
    floor = floor_of(cases, {name: value + gain for (name, value), gain in zip(constant.items(), gains, strict=True)})
    assert floor.low < 0 and floor.passed == passed


@pytest.mark.parametrize(("last", "passed"), [(0.1, True), (0.06, False)])
def test_of_few_groups_the_gain_must_be_five_hundredths(last: float, passed: bool) -> None:
    cases = moved(3)
    gains = (0.001, 0.07, last)  # means of 0.057 and 0.044
    floor = floor_of(cases, {k: v + gain for (k, v), gain in zip(constant_scores(cases).items(), gains, strict=True)})
    assert floor.low < 0 and floor.passed == passed
