"""Paired comparison agrees with SciPy, respects directions and groups, and refuses what cannot be compared."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import sem, t, wilcoxon

from segwright.core.errors import DataError
from segwright.core.report import Report, Score
from segwright.evaluation.compare import compare
from segwright.evaluation.interval import mean_interval


def report(values: dict[str, float | None], metric: str = "dice", groups: dict[str, str] | None = None) -> Report:
    rows = [
        Score(case=c, group=(groups or {}).get(c, c), structure="a", metric=metric, value=v) for c, v in values.items()
    ]
    return Report(title=metric, scores=tuple(rows), aggregates=())


def noisy(count: int = 30, gain: float = 0.02) -> tuple[dict[str, float], dict[str, float]]:
    rng = np.random.default_rng(0)
    first = {f"c{i}": v for i, v in enumerate(rng.uniform(0.6, 0.9, count))}
    return first, {case: v + rng.normal(gain, 0.02) for case, v in first.items()}


def test_difference_and_test_are_those_of_numpy_and_scipy() -> None:
    first, second = noisy()
    row = compare(report(first), report(second)).row("a", "dice")
    change = np.array([second[c] - first[c] for c in first])
    assert row.mean == pytest.approx(change.mean()) and row.p == pytest.approx(wilcoxon(change).pvalue)
    expected = mean_interval(change, list(first), bounds=(-1, 1))
    assert (row.low, row.high) == pytest.approx(expected)
    assert (row.low, row.high) == pytest.approx(t.interval(0.95, 29, change.mean(), sem(change)), abs=1e-5)
    assert (row.wins, row.losses, row.ties) == ((change > 0).sum(), (change < 0).sum(), 0)


@pytest.mark.parametrize(("metric", "values", "wins"), [("hd95", (3.0, 1.0), 1), ("volume_error", (-0.4, 0.1), 1)])
def test_better_is_what_the_metric_says(metric: str, values: tuple[float, float], wins: int) -> None:
    row = compare(report({"x": values[0]}, metric), report({"x": values[1]}, metric)).row("a", metric)
    assert (row.wins, row.losses) == (wins, 1 - wins)
    assert row.low is None and row.p is None  # one patient has no interval


def test_groups_count_as_one() -> None:
    first, second = noisy(20)
    groups = {case: f"p{i // 5}" for i, case in enumerate(first)}
    row = compare(report(first, groups=groups), report(second, groups=groups)).row("a", "dice")
    means = [np.mean([second[c] - first[c] for c in first if groups[c] == g]) for g in sorted(set(groups.values()))]
    assert row.groups == 4 and row.p == pytest.approx(wilcoxon(means).pvalue)
    assert (row.low, row.high) == pytest.approx(t.interval(0.95, 3, np.mean(means), sem(means)), abs=1e-5)


def test_a_difference_of_lengths_has_no_range() -> None:
    values = np.random.default_rng(0).normal(0, 30, 6)
    first, second = ({str(i): 50 + v for i, v in enumerate(values * sign)} for sign in (-0.5, 0.5))
    row = compare(report(first, "hd95"), report(second, "hd95")).row("a", "hd95")
    assert (row.low, row.high) == pytest.approx(t.interval(0.95, 5, values.mean(), sem(values)))


def test_undefined_values_are_paired_out_and_counted() -> None:
    row = compare(report({"x": 0.5, "y": 0.5, "z": None}), report({"x": 0.6, "y": None, "z": None})).row("a", "dice")
    assert (row.cases, row.only_first, row.only_second) == (1, 1, 0)
    nothing = compare(report({"x": None}), report({"x": None})).row("a", "dice")
    assert nothing.mean is None and nothing.cases == 0


def test_equal_runs_do_not_differ() -> None:
    first, _ = noisy()
    row = compare(report(first), report(first)).row("a", "dice")
    assert (row.mean, row.low, row.high, row.p, row.ties) == (0, 0, 0, 1, 30)


def test_other_cases_are_refused_unless_allowed() -> None:
    with pytest.raises(DataError, match="no case in common"):
        compare(report({"x": 1.0}), report({"y": 1.0}))
    first, second = report({"x": 1.0, "y": 1.0}), report({"y": 1.0, "z": 1.0})
    with pytest.raises(DataError, match=r"1 case only in the first \(x\)"):
        compare(first, second)
    common = compare(first, second, only_common=True)
    assert common.rows[0].cases == 1 and "common" in common.notes[0]


def test_other_groups_are_refused() -> None:
    with pytest.raises(DataError, match="different groups"):
        compare(report({"x": 1.0}, groups={"x": "p"}), report({"x": 1.0}, groups={"x": "q"}))
