"""The dynamic programme finds what trying every labelling finds."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from segwright.core.seed import derive
from segwright.ops.ordered_labels import MOST_A_LABEL, best_labelling, labelling_cost
from segwright.ops.row_instances import CRUMB, PIECES


def every_labelling(costs, positions, absent=None):
    """Cost of all labellings, cheapest first."""
    found = [
        (labelling_cost(labels, costs, positions, absent), labels)
        for labels in product(range(costs.shape[1]), repeat=len(costs))
    ]
    return sorted(found)


@pytest.mark.parametrize("seed", range(40))
def test_equals_exhaustive_search(seed):
    rng = derive(seed, "sequence")
    count, names = int(rng.integers(1, 6)), int(rng.integers(1, 5))
    costs = -np.log(rng.dirichlet(np.full(names + 1, 0.4), size=count) + 1e-3)
    positions = np.cumsum(rng.choice([0.3, 1.0, 1.1, 2.0], size=count))
    best, second = every_labelling(costs, positions)[:2]
    found = best_labelling(costs, positions)
    assert found.cost == pytest.approx(best[0])
    assert labelling_cost(found.labels, costs, positions) == pytest.approx(best[0])
    assert found.margin == pytest.approx(second[0] - best[0])


@pytest.mark.parametrize("seed", range(40))
def test_equals_exhaustive_search_where_leaving_a_label_out_costs(seed):
    rng = derive(seed, "absent")
    count, names = int(rng.integers(1, 6)), int(rng.integers(1, 5))
    costs = -np.log(rng.dirichlet(np.full(names + 1, 0.4), size=count) + 1e-3)
    positions = np.cumsum(rng.choice([0.3, 1.0, 1.1, 2.0], size=count))
    absent = rng.choice([0.0, 1.0, 4.0], size=names)
    best, second = every_labelling(costs, positions, absent)[:2]
    found = best_labelling(costs, positions, absent)
    assert found.cost == pytest.approx(best[0])
    assert labelling_cost(found.labels, costs, positions, absent) == pytest.approx(best[0])
    assert found.margin == pytest.approx(second[0] - best[0])


def test_a_doubtful_thing_counts_if_it_completes_the_row():
    costs = -np.log(np.array([[0.01, 0.98, 0.01], [0.8, 0.05, 0.15]]))
    assert best_labelling(costs).labels == (1, 0)
    assert best_labelling(costs, absent=np.array([4.0, 4.0])).labels == (1, 2)


def test_weak_evidence_in_the_middle_is_settled_by_the_neighbours():
    sure, torn = [0.01, 0.97, 0.01, 0.01], [0.01, 0.5, 0.48, 0.01]
    costs = -np.log(np.array([sure, torn, [0.01, 0.01, 0.01, 0.97]]))
    assert best_labelling(costs).labels == (1, 2, 3)


def test_a_gap_leaves_a_label_out():
    flat = np.full((3, 6), 1.0) + 5 * (np.arange(6) == 0)
    labels = best_labelling(flat, np.array([0.0, 1.0, 3.0])).labels
    assert labels[2] - labels[1] == 2
    assert labels[1] - labels[0] == 1


def test_one_too_many_is_none_of_them():
    costs = -np.log(np.array([[0.3, 0.6, 0.1], [0.1, 0.8, 0.1], [0.05, 0.05, 0.9]]))
    assert best_labelling(costs).labels == (0, 1, 2)


def test_nothing_to_label():
    found = best_labelling(np.zeros((0, 4)))
    assert found.labels == () and found.cost == 0
    assert best_labelling(-np.log(np.array([[0.9, 0.1]]))).labels == (0,)


def test_thirty_labels_of_forty_things():
    rng = derive(1, "many")
    truth = np.sort(rng.choice(np.arange(1, 31), size=28, replace=False))
    costs = np.full((28, 31), 5.0)
    costs[np.arange(28), truth] = 1.0
    places = (truth - truth[0]).astype(float)
    assert best_labelling(costs, places).labels == tuple(truth.tolist())


@pytest.mark.parametrize("seed", range(10))
def test_the_runner_up_is_what_forbidding_each_label_given_leads_to(seed):
    rng = derive(seed, "runner-up")
    count, names = int(rng.integers(8, 25)), int(rng.integers(2, 8))
    costs = -np.log(rng.dirichlet(np.full(names + 1, 0.4), size=count) + 1e-3)
    positions = np.cumsum(rng.choice([0.3, 1.0, 1.1, 2.0], size=count))
    absent = rng.choice([0.0, 1.0, 4.0], size=names)
    found = best_labelling(costs, positions, absent)
    others = []
    for item, label in enumerate(found.labels):
        other = costs.copy()
        other[item, label] = np.inf if label else 1e6  # a thing that must get a label: being none is hopeless
        others.append(best_labelling(other, positions, absent).cost)
    assert labelling_cost(found.labels, costs, positions, absent) == pytest.approx(found.cost)
    assert found.margin == pytest.approx(min(others) - found.cost)


def test_of_a_crowd_only_those_that_gain_by_a_label_take_part():
    rng = derive(0, "crowd")
    names = 3
    crowd = np.concatenate([rng.uniform(0.0, 0.1, (500, 1)), rng.uniform(6.0, 9.0, (500, names))], axis=1)
    things = np.array([[6.0, 0.1, 6.0, 6.0], [6.0, 6.0, 0.1, 6.0], [6.0, 6.0, 6.0, 0.1]])
    where = np.array([100, 250, 400])
    costs = np.insert(crowd, where, things, axis=0)
    labels = np.array(best_labelling(costs, np.arange(503) / 150).labels)
    assert labels[where + np.arange(3)].tolist() == [1, 2, 3] and np.count_nonzero(labels) == 3
    assert best_labelling(costs).cost == pytest.approx(labelling_cost(best_labelling(costs).labels, costs))


def test_as_many_things_as_there_may_be_pieces_all_take_part():
    assert MOST_A_LABEL >= PIECES / CRUMB
    costs = np.tile([3.0, 0.1], (MOST_A_LABEL + 1, 1))
    assert sum(best_labelling(costs[1:], np.zeros(MOST_A_LABEL) + np.arange(MOST_A_LABEL) / 100).labels) == MOST_A_LABEL
    assert sum(best_labelling(costs, np.arange(MOST_A_LABEL + 1) / 100).labels) == MOST_A_LABEL
