"""Rows of the object metrics table: perfect, empty and wrong predictions, size bands, and evaluation of cases."""

import numpy as np
import pytest
from scipy.stats import t

from segwright.core.labels import LabelSpace
from segwright.evaluation.score import LabelPair, evaluate_pairs
from segwright.metrics import DEFAULT_OBJECT_METRICS, METRICS, OBJECT_METRICS
from segwright.metrics.contingency import Contingency
from segwright.metrics.instances import load_object_metric
from segwright.metrics.table import score_case

SPACE = LabelSpace(structures=[{"name": "cell"}], kind="instances")


def grid(rows=6, size=8):
    cells = np.kron(np.arange(1, rows * rows + 1).reshape(rows, rows), np.ones((size, size), int))
    cells[::size] = 0
    return cells[None, None].astype(np.int32)


@pytest.mark.parametrize("name", OBJECT_METRICS)
def test_perfect_empty_and_absent(name):
    metric = load_object_metric(name)
    cells = grid()
    perfect, note = metric.of_objects(Contingency.from_arrays(cells, cells + (cells > 0) * 70_000))
    assert perfect == pytest.approx(metric.perfect) and note == ""
    value, note = metric.of_objects(Contingency.from_arrays(cells, np.zeros_like(cells)))
    assert value is None or (value <= 0.01 if metric.direction == "higher" else value > 0) or name == "voi_split"
    value, note = metric.of_objects(Contingency.from_arrays(0 * cells, 0 * cells))
    assert value is None and note == "no object"


def test_tables_do_not_share_names_and_defaults_exist():
    assert not set(METRICS) & set(OBJECT_METRICS)
    assert all(name in METRICS or name in OBJECT_METRICS for name in DEFAULT_OBJECT_METRICS)


def test_merging_two_objects_costs_what_it_should():
    cells = grid(2)
    merged = np.where(cells == 2, 1, cells)
    rows = {(r.structure, r.metric): r.value for r in score_case(SPACE, cells, merged, metrics=DEFAULT_OBJECT_METRICS)}
    assert rows["cell", "dice"] == 1
    assert rows["cell", "accuracy_75"] == pytest.approx(2 / 5)  # two right, two missed, one false
    assert rows["cell", "object_recall"] == pytest.approx(
        2 / 4
    )  # the merged one overlaps either by no more than a half
    assert rows["cell", "voi_split"] == 0 and rows["cell", "voi_merge"] > 0.4
    assert rows["small objects", "ap_75"] is not None and rows["large objects", "ap_75"] is None


def test_evaluation_pools_objects_and_gives_intervals_by_group():
    cells = grid()
    wrong = [np.where(cells % every == 0, 0, cells) for every in (5, 4, 9)]
    pairs = [LabelPair(str(i), f"p{min(i, 1)}", reference=cells, prediction=one) for i, one in enumerate(wrong)]
    report = evaluate_pairs(pairs, SPACE)
    pool = report.aggregate("all objects", "f1_75")
    found, missed = np.array([29, 27, 32]), np.array([7, 9, 4])
    assert pool.mean == pytest.approx(2 * 88 / (2 * 88 + 20)) and (pool.cases, pool.groups) == (3, 2)
    # by hand: patient p0 is the first case, p1 the others; one degree of freedom but for their unequal shares
    without = np.array([2 * 59 / (2 * 59 + 13), 2 * 29 / (2 * 29 + 7)])
    shares = np.array([36, 72]) / 108
    error = np.sqrt(((1 - shares) * (pool.mean - without) ** 2).sum())
    c = shares**2 / (1 - shares)
    freedom = 1 / ((shares**2).sum() - (c**2).sum() + c.sum() ** 2)
    odds, step = pool.mean / (1 - pool.mean), t.ppf(0.975, freedom) * error / (pool.mean * (1 - pool.mean))
    assert pool.low == pytest.approx(1 / (1 + np.exp(step) / odds))
    assert pool.high == pytest.approx(1 / (1 + np.exp(-step) / odds))
    assert (found + missed == 36).all()
    assert report.aggregate("all objects", "ap_75").mean == pytest.approx(pool.mean, abs=0.15)
    assert any("leaving out one group" in note for note in report.notes)


def test_objects_of_one_group_have_no_interval():
    cells = grid()
    report = evaluate_pairs([LabelPair(str(i), "p", reference=cells, prediction=cells) for i in range(3)], SPACE)
    assert {(row.low, row.high) for row in report.aggregates} == {(None, None)}
    assert any("All cases are of one group" in note for note in report.notes)
