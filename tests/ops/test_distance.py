"""Distances agree with SciPy's exact transform, on any spacing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from segwright.ops.distance import distance_to, step_lengths

GRIDS = [((9, 10, 11), (1.0, 1.0, 1.0)), ((7, 12, 9), (5.0, 0.7, 0.4)), ((1, 20, 15), (1.0, 0.3, 0.9))]


@pytest.mark.parametrize(("shape", "lengths"), GRIDS)
def test_distance_is_scipys(shape: tuple[int, ...], lengths: tuple[float, ...]) -> None:
    mask = np.random.default_rng(1).random(shape) < 0.03
    expected = ndimage.distance_transform_edt(~mask, sampling=lengths)
    np.testing.assert_allclose(distance_to(mask, lengths), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 7), (3, 1, 5), (1, 6, 1)])
def test_axes_of_one_voxel_are_no_obstacle(shape: tuple[int, ...]) -> None:
    mask = np.zeros(shape, bool)
    mask[0, 0, 0] = True
    expected = ndimage.distance_transform_edt(~mask, sampling=(2.0, 3.0, 0.5))
    np.testing.assert_allclose(distance_to(mask, (2.0, 3.0, 0.5)), expected, rtol=1e-6)


def test_nothing_is_infinitely_far() -> None:
    assert np.isinf(distance_to(np.zeros((2, 3, 4), bool), (1, 1, 1))).all()


def test_units_are_never_mixed() -> None:
    assert step_lengths((5, 5, 5), (2.0, 1.0, 1.0)) == ((2.0, 1.0, 1.0), True)
    assert step_lengths((5, 5, 5), (None, 0.2, 0.2)) == ((1.0, 1.0, 1.0), False)
    assert step_lengths((1, 5, 5), (None, 0.2, 0.3)) == ((1.0, 0.2, 0.3), True)
    assert step_lengths((1, 5, 5), None) == ((1.0, 1.0, 1.0), False)
