"""Rows of the object metrics table: perfect, empty and wrong predictions, size bands, and evaluation of cases."""

import numpy as np
import pytest

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
    assert rows["cell", "object_recall"] == pytest.approx(3 / 4)  # the merged one still overlaps by a half
    assert rows["cell", "voi_split"] == 0 and rows["cell", "voi_merge"] > 0.4
    assert rows["small objects", "ap_75"] is not None and rows["large objects", "ap_75"] is None


def test_evaluation_pools_objects_and_gives_intervals():
    cells = grid()
    wrong = np.where(cells % 5 == 0, 0, cells)
    pairs = [LabelPair(str(i), str(i), reference=cells, prediction=wrong) for i in range(2)]
    report = evaluate_pairs(pairs, SPACE)
    case = report.aggregate("cell", "f1_75")
    pool = report.aggregate("all objects", "f1_75")
    assert case.mean == pytest.approx(pool.mean) == pytest.approx(2 * 29 / (2 * 29 + 7))
    assert pool.low < pool.mean < pool.high and pool.high - pool.low < 0.2
    assert report.aggregate("all objects", "ap_75").mean == pytest.approx(case.mean, abs=0.15)
    assert any("over objects" in note for note in report.notes)
    assert evaluate_pairs(pairs, SPACE).aggregates == report.aggregates
