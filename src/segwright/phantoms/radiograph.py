"""From attenuation to stored grey values: photons, scatter, detector blur, collimator and the display window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segwright.phantoms.texture import Field


def expose(attenuation: Field, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Take the radiograph.

    Photons follow Beer and Lambert's law and Poisson's statistics; a wide blur of them stands for scatter, and
    the detector adds Gaussian noise. Bone is bright, as on a viewing screen.

    Args:
        attenuation: Relative attenuation along each ray, `(y, x)`, about 0 to 1.6.
        rng: Draws exposure, noise, window and collimation.

    Returns:
        Grey values `(y, x)`, uint8.
    """
    dose = rng.uniform(4000, 16000)
    primary = dose * np.exp(-2.6 * attenuation)
    scatter = rng.uniform(0.15, 0.4) * ndimage.gaussian_filter(primary, 22)
    counts = rng.poisson(ndimage.gaussian_filter(primary, rng.uniform(0.45, 0.8)) + scatter)
    signal = counts + rng.normal(0, rng.uniform(1, 4), counts.shape)
    density = -np.log(np.maximum(signal, 1.0) / dose)
    return _collimate(_window(density, rng), rng)


def _window(density: Field, rng: np.random.Generator) -> Field:
    """Grey values 0 to 255 by a percentile window and a gamma that differ from film to film."""
    low, high = np.percentile(density, [rng.uniform(0.5, 6), rng.uniform(99.0, 99.95)])
    grey = np.clip((density - low) / (high - low), 0, 1) ** rng.uniform(0.75, 1.45)
    return 255 * (rng.uniform(0, 0.06) + rng.uniform(0.8, 0.94) * grey)


def _collimate(grey: Field, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Black edges where a shutter closed, on half of the films."""
    image = grey.round().astype(np.uint8)
    if rng.random() < 0.5:
        left, right = rng.integers(0, 14, 2)
        image[:, :left] = 4
        image[:, image.shape[1] - right :] = 4
    if rng.random() < 0.3:
        image[image.shape[0] - int(rng.integers(2, 12)) :] = 4
    return image
