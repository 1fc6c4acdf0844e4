"""Vertebral bodies: seventeen separate pieces, wider than tall, on a curve the seed decides."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import ndimage

from segwright.core.seed import derive
from segwright.phantoms.spine import LEVELS, Vertebra, _local, body_distance, spine_of, spine_xray


def test_seventeen_bodies_come_apart():
    counts = [ndimage.label(spine_xray(3, patient).label[0, 0])[1] for patient in range(8)]
    assert max(counts) <= LEVELS and np.mean(counts) > LEVELS - 2


def test_two_views_show_one_spine():
    first, second = (spine_of(derive(1, "spine-xray", 4), shift=shift) for shift in ((0.0, 0.0), (6.0, -3.0)))
    for a, b in zip(first, second, strict=True):
        assert np.isclose(b.y - a.y, 6.0) and np.isclose(b.x - a.x, -3.0) and np.isclose(a.tilt, b.tilt)


def test_bodies_follow_their_centre_line():
    chain = spine_of(derive(0, "spine-xray", 7))
    assert all(a.y + a.half_height < b.y for a, b in pairwise(chain))
    assert all(v.half_width > v.half_height for v in chain)


def test_distance_is_that_of_a_box_without_waist_and_wedge():
    y, x = np.mgrid[:41, :41].astype(float)
    vertebra = Vertebra(y=20, x=20, half_width=12, half_height=8, tilt=0, turn=0, waist=0, wedge=0)
    inside = body_distance(vertebra, _local(vertebra, y, x)) > 0
    expected = (abs(x - 20) < 12) & (abs(y - 20) < 8)
    assert not (inside & ~expected).any()
    assert (inside.sum() / expected.sum()) > 0.9


def test_bone_is_brighter_than_disc():
    case = spine_xray(3, 2)
    mask = case.label[0, 0] == 1
    gaps = ndimage.binary_closing(mask, iterations=4) & ~ndimage.binary_dilation(mask)
    assert case.image[0, 0][mask].mean() > case.image[0, 0][gaps].mean()
