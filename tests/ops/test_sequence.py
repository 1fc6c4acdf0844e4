"""The dynamic programme finds what trying every labelling finds."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from segwright.core.seed import derive
from segwright.ops.sequence import best_labelling, labelling_cost


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
