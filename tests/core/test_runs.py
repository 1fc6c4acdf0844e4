"""Runs against masks decoded the plain way, on random masks and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segwright.core.errors import LabelError
from segwright.core.runs import Runs

masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=1, max_dims=3, max_side=12))
pairs = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 15)), max_size=12)


def painted(starts_lengths, pixels=60):
    """The plain way: paint each run into a mask."""
    mask = np.zeros(pixels, bool)
    for start, length in starts_lengths:
        mask[start : start + length] = True
    return mask


@given(masks)
@settings(max_examples=150, deadline=None)
def test_masks_come_back(mask):
    runs = Runs.of_mask(mask)
    assert np.array_equal(runs.mask(mask.shape), mask)
    assert Runs.parse(runs.text()) == runs == runs.normal()
    assert runs.area == mask.sum()
    assert not runs.disorder


@given(pairs)
@settings(max_examples=200, deadline=None)
def test_any_runs_become_normal(found):
    runs = Runs([a for a, _ in found], [b for _, b in found])
    mask = painted(found)
    assert runs.normal() == Runs.of_mask(mask)
    assert np.array_equal(runs.mask(mask.shape), mask)
    assert runs.area == mask.sum()


def test_the_published_example():
    """Row-major, counted from 1."""
    assert Runs.of_mask([[0, 1, 1, 0], [0, 0, 1, 1]]).text() == "2 2 7 2"


@pytest.mark.parametrize("text", ["", "  ", None, float("nan"), "nan", "NaN"])
def test_nothing_is_an_empty_mask(text):
    runs = Runs.parse(text)
    assert len(runs) == 0 and runs.area == 0 and runs.text() == ""
    assert not runs.mask((2, 3)).any()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1 2 3", "odd count"),
        ("0 2", "before the first pixel"),
        ("5 -2", "negative length"),
        ("1 two", "'two'"),
        ("1 2.5", "'2.5'"),
        ("1,2", "'1,2'"),
        ("[1 2]", "'[1'"),
    ],
)
def test_what_cannot_be_runs_is_told(text, told):
    with pytest.raises(LabelError, match="(?s)" + told.replace("[", r"\[")) as error:
        Runs.parse(text, where="a.csv, row 3")
    assert error.value.where == "a.csv, row 3"


def test_runs_beyond_the_image_are_refused():
    runs = Runs.parse("5 4")
    assert runs.mask((2, 4)).sum() == 4
    with pytest.raises(LabelError, match="beyond the image"):
        runs.mask((2, 3), where="row 1")


@pytest.mark.parametrize(
    ("text", "disorder"), [("5 2 1 2", "runs are not in order"), ("1 4 3 4", "runs overlap"), ("1 2 3 2", "")]
)
def test_disorder_is_told(text, disorder):
    assert Runs.parse(text).disorder == disorder
