"""Outlines to pixels and back: the stated rule against scikit-image, and tracing that loses nothing."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import polygon as sk_polygon

from segwright.io.polygon import crosses_itself, fill, fill_box, trace


def masks(count: int):
    rng = np.random.default_rng(7)
    for _ in range(count):
        shape = (int(rng.integers(1, 30)), int(rng.integers(1, 30)))
        yield rng.random(shape) < rng.choice([0.1, 0.3, 0.5, 0.7, 0.9, 1.0])


def test_fill_sets_pixels_whose_centres_lie_inside():
    """Against point-in-polygon of scikit-image at pixel centres, for any corners, in and out of the image."""
    rng = np.random.default_rng(3)
    for _ in range(200):
        shape = (int(rng.integers(1, 40)), int(rng.integers(1, 40)))
        ring = rng.uniform(-6, 46, (int(rng.integers(3, 12)), 2))
        expected = np.zeros(shape, bool)
        expected[sk_polygon(ring[:, 1] - 0.5, ring[:, 0] - 0.5, shape)] = True
        np.testing.assert_array_equal(fill([ring], shape), expected)


def test_outlines_that_share_an_edge_share_no_pixel():
    rng = np.random.default_rng(5)
    for _ in range(50):
        a, b, c, d = np.round(rng.uniform(0, 20, (4, 2)) * 2) / 2  # many corners on pixel centres
        whole = fill([[a, b, c]], (20, 20)).astype(int) + fill([[a, c, d]], (20, 20))
        if not crosses_itself([a, b, c, d]) and np.sign(_turn(a, b, c)) == np.sign(_turn(a, c, d)):
            np.testing.assert_array_equal(whole, fill([[a, b, c, d]], (20, 20)))


def _turn(a, b, c):
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def test_rings_together_leave_holes():
    outer, inner = [(0, 0), (6, 0), (6, 6), (0, 6)], [(2, 2), (4, 2), (4, 4), (2, 4)]
    filled = fill([outer, inner], (6, 6))
    assert filled.sum() == 32
    assert not filled[2:4, 2:4].any()


def test_direction_and_start_of_a_ring_do_not_matter():
    ring = np.random.default_rng(1).uniform(0, 20, (9, 2))
    np.testing.assert_array_equal(fill([ring], (20, 20)), fill([ring[::-1]], (20, 20)))
    np.testing.assert_array_equal(fill([ring], (20, 20)), fill([np.roll(ring, 4, axis=0)], (20, 20)))


@pytest.mark.parametrize(
    "ring", [[], [(1, 1)], [(1, 1), (5, 5)], [(1, 1), (9, 1), (5, 1)], [(-9, -9), (-3, -9), (-3, -3)]]
)
def test_what_encloses_nothing_sets_nothing(ring):
    assert not fill([ring], (8, 8)).any()
    assert not fill_box([ring], (8, 8))[0].any()


def test_traced_outlines_read_back_exactly():
    """Any mask: holes in holes, pixels that touch at corners, borders, single pixels; outlines never share pixels."""
    for mask in masks(200):
        united = np.zeros(mask.shape, int)
        for outline in trace(mask):
            united += fill([outline.points], mask.shape)
            assert not crosses_itself(outline.points)
        np.testing.assert_array_equal(united, mask.astype(int))


def test_corners_lie_on_pixel_corners_and_turn():
    (outline,) = trace([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0, 0]])
    assert outline.points.tolist() == [[1, 1], [3, 1], [3, 2], [2, 2], [2, 3], [1, 3]]
    assert not outline.bridged


def test_a_hole_is_bridged_by_a_level_cut():
    ring = np.ones((5, 5), bool)
    ring[2, 2] = False
    (outline,) = trace(ring)
    assert outline.bridged
    np.testing.assert_array_equal(fill([outline.points], ring.shape), ring)


def test_nothing_has_no_outline():
    assert trace(np.zeros((3, 3))) == []


def test_crossings():
    assert crosses_itself([(0, 0), (4, 4), (4, 0), (0, 4)])
    assert not crosses_itself([(0, 0), (4, 0), (4, 4), (0, 4), (0, 0)])  # closed twice
    assert not crosses_itself([(0, 0), (4, 0), (4, 4), (2, 0), (0, 4)])  # touches its own side
    star = [(np.cos(a), np.sin(a)) for a in np.arange(5) * 4 * np.pi / 5]
    assert crosses_itself(star)
    circle = [(np.cos(a), np.sin(a)) for a in np.linspace(0, 2 * np.pi, 1000, endpoint=False)]
    assert not crosses_itself(circle)
    assert crosses_itself([*circle, (5.0, 0.1), (5.0, -0.1), (-5.0, -0.1)])
