"""Sweeps over runs against counting in decoded masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segwright.core.runs import Runs
from segwright.ops.runs import intersection, overlap, union, vote, vote_rows

stacks = hnp.arrays(np.bool_, st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 9)))


@given(stacks, st.one_of(st.integers(0, 5), st.floats(0, 5)))
@settings(max_examples=300, deadline=None)
def test_votes_are_those_of_decoded_masks(stack, more_than):
    found = vote([Runs.of_mask(mask) for mask in stack], more_than)
    assert found == Runs.of_mask(stack.sum(axis=0) > more_than)


@given(stacks)
@settings(max_examples=100, deadline=None)
def test_sets_are_those_of_decoded_masks(stack):
    runs = [Runs.of_mask(mask) for mask in stack]
    assert union(*runs) == Runs.of_mask(stack.any(axis=0))
    assert intersection(*runs) == Runs.of_mask(stack.all(axis=0))
    assert overlap(runs[0], runs[-1]) == (stack[0] & stack[-1]).sum()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_many_rows_in_one_sweep(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 6))
    rows = np.sort(rng.integers(0, count, 9))
    masks = rng.random((9, 37)) < rng.random((9, 1))
    limits = rng.integers(0, 3, count).astype(float)
    found = vote_rows([Runs.of_mask(mask) for mask in masks], rows, limits)
    expected = [Runs.of_mask(masks[rows == row].sum(axis=0) > limits[row]) for row in range(count)]
    assert found == expected


def test_strictly_more_than():
    """Three models, T = 1: two votes are enough; T = 2: all three."""
    masks = [Runs.parse("1 3"), Runs.parse("2 3"), Runs.parse("3 3")]
    assert vote(masks, 1).text() == "2 3"
    assert vote(masks, 2).text() == "3 1"


def test_nothing_voted_is_nothing():
    assert vote([], 0) == vote([Runs(), Runs()], 0) == union() == intersection() == Runs()
    assert vote_rows([], np.empty(0, np.int64), np.array([1.0, 2.0])) == [Runs(), Runs()]


def test_runs_far_out_need_no_memory():
    """A scan of a thousand thousand squares: only edges are handled."""
    far = [Runs([10**11], [10**11]), Runs([15 * 10**10], [10**11])]
    assert vote(far, 1) == Runs([15 * 10**10], [5 * 10**10])


@pytest.mark.parametrize("unordered", ["5 2 1 2", "1 4 2 6"])
def test_votes_count_a_mask_once(unordered):
    assert vote([Runs.parse(unordered)], 1) == Runs()
