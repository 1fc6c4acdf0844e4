"""What scanners do to a true signal: partial volume, shading, noise, arbitrary units, and a tilted grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segwright.core.geometry import Geometry
from segwright.phantoms.texture import Field, smooth_noise

#: Sign of the world axes `(x, y, z)` in the array axes `(z, y, x)` of an axial scan that is stored front to back and
#: from the patient's right to left.
AXIAL = np.array([[0.0, 0.0, -1.0], [0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])


def millimetres(shape: Sequence[int], spacing: Sequence[float]) -> list[Field]:
    """Coordinates in mm from the middle of a grid, one array `(z, y, x)` an axis.

    Example:
        >>> millimetres((1, 1, 3), (5.0, 2.0, 2.0))[2].tolist()
        [[[-2.0, 0.0, 2.0]]]
    """
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing, strict=True)]
    return list(np.meshgrid(*axes, indexing="ij"))


def bias_field(rng: np.random.Generator, shape: Sequence[int], strength: float) -> Field:
    """Slow shading of a coil, around 1; logarithms have `strength` as their standard deviation."""
    field: Field = np.exp(strength * smooth_noise(rng, shape, [0.5 * shape[0], *(n / 2.9 for n in shape[1:])]))
    return field


def magnitude(signal: Field, *, shading: Field, noise: Field, gain: float) -> NDArray[np.int16]:
    """A magnitude image: blurred, shaded, with noise after Rice's law (Gudbjartsson and Patz, MRM 1995).

    Args:
        signal: True signal `(z, y, x)`, about 0 to 1.
        shading: From `bias_field`.
        noise: Gaussian, `(2, z, y, x)`: of the real and of the imaginary channel.
        gain: Stored value of a signal of 1.
    """
    seen = ndimage.gaussian_filter(signal, (0.35, 0.45, 0.45)) * shading
    return np.round(np.hypot(seen + noise[0], noise[1]) * gain).astype(np.int16)


def axial_grid(rng: np.random.Generator, shape: Sequence[int], spacing: Sequence[float]) -> Geometry:
    """Rows run from front to back, columns from the patient's right to left, slices upwards, a little tilted."""
    tilt = rng.normal(0, 0.05)
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ AXIAL * np.asarray(spacing)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2) + rng.normal(0, 15, 3)
    return Geometry((shape[0], shape[1], shape[2]), affine)
