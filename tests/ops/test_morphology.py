"""Growing, shrinking and filling agree with SciPy, and respect spacing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from segwright.ops.morphology import dilate, erode, find_holes


def ball(radius: float, lengths: tuple[float, ...]) -> np.ndarray:
    reach = [int(radius / length) for length in lengths]
    grid = np.meshgrid(
        *[np.arange(-r, r + 1) * length for r, length in zip(reach, lengths, strict=True)], indexing="ij"
    )
    return sum(axis**2 for axis in grid) <= radius**2 + 1e-9


@pytest.mark.parametrize("radius", [1.0, 2.0, 2.9])
@pytest.mark.parametrize("lengths", [(1.0, 1.0, 1.0), (2.5, 0.7, 1.0)])
@pytest.mark.parametrize("shape", [(12, 14, 15), (1, 30, 20)])
def test_balls_are_scipys(radius: float, lengths: tuple[float, ...], shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    mask = ndimage.gaussian_filter(rng.random(shape), (1 if shape[0] > 1 else 0, 1, 1)) > 0.5
    element = ball(radius, lengths)
    if shape[0] == 1:
        element = element[element.shape[0] // 2][None]
    assert np.array_equal(dilate(mask, radius, lengths=lengths), ndimage.binary_dilation(mask, element))
    eroded = ndimage.binary_erosion(mask, element, border_value=1)
    assert np.array_equal(erode(mask, radius, lengths=lengths), eroded)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", [(7, 12, 12), (1, 25, 25)])
def test_holes_are_scipys(seed: int, shape: tuple[int, ...]) -> None:
    mask = np.random.default_rng(seed).random(shape) < 0.7
    expected = ndimage.binary_fill_holes(mask.squeeze()).reshape(shape)
    assert np.array_equal(mask | find_holes(mask), expected)
    assert not find_holes(expected).any()


@pytest.mark.parametrize("seed", range(3))
def test_slicewise_holes_are_scipys_slice_by_slice(seed: int) -> None:
    mask = np.random.default_rng(seed).random((5, 14, 14)) < 0.6
    expected = np.stack([ndimage.binary_fill_holes(plane) for plane in mask])
    assert np.array_equal(mask | find_holes(mask, slicewise=True), expected)


def test_one_ring_in_a_stack_is_a_tunnel_not_a_hole() -> None:
    mask = np.zeros((5, 5, 5), bool)
    mask[2, 1:4, 1:4] = True
    mask[2, 2, 2] = False
    assert not find_holes(mask).any()
    assert find_holes(mask, slicewise=True).sum() == 1


def test_empty_and_full_masks() -> None:
    none, full = np.zeros((3, 4, 4), bool), np.ones((3, 4, 4), bool)
    for mask in (none, full):
        assert np.array_equal(dilate(mask, 2), mask)
        assert np.array_equal(erode(mask, 2), mask)
        assert not find_holes(mask).any()
