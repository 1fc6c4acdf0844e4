"""Boxes: arithmetic by hand, and tiling covers a grid exactly once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segwright.core.box import Box, tile
from segwright.core.errors import GeometryError


@given(shape=st.tuples(*[st.integers(1, 7)] * 3), size=st.tuples(*[st.integers(1, 4)] * 3))
def test_tiles_cover_the_grid_once(shape: tuple[int, ...], size: tuple[int, ...]) -> None:
    seen = np.zeros(shape, int)
    for box in tile(shape, size):
        seen[box.slices] += 1
    assert (seen == 1).all()


def test_grow_clip_and_outside() -> None:
    box = Box((1, 1), (3, 4)).grow((2, 0))
    assert box == Box((-1, 1), (5, 4))
    assert box.clip((4, 4)) == Box((0, 1), (4, 4))
    assert box.outside((4, 4)) == ((1, 1), (0, 0))


def test_disjoint_boxes_meet_in_nothing() -> None:
    assert Box((0,), (2,)).intersect(Box((5,), (9,))).shape == (0,)


def test_a_box_cannot_end_before_it_starts() -> None:
    with pytest.raises(GeometryError):
        Box((2,), (1,))
