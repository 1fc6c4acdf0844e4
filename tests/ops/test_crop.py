"""Content boxes and padding, with the box that undoes each."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from segwright.core.box import Box
from segwright.ops.crop import content_box, read_box


@settings(max_examples=50, deadline=None)
@given(margins=st.tuples(*[st.integers(0, 4)] * 6), seed=st.integers(0, 99))
def test_finds_exactly_the_content(margins, seed) -> None:
    inner = np.random.default_rng(seed).uniform(1, 2, (2, 2, 3, 4))
    pads = [(margins[2 * a], margins[2 * a + 1]) for a in range(3)]
    box = content_box(np.pad(inner, [(0, 0), *pads]))
    assert box.shape == (2, 3, 4)
    assert box.start == tuple(before for before, _ in pads)


def test_border_of_another_constant_and_broken_voxels() -> None:
    array = np.full((1, 3, 6, 6), -1024.0, np.float32)
    array[0, 1, 2:4, 3] = 5
    array[0, 0, 0, 1] = np.nan
    assert content_box(array, empty=None) == Box((1, 2, 3), (2, 4, 4))
    assert content_box(array).shape == (3, 6, 6)


def test_one_channel_with_content_is_enough() -> None:
    array = np.zeros((2, 1, 4, 4))
    array[0, 0, 1, 1] = 1
    array[1, 0, 2, 3] = 1
    array[0, 0, 2, 3] = np.nan
    assert content_box(array) == Box((0, 1, 1), (1, 3, 4))


def test_nothing_inside_keeps_the_grid() -> None:
    assert content_box(np.zeros((1, 2, 3, 4))) == Box.whole((2, 3, 4))


def test_box_wholly_outside_repeats_the_edge_or_is_filled() -> None:
    array = np.arange(3.0).reshape(1, 1, 1, 3)
    box = Box((0, 0, 5), (1, 1, 7))
    assert read_box(array, box).ravel().tolist() == [2, 2]
    assert read_box(array, box, mode="constant", value=9).ravel().tolist() == [9, 9]
