"""Plots place numbers where they belong and survive logs and scores with holes."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segwright.core.events import Restart, Step
from segwright.core.report import Aggregate, Report, Score
from segwright.report.plots import curve_plots, nice_ticks, strip_plot
from segwright.report.wording import column


def report(values, metric="dice"):
    scores = [
        Score(case=f"c{i}", group="g", structure="a", metric=metric, value=value, fold=0)
        for i, value in enumerate(values)
    ]
    mean = Aggregate(
        structure="a", metric=metric, mean=0.5, median=0.5, low=0.4, high=0.6, std=0, cases=1, groups=1, missing=0
    )
    return Report(scores=scores, aggregates=(mean,))


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_ticks_cover_the_range_in_equal_steps(low, span):
    ticks = nice_ticks(low, low + span)
    tolerance = 1e-6 * max(1.0, abs(low), span)
    assert 2 <= len(ticks) <= 12
    assert ticks[0] <= low + tolerance and ticks[-1] >= low + span - tolerance
    np.testing.assert_allclose(np.diff(ticks), np.diff(ticks)[0], rtol=1e-3)


def test_strip_is_linear_between_its_ticks():
    plot = strip_plot(report([0.0, 0.25, 0.5, 1.0]), column("dice"))
    assert [dot.x for dot in plot.strips[0].dots] == [0, 25, 50, 100]
    assert plot.strips[0].dots[1].title == "c1: Dice 0.250"
    assert (plot.strips[0].mean, plot.strips[0].bounds) == (50, (40, 60))
    assert (plot.ticks[0].label, plot.ticks[-1].label) == ("0", "1")


def test_distances_start_at_zero_and_undefined_values_are_left_out():
    plot = strip_plot(report([1.0, None, 3.0, float("inf")], "hd95"), column("hd95"))
    assert plot.ticks[0].label == "0" and len(plot.strips[0].dots) == 2
    assert strip_plot(report([None], "hd95"), column("hd95")) is None


def test_quartile_box_agrees_with_numpy():
    values = np.random.default_rng(0).uniform(0, 1, 101)
    values[:2] = 0, 1
    box = strip_plot(report(values.tolist()), column("dice")).strips[0].box
    np.testing.assert_allclose(box, 100 * np.quantile(values, (0.25, 0.5, 0.75)), atol=0.01)


def test_many_cases_keep_only_outliers():
    values = [*np.linspace(0.8, 0.9, 50), 0.1]
    plot = strip_plot(report(values), column("dice"), most_dots=20)
    assert plot.thinned and [dot.title for dot in plot.strips[0].dots] == ["c50: Dice 0.100"]


def test_curves_of_a_broken_log():
    nan = float("nan")
    log = {
        0: [Step(0, 0, elapsed=0, loss=None), Step(0, 1, elapsed=60, loss=nan, lr=0.1)],
        1: [],
        2: [Restart(2, 1, elapsed=120, restarted="flat"), *(Step(2, n, elapsed=60 * n, loss=1.0) for n in (2, 3))],
    }
    loss, rate = curve_plots(log)
    assert [line.name for line in loss.lines] == ["fold 2"]
    assert loss.x_label.endswith("minutes") and loss.x_ticks[-1].label == "3"
    assert loss.marks[0].title == "fold 2 was restarted: flat" and loss.marks[0].x == pytest.approx(66.67)
    assert [line.name for line in rate.lines] == ["fold 0"]
    assert curve_plots({}) == [] and curve_plots({0: []}) == []


def test_pseudo_dice_by_structure_for_one_fold_and_mean_for_several():
    events = [Step(0, s, elapsed=s, pseudo_dice={"a": 0.2, "b": 0.4, "c": math.nan}) for s in range(3)]
    one = curve_plots({0: events})[0]
    assert [line.name for line in one.lines] == ["a", "b"]
    several = curve_plots({0: events, 1: events})[0]
    assert [(line.name, line.last) for line in several.lines] == [("fold 0", "0.3"), ("fold 1", "0.3")]


def test_long_curves_are_thinned_and_stay_in_the_frame():
    rng = np.random.default_rng(0)
    events = [Step(0, s, elapsed=s, loss=float(rng.uniform())) for s in range(5000)]
    plot = curve_plots({0: events})[0]
    for path in (plot.lines[0].path, plot.lines[0].faint):
        points = np.array([list(map(float, p.split())) for p in re.findall(r"-?\d+ -?\d+", path)])
        assert len(points) <= 320 and points.min() >= 0 and points.max() <= 1000


def test_running_mean_of_a_constant_is_that_constant():
    plot = curve_plots({0: [Step(0, s, elapsed=s, loss=2.0) for s in range(40)]})[0]
    heights = {p.split()[1] for p in re.findall(r"\d+ \d+", plot.lines[0].path)}
    assert len(heights) == 1 and plot.lines[0].last == "2"
