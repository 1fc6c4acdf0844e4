"""Aggregates agree with NumPy; intervals are those of `mean_interval`; missing values are counted."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.core.report import Score
from segwright.evaluation.aggregate import aggregate, structure_means
from segwright.evaluation.interval import mean_interval


def score(case: str, value: float | None, **rest: object) -> Score:
    return Score(**({"case": case, "group": case, "structure": "a", "metric": "dice", "value": value} | rest))


def test_summary_is_numpys() -> None:
    values = np.random.default_rng(0).random(30)
    (row,) = aggregate([score(str(i), v) for i, v in enumerate(values)])
    assert row.mean == pytest.approx(values.mean()) and row.median == pytest.approx(np.median(values))
    assert row.std == pytest.approx(values.std(ddof=1))
    assert (row.cases, row.groups, row.missing) == (30, 30, 0)


def test_interval_is_that_of_the_mean_by_group_within_the_metrics_range() -> None:
    rng = np.random.default_rng(1)
    groups = [np.clip(rng.normal(rng.normal(0.8, 0.1), 0.01, size=n), 0, 1) for n in rng.integers(1, 5, 25)]
    rows = [score(f"{g}.{i}", v, group=str(g)) for g, values in enumerate(groups) for i, v in enumerate(values)]
    (row,) = aggregate(rows)
    expected = mean_interval([r.value for r in rows], [r.group for r in rows], bounds=(0, 1))
    assert (row.low, row.high) == pytest.approx(expected) and row.groups == 25
    (naive,) = aggregate([r.model_copy(update={"group": r.case}) for r in rows])
    assert naive.high - naive.low < row.high - row.low  # views of one patient are not independent
    (far,) = aggregate([r.model_copy(update={"metric": "hd95"}) for r in rows])
    assert (far.low, far.high) == pytest.approx(
        mean_interval([r.value for r in rows], [r.group for r in rows], bounds=(0, None))
    )


def test_missing_values_are_counted_not_averaged() -> None:
    rows = [score("x", 0.5), score("y", None), score("z", None, structure="b")]
    first, second = aggregate(rows)
    assert (first.mean, first.cases, first.missing, first.groups) == (0.5, 1, 1, 1)
    assert first.low is None and first.std is None
    assert (second.mean, second.median, second.cases, second.missing) == (None, None, 0, 1)
    assert aggregate([]) == ()


def test_groups_without_values_do_not_bias_the_mean() -> None:
    rows = [score("x", 1.0), score("y", 1.0), score("z", None)]
    (row,) = aggregate(rows)
    assert (row.low, row.high) == (1.0, 1.0)


def test_mean_over_structures_tells_what_it_left_out() -> None:
    rows = [
        score("x", 0.8, metric="hd95"),
        score("x", None, structure="b", metric="hd95", note="prediction empty"),
        score("x", None, structure="c", metric="hd95", note="both empty"),
        score("x", 0.2, structure="region", metric="hd95"),
        score("y", None, note="both empty"),
        score("x", 9.0, metric="volume_difference"),
    ]
    first, second = structure_means(rows, ["a", "b", "c"])
    assert (first.structure, first.value) == ("mean", 0.8)
    assert first.note == "1 of 3 structures undefined (prediction empty)"
    assert (second.value, second.note) == (None, "no structure present")
