"""Boxes are valid, hold what they promise, and come as often as declared."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segwright.core.errors import GeometryError, UnknownNameError
from segwright.sample import POLICIES
from segwright.sample.case import SampleCase

edge = st.integers(1, 24)
triple = st.tuples(edge, edge, edge)


def case_with(shape: tuple[int, int, int], *structures: int, spots: int = 3, seed: int = 0) -> SampleCase:
    """A case whose label marks the spots of each structure."""
    rng = np.random.default_rng(seed)
    label = np.zeros((1, *shape), np.int16)
    where = {}
    for structure in structures:
        places = rng.integers(0, shape, (spots, 3))
        label[0][tuple(places.T)] = structure + 1
        where[structure] = np.argwhere(label[0] == structure + 1)
    return SampleCase(rng.normal(size=(1, *shape)).astype(np.float32), label, where, id=f"case-{seed}")


@pytest.mark.parametrize("name", list(POLICIES))
@settings(max_examples=60, deadline=None)
@given(shape=triple, patch=triple, seed=st.integers(0, 10**6), share=st.floats(0, 1))
def test_boxes_have_the_patch_size_and_stay_inside_where_they_can(name, shape, patch, seed, share):
    policy = POLICIES.load(name)
    box = policy(case_with(shape, 0, 1), np.random.default_rng(seed), patch=patch, foreground=share)
    assert box.shape == patch
    for (before, after), n, p in zip(box.outside(shape), shape, patch, strict=True):
        if p <= n:
            assert before == after == 0
        else:
            assert before + after == p - n and 0 <= after - before <= 1


@pytest.mark.parametrize("name", ["foreground", "balanced"])
@settings(max_examples=60, deadline=None)
@given(shape=triple, patch=triple, seed=st.integers(0, 10**6))
def test_a_forced_patch_holds_a_structure(name, shape, patch, seed):
    case = case_with(shape, 0, spots=1, seed=seed)
    box = POLICIES.load(name)(case, np.random.default_rng(seed), patch=patch, foreground=1.0)
    assert (case.label[0][box.clip(shape).slices] == 1).any()


def test_foreground_share_is_met_within_binomial_bounds():
    shape, patch, share, draws = (1, 400, 400), (1, 8, 8), 0.4, 3000
    case = case_with(shape, 0, spots=1)
    policy, rng = POLICIES.load("foreground"), np.random.default_rng(3)
    boxes = [policy(case, rng, patch=patch, foreground=share) for _ in range(draws)]
    held = np.mean([(case.label[0][box.slices] == 1).any() for box in boxes])
    # A blind patch hits the one voxel in 64 of 154 449 positions, which is below the noise of the estimate.
    assert abs(held - share) < 4 * np.sqrt(share * (1 - share) / draws) + 0.001


def test_structures_are_drawn_evenly_however_many_spots_they_have():
    shape = (1, 300, 300)
    few, many = np.array([[0, 10, 10]]), np.argwhere(np.ones((1, 100, 100))) + np.array([0, 150, 150])
    label = np.zeros((1, *shape), np.int16)
    case = SampleCase(np.zeros((1, *shape), np.float32), label, {0: few, 4: many})
    policy, rng = POLICIES.load("foreground"), np.random.default_rng(0)
    starts = np.array([policy(case, rng, patch=(1, 9, 9), foreground=1.0).start for _ in range(2000)])
    assert abs((starts[:, 1] < 50).mean() - 0.5) < 4 * np.sqrt(0.25 / 2000)


def test_the_forced_spot_is_not_always_in_the_centre():
    case = SampleCase(np.zeros((1, 1, 99, 99)), np.zeros((1, 1, 99, 99), np.int16), {0: np.array([[0, 50, 50]])})
    policy, rng = POLICIES.load("foreground"), np.random.default_rng(0)
    starts = {policy(case, rng, patch=(1, 16, 16), foreground=1.0).start[1:] for _ in range(400)}
    assert {50 - y for y, _ in starts} == set(range(4, 12))


def test_uniform_reaches_every_position_evenly():
    case = case_with((1, 1, 12))
    policy, rng = POLICIES.load("uniform"), np.random.default_rng(1)
    starts = [policy(case, rng, patch=(1, 1, 4), foreground=1.0).start[2] for _ in range(4500)]
    counts = np.bincount(starts, minlength=9)
    assert len(counts) == 9 and np.abs(counts / 4500 - 1 / 9).max() < 4 * np.sqrt(8 / 81 / 4500)


def test_a_case_without_structures_is_cut_anywhere():
    case = case_with((4, 9, 9))
    box = POLICIES.load("foreground")(case, np.random.default_rng(0), patch=(2, 3, 3), foreground=1.0)
    assert box.shape == (2, 3, 3)


def test_balanced_visits_rare_structures_more_often_and_every_case_sometimes():
    cases = [case_with((2, 6, 6), 0, seed=i) for i in range(19)] + [case_with((2, 6, 6), 0, 1, seed=99)]
    policy, rng = POLICIES.load("balanced"), np.random.default_rng(0)
    passes = np.array([policy.order(cases, rng) for _ in range(400)])
    visits = np.bincount(passes.ravel(), minlength=20) / 400
    assert passes.shape[1] == 20
    # Half a visit by right of being a case, the rest by structures: 20 * 0.5 * (1/2 + 1/2/20).
    assert visits[19] == pytest.approx(0.5 + 5 + 0.25, abs=0.15)
    assert visits[:19].min() > 0.5
    assert POLICIES.load("balanced").order([case_with((1, 2, 2))] * 3, rng) in {
        (0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0),
    }  # fmt: skip


def test_unknown_policy_and_ill_fitting_cases_are_named():
    with pytest.raises(UnknownNameError, match="balanced"):
        POLICIES.load("balancd")
    with pytest.raises(GeometryError, match="grid"):
        SampleCase(np.zeros((1, 2, 3, 4)), np.zeros((1, 2, 3, 5)))
    with pytest.raises(GeometryError, match="Spots"):
        SampleCase(np.zeros((1, 2, 3, 4)), np.zeros((1, 2, 3, 4)), {0: np.zeros((5, 2))})
