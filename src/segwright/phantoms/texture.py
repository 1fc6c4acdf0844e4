"""Smooth random fields, soft edges and warped coordinates: what makes a drawing look grown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float64]


def smooth_noise(rng: np.random.Generator, shape: Sequence[int], sigma: float | Sequence[float]) -> Field:
    """Gaussian noise blurred by `sigma` voxels, scaled to mean 0 and standard deviation 1.

    Example:
        >>> field = smooth_noise(np.random.default_rng(0), (32, 32), 4.0)
        >>> round(float(field.std()), 6)
        1.0
    """
    field = ndimage.gaussian_filter(rng.standard_normal(tuple(shape)), sigma, mode="reflect")
    scaled: Field = (field - field.mean()) / (field.std() + 1e-12)
    return scaled


def cloud(rng: np.random.Generator, shape: Sequence[int], coarse: float, octaves: int = 3) -> Field:
    """Noise summed over `octaves` scales, each half as wide and half as strong: the look of tissue."""
    return np.sum([smooth_noise(rng, shape, coarse / 2**k) / 2**k for k in range(octaves)], axis=0)


def soft(distance: Field, width: float = 1.0) -> Field:
    """0 outside, 1 inside, a smooth ramp of `width` around distance 0; distances are positive inside.

    Example:
        >>> soft(np.array([-2.0, 0.0, 2.0])).tolist()
        [0.0, 0.5, 1.0]
    """
    t = np.clip(distance / width + 0.5, 0.0, 1.0)
    ramp: Field = t * t * (3.0 - 2.0 * t)
    return ramp


def ellipsoid(grid: Sequence[Field], centre: Sequence[float], radii: Sequence[float] | Field) -> Field:
    """Approximate distance to the surface of an ellipsoid, positive inside, in the units of `grid`.

    Args:
        grid: One coordinate array an axis.
        centre: Centre on each axis.
        radii: Half-axes.
    """
    scaled = [(axis - c) / r for axis, c, r in zip(grid, centre, radii, strict=True)]
    radius = np.sqrt(np.sum([s * s for s in scaled], axis=0))
    distance: Field = (1.0 - radius) * min(radii)
    return distance


def warp(rng: np.random.Generator, grid: Sequence[Field], *, amount: float, sigma: Sequence[float]) -> list[Field]:
    """Coordinates bent by smooth noise of standard deviation `amount`, so that shapes drawn on them are irregular."""
    return [axis + amount * smooth_noise(rng, axis.shape, sigma) for axis in grid]


def paint(signal: Field, distance: Field, level: NDArray[Any] | float, width: float = 2.0) -> None:
    """Replace `signal` by `level` where `distance` is positive, with a soft edge of `width`, in place."""
    signal += (level - signal) * soft(distance, width)
