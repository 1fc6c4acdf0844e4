"""Normalisation against plain NumPy formulas, and broken or constant channels."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.core.errors import GeometryError
from segwright.core.plan import Normalisation
from segwright.ops import intensity
from segwright.ops.intensity import normalise, repair

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3, 1e6])
def test_case_matches_the_formula_at_any_scale(scale: float) -> None:
    array = (RNG.gamma(2, 1, (1, 5, 20, 20)) * scale).astype(np.float32)
    low, high = np.percentile(array, (0.5, 99.5))
    clipped = np.clip(array.astype(np.float64), low, high)
    out, count = normalise(array, [Normalisation()])
    assert out.dtype == np.float32 and count == 0
    np.testing.assert_allclose(out, (clipped - clipped.mean()) / clipped.std(), atol=1e-4)


def test_nonzero_ignores_and_keeps_the_outside() -> None:
    array = np.zeros((1, 4, 30, 30), np.float32)
    array[0, :, 5:20, 5:20] = RNG.normal(300, 20, (4, 15, 15))
    out, _ = normalise(array, [Normalisation(nonzero=True)])
    inside = array != 0
    assert (out[~inside] == 0).all()
    assert abs(out[inside].mean()) < 1e-3 and abs(out[inside].std() - 1) < 1e-3


def test_fixed_and_none() -> None:
    array = np.array([-2000.0, 0, 100, 3000]).reshape(1, 1, 1, 4)
    rule = Normalisation(scheme="fixed", low=-100, high=200, mean=50, std=50)
    assert normalise(array, [rule])[0].ravel().tolist() == [-3, -1, 1, 3]
    assert normalise(array, [Normalisation(scheme="none")])[0].ravel().tolist() == [-2000, 0, 100, 3000]
    out, _ = normalise(array, [Normalisation(scheme="fixed", std=0)])
    assert np.isfinite(out).all()


@pytest.mark.parametrize("value", [0.0, 0.1, -1024.0, 7e8])
@pytest.mark.parametrize("nonzero", [False, True])
def test_constant_channel_becomes_zero(value: float, nonzero: bool) -> None:
    out, _ = normalise(np.full((1, 2, 3, 4), value), [Normalisation(nonzero=nonzero)])
    assert (out == 0).all()


def test_rare_content_survives_clipping() -> None:
    array = np.zeros((1, 1, 100, 100), np.float32)
    array[0, 0, 50, 50] = 1
    out, _ = normalise(array, [Normalisation()])
    assert out[0, 0, 50, 50] > 1 and np.isfinite(out).all()


def test_mask_under_nonzero_keeps_its_shape() -> None:
    array = np.zeros((1, 1, 4, 4), np.uint8)
    array[0, 0, 1:3, 1:3] = 255
    out, _ = normalise(array, [Normalisation(nonzero=True)])
    np.testing.assert_array_equal(out, (array > 0).astype(np.float32))


def test_repair_counts_and_bounds() -> None:
    array = np.array([[np.nan, np.inf, -np.inf, -3, 8]]).reshape(1, 1, 1, 5)
    fixed, count = repair(array)
    assert fixed.ravel().tolist() == [0, 8, -3, -3, 8] and count == 3
    assert np.isnan(array).any(), "the source is never changed"
    fixed, count = repair(np.full((1, 1, 1, 3), np.nan))
    assert fixed.ravel().tolist() == [0, 0, 0] and count == 3


def test_channels_are_independent_and_integers_pass() -> None:
    array = np.stack([np.arange(8), np.arange(8) * 1000]).reshape(2, 2, 2, 2).astype(np.uint16)
    out, _ = normalise(array, [Normalisation()] * 2)
    np.testing.assert_allclose(out[0], out[1], atol=1e-5)


def test_large_channels_use_a_faithful_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    array = RNG.normal(100, 10, (1, 20, 64, 64)).astype(np.float32)
    full, _ = normalise(array, [Normalisation()])
    monkeypatch.setattr(intensity, "SAMPLE_VOXELS", 8000)
    sampled, _ = normalise(array, [Normalisation()])
    np.testing.assert_allclose(sampled, full, atol=0.15)


def test_channel_count_is_checked() -> None:
    with pytest.raises(GeometryError, match="number of channels"):
        normalise(np.zeros((2, 1, 1, 1)), [Normalisation()])


def test_local_contrast_is_that_of_the_neighbourhood() -> None:
    plane = RNG.normal(0, 1, (1, 1, 96, 48)).astype(np.float32)
    out, _ = normalise(plane, [Normalisation(scheme="local", low_percentile=0, high_percentile=100)])
    whole = (plane[0, 0] - plane.mean()) / plane.std()
    size = 2 * round(96 * intensity.NEIGHBOURHOOD) + 1
    weights = np.convolve(np.ones(size), np.ones(size)) / size**2  # a box twice
    reach = size - 1
    y, x = 50, 20  # far from the border
    patch = whole[y - reach : y + reach + 1, x - reach : x + reach + 1]
    kernel = np.outer(weights, weights)
    mean = (kernel * patch).sum()
    deviation = np.sqrt((kernel * patch**2).sum() - mean**2)
    assert out[0, 0, y, x] == pytest.approx((whole[y, x] - mean) / (deviation + intensity.LEAST_CONTRAST), abs=1e-3)


def test_local_contrast_makes_dark_and_bright_regions_alike() -> None:
    texture = np.tile(np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((4, 4))), (4, 8))[None, None]
    film = 4 * texture
    film[..., 128:] = 20 + texture[..., 128:]
    out, _ = normalise(film, [Normalisation(scheme="local", low_percentile=0, high_percentile=100)])
    dark, bright = out[..., 20:100].std(), out[..., 156:236].std()
    assert bright > 0.5 * dark, "four times fainter at first"
    flat, _ = normalise(np.ones((1, 1, 16, 16)), [Normalisation(scheme="local")])
    assert not flat.any()
