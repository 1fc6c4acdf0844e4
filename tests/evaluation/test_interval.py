"""Intervals agree with textbook formulas, cover what they promise, end within bounds, and say nothing of one group."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import sem, t

import segwright
from segwright.core.errors import UsageError
from segwright.evaluation.interval import mean_bounds, mean_interval, spread

Floats = NDArray[np.float64]
UNEQUAL = (1, 6, 2, 3, 5, 1, 4)


def drawn(sizes: list[int], studies: int, seed: int) -> tuple[Floats, Floats]:
    """Sums and counts by group `(groups, studies)` of standard normal scores, half of whose variance is the group's."""
    rng = np.random.default_rng(seed)
    groups = rng.normal(size=(len(sizes), studies))
    sums = [g * n + rng.normal(size=(n, studies)).sum(axis=0) for g, n in zip(groups, sizes, strict=True)]
    return np.array(sums), np.repeat(np.array(sizes, float)[:, None], studies, axis=1)


@pytest.mark.parametrize("groups", [4, 5, 8, 12, 20, 40, 60])
@pytest.mark.parametrize("cycle", [(3,), UNEQUAL], ids=["equal", "unequal"])
def test_intervals_hold_the_true_mean_as_often_as_they_promise(groups: int, cycle: tuple[int, ...]) -> None:
    """With scores that do not differ in truth, 0 is excluded as seldom."""
    sums, counts = drawn(np.resize(cycle, groups).tolist(), 4000, seed=groups)
    low, high = mean_bounds(sums, counts, [(None, None)] * 4000)
    assert 0.93 <= np.mean((low <= 0) & (high >= 0)) <= 0.97


@pytest.mark.parametrize("level", [0.5, 0.8, 0.99])
def test_other_levels_hold_too(level: float) -> None:
    sums, counts = drawn([3] * 6, 4000, seed=1)
    low, high = mean_bounds(sums, counts, [(None, None)] * 4000, level)
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(level, abs=0.02)


@pytest.mark.parametrize("groups", [4, 8, 20])
def test_skewed_scores_with_bounds_are_covered(groups: int) -> None:
    rng = np.random.default_rng(groups)
    both = np.sqrt(0.5) * rng.normal(size=(groups, 1, 4000)) + np.sqrt(0.5) * rng.normal(size=(groups, 3, 4000))
    dice = 1 / (1 + np.exp(-2 - 0.6 * both))
    truth = (1 / (1 + np.exp(-2 - 0.6 * rng.normal(size=1_000_000)))).mean()
    low, high = mean_bounds(dice.sum(axis=1), np.full((groups, 4000), 3.0), [(0.0, 1.0)] * 4000)
    assert 0.93 <= np.mean((low <= truth) & (truth <= high)) <= 0.97


def test_groups_of_one_size_give_the_t_interval_of_their_means() -> None:
    values = np.random.default_rng(0).random((7, 3))
    expected = t.interval(0.9, 6, values.mean(), sem(values.mean(axis=1)))
    assert mean_interval(values.ravel(), np.repeat(np.arange(7), 3), 0.9) == pytest.approx(expected)
    assert segwright.mean_interval is mean_interval


@pytest.mark.parametrize("sizes", [[1, 9], [1, 1, 1, 9], list(UNEQUAL), [1] * 7 + [14]])
def test_groups_of_any_size_give_what_bell_and_mccaffrey_did(sizes: list[int]) -> None:
    """The same by matrices over cases: residuals adjusted by CR2, degrees of freedom of Satterthwaite."""
    rng = np.random.default_rng(len(sizes))
    total, owner = sum(sizes), np.repeat(np.arange(len(sizes)), sizes)
    y = rng.random(total)
    hat = np.full((total, total), 1 / total)
    residuals = (np.eye(total) - hat) @ y
    columns, variance = [], 0.0
    for group in range(len(sizes)):
        inside = owner == group
        values, vectors = np.linalg.eigh(np.eye(inside.sum()) - hat[np.ix_(inside, inside)])
        adjusted = vectors @ np.diag(values**-0.5) @ vectors.T @ np.full(inside.sum(), 1 / total)
        variance += float((adjusted @ residuals[inside]) ** 2)
        columns.append((np.eye(total) - hat)[:, inside] @ adjusted)
    eigen = np.linalg.eigvalsh(np.array(columns) @ np.array(columns).T)
    sums = np.bincount(owner, y)
    without = (y.sum() - sums) / (total - np.array(sizes))
    error, freedom = spread(np.array([y.mean()]), without[:, None], np.array(sizes)[:, None] / total)
    assert error[0] == pytest.approx(np.sqrt(variance))
    assert freedom[0] == pytest.approx(eigen.sum() ** 2 / (eigen**2).sum())


def test_bounded_intervals_are_those_of_log_odds_and_logarithms() -> None:
    values = np.array([0.9, 0.8, 0.97, 0.95])
    mean, reach = values.mean(), t.ppf(0.975, 3) * sem(values)
    odds = np.log(mean / (1 - mean)) + np.array([-1, 1]) * reach / (mean * (1 - mean))
    assert mean_interval(values, range(4), bounds=(0, 1)) == pytest.approx(tuple(1 / (1 + np.exp(-odds))))
    logs = np.log(mean) + np.array([-1, 1]) * reach / mean
    assert mean_interval(values, range(4), bounds=(0, None)) == pytest.approx(tuple(np.exp(logs)))
    low, high = mean_interval(-values, range(4), bounds=(None, 0))
    assert (-high, -low) == pytest.approx(tuple(np.exp(logs)))
    scaled = mean_interval(2 * values - 1, range(4), bounds=(-1, 1))
    assert scaled == pytest.approx(tuple(2 / (1 + np.exp(-odds)) - 1))


def test_ends_lie_within_bounds_around_the_mean() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        size = int(rng.integers(2, 9))
        values = rng.beta(*rng.uniform(0.05, 20, 2), size=size)
        groups = rng.integers(0, size, size)
        low, high = mean_interval(values, groups, bounds=(0, 1))
        if len(set(groups.tolist())) > 1:
            assert 0 <= low <= values.mean() + 1e-12 and values.mean() - 1e-12 <= high <= 1
        else:
            assert np.isnan(low) and np.isnan(high)


def test_groups_that_agree_give_an_interval_without_width() -> None:
    assert mean_interval([0.8] * 6, "aabbcc", bounds=(0, 1)) == pytest.approx((0.8, 0.8))
    low, high = mean_interval([0.1] * 3, "abc")
    assert low == high
    assert mean_interval([1.0, 1.0], "ab", bounds=(0, 1)) == (1.0, 1.0)


def test_one_group_or_none_has_no_interval() -> None:
    for values, groups in (([0.5, 0.6], "aa"), ([], ""), ([0.5, np.nan], "ab"), ([np.nan], "a")):
        assert np.isnan(mean_interval(values, list(groups))).all()


def test_undefined_values_are_left_out() -> None:
    values, groups = [0.5, 0.7, np.nan, 0.9, np.nan], ["a", "a", "b", "c", "c"]
    assert mean_interval(values, groups) == pytest.approx(mean_interval([0.5, 0.7, 0.9], ["a", "a", "c"]))
    sums, counts = np.array([[1.0], [0.0], [0.4], [0.7]]), np.array([[2.0], [0.0], [1.0], [1.0]])
    with_empty = mean_bounds(sums, counts, [(0.0, 1.0)])
    assert np.array(with_empty) == pytest.approx(
        np.array(mean_bounds(sums[[0, 2, 3]], counts[[0, 2, 3]], [(0.0, 1.0)]))
    )


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"groups": [1, 2]}, "Each value needs its group"),
        ({"level": 95}, "level is a share"),
        ({"level": 0}, "level is a share"),
        ({"level": 1}, "level is a share"),
        ({"level": 1.5}, "level is a share"),
        ({"bounds": (0, 0.85)}, "cannot be a score"),
        ({"bounds": (0.6, 1)}, "cannot be a score"),
        ({"values": [0.5, np.inf, 0.9]}, "cannot be a score"),
    ],
)
def test_wrong_use_is_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        mean_interval(**({"values": [0.5, 0.7, 0.9], "groups": [1, 2, 3]} | wrong))  # type: ignore[arg-type]
