"""Grey-value steps against formulas by hand and against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from segwright.augment.intensity import Blur, Brightness, Contrast, Gamma, LowResolution, Noise
from segwright.augment.protocol import Draw, around_one


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(2, 3, size=shape).astype(np.float32)


def run(part, image: np.ndarray, **values: np.ndarray) -> np.ndarray:
    label = torch.zeros(len(image), 1, *image.shape[2:], dtype=torch.int8)
    return part.apply(torch.from_numpy(image), label, Draw(np.ones(len(image), bool), values))[0].numpy()


FACTORS = np.array([[0.6, 1.3], [1.0, 1.8]])


def test_brightness_by_hand():
    image = images(2, 2, 3, 4, 5)
    shift = np.array([[0.0, 1.0], [-2.0, 0.5]])
    expected = image * FACTORS[..., None, None, None] + shift[..., None, None, None]
    np.testing.assert_allclose(run(Brightness(), image, factor=FACTORS, shift=shift), expected, rtol=1e-5, atol=1e-5)


def test_contrast_by_hand():
    image = images(2, 2, 3, 4, 5)
    got = run(Contrast(), image, factor=FACTORS)
    for b, c in np.ndindex(2, 2):
        x = image[b, c].astype(float)
        expected = np.clip(x.mean() + FACTORS[b, c] * (x - x.mean()), x.min(), x.max())
        np.testing.assert_allclose(got[b, c], expected, atol=1e-4)


@pytest.mark.parametrize("inverted", [False, True])
def test_gamma_by_hand(inverted):
    image = images(2, 2, 3, 4, 5)
    got = run(Gamma(inverted=inverted), image, power=FACTORS)
    for b, c in np.ndindex(2, 2):
        x = image[b, c].astype(float)
        sign = -1 if inverted else 1
        unit = (sign * x - (sign * x).min()) / np.ptp(x)
        bent = sign * unit ** FACTORS[b, c]
        expected = (bent - bent.mean()) / bent.std() * x.std() + x.mean()
        np.testing.assert_allclose(got[b, c], expected, atol=2e-4)
        assert got[b, c].mean() == pytest.approx(x.mean(), abs=1e-4)
        assert got[b, c].std() == pytest.approx(x.std(), rel=1e-4)
        assert np.array_equal(np.argsort(got[b, c].ravel())[[0, -1]], np.argsort(x.ravel())[[0, -1]])


def test_noise_has_the_drawn_deviation_and_is_independent():
    image = np.zeros((2, 2, 8, 32, 32), np.float32)
    got = run(Noise(), image, deviation=np.array([[0.1, 0.5], [1.0, 0.0]]), seed=np.array([1, 2]))
    np.testing.assert_allclose(got.std(axis=(2, 3, 4)), [[0.1, 0.5], [1.0, 0.0]], rtol=0.03)
    assert np.abs(got.mean(axis=(2, 3, 4))).max() < 0.05
    assert abs(np.corrcoef(got[0, 0].ravel(), got[0, 1].ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("in_plane", [False, True])
def test_blur_equals_scipy(in_plane):
    image = images(2, 2, 7, 12, 10)
    sigma = np.array([[0.5, 1.0], [0.77, 1.5]])
    got = run(Blur(in_plane=in_plane), image, sigma=sigma)
    for b, c in np.ndindex(2, 2):
        each = (0 if in_plane else sigma[b, c], sigma[b, c], sigma[b, c])
        expected = ndimage.gaussian_filter(image[b, c].astype(float), each, mode="nearest", truncate=4)
        np.testing.assert_allclose(got[b, c], expected, atol=1e-4)


@pytest.mark.parametrize("in_plane", [False, True])
def test_low_resolution_keeps_the_declared_share(in_plane):
    image = images(1, 2, 8, 20, 12)
    got = run(LowResolution(in_plane=in_plane), image, factor=np.array([[0.5, 0.75]]))
    for c, factor in enumerate((0.5, 0.75)):
        small = [8 if in_plane else round(8 * factor), round(20 * factor), round(12 * factor)]
        index = [
            np.minimum(np.floor((np.arange(m) + 0.5) * n / m), n - 1).astype(int)
            for m, n in zip(small, (8, 20, 12), strict=True)
        ]
        kept = image[0, c][np.ix_(*index)]
        place = [(np.arange(n) + 0.5) * m / n - 0.5 for m, n in zip(small, (8, 20, 12), strict=True)]
        expected = ndimage.map_coordinates(kept, np.meshgrid(*place, indexing="ij"), order=1, mode="nearest")
        np.testing.assert_allclose(got[0, c], expected, atol=1e-4)


def test_low_resolution_leaves_smooth_images_in_place():
    """No shift by half a voxel: a blurred ball keeps its centroid."""
    grid = np.stack(np.meshgrid(*(np.arange(24) - 11.2,) * 3, indexing="ij"))
    ball = np.exp(-(grid**2).sum(0) / 50).astype(np.float32)[None, None]
    got = run(LowResolution(), ball, factor=np.array([[0.5]]))[0, 0]
    where = [(got * g).sum() / got.sum() for g in grid]
    before = [(ball[0, 0] * g).sum() / ball.sum() for g in grid]
    # Nearest takes one of two voxels, so up to half a coarse step may remain.
    assert np.abs(np.subtract(where, before)).max() < 0.51


def test_factors_are_drawn_as_often_below_one_as_above():
    drawn = around_one(np.random.default_rng(0), (0.7, 1.5), (4000,))
    assert abs((drawn < 1).mean() - 0.5) < 4 * np.sqrt(0.25 / 4000)
    assert 0.7 <= drawn.min() < 0.71 and 1.49 < drawn.max() <= 1.5
    for bounds in ((0.4, 0.6), (1.2, 1.6), (1.0, 1.0), (0.5, 1.0)):
        drawn = around_one(np.random.default_rng(0), bounds, (50,))
        assert bounds[0] <= drawn.min() and drawn.max() <= bounds[1]


def test_blur_is_what_a_convolution_gives():
    image = torch.from_numpy(images(1, 1, 1, 9, 30))
    kernel = torch.exp(-0.5 * torch.arange(-4, 5.0) ** 2)
    kernel = (kernel / kernel.sum())[None, None, None]
    rows = F.conv2d(F.pad(image[0], (4, 4, 0, 0), mode="replicate"), kernel)
    both = F.conv2d(F.pad(rows, (0, 0, 4, 4), mode="replicate"), kernel.transpose(2, 3))
    np.testing.assert_allclose(run(Blur(), image.numpy(), sigma=np.array([[1.0]]))[0], both.numpy(), atol=1e-4)
