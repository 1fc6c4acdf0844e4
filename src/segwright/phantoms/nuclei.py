"""Fluorescent cell nuclei in clumps: many alike objects in a plane, most of which touch others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace, Structure
from segwright.core.seed import derive
from segwright.phantoms.phantom import Phantom
from segwright.phantoms.texture import Field, cloud, smooth_noise

SIZE = (128, 128)
#: Nuclei that are tried to be placed, and pixels that one must show to be kept.
TRIED, FEWEST = (26, 44), 40
SPACE = LabelSpace(structures=(Structure(name="nuclei"),), kind="instances")


def nuclei(seed: int, patient: int, view: int = 0) -> Phantom:
    """Ellipses in clumps, numbered one by one, under a microscope with uneven light.

    Args:
        seed: Of the dataset.
        patient: The slide: where nuclei lie, how large they are.
        view: Exposure and noise.

    Example:
        >>> case = nuclei(seed=1, patient=0)
        >>> case.image.shape, int(case.label.max()) > 10
        ((1, 1, 128, 128), True)
    """
    anatomy, exposure = derive(seed, "nuclei", patient), derive(seed, "nuclei exposure", patient, view)
    ids = _numbered(_placed(anatomy))
    bright = _glow(anatomy, ids)
    light = 1 + 0.25 * smooth_noise(exposure, SIZE, 50)
    signal = 14 + 20 * smooth_noise(exposure, SIZE, 25).clip(0) + exposure.uniform(90, 150) * bright * light
    counts = exposure.poisson(ndimage.gaussian_filter(signal, exposure.uniform(0.6, 1.0)).clip(1))
    image = (counts + exposure.normal(0, 3, SIZE)).clip(0, 255).astype(np.uint8)
    geometry = Geometry.from_spacing((1, *SIZE))
    return Phantom(image[None, None], ids[None, None].astype(np.int32), geometry, SPACE)


def _placed(rng: np.random.Generator) -> NDArray[np.int64]:
    """Ids of ellipses around a few centres of clumps; one over another keeps the seam in the middle."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
    clumps = rng.uniform(10, SIZE[0] - 10, (6, 2))
    nearest = np.full(SIZE, np.inf)
    ids = np.zeros(SIZE, np.int64)
    radius = rng.uniform(7, 9)
    for number in range(1, int(rng.integers(*TRIED)) + 1):
        y, x = clumps[rng.integers(len(clumps))] + rng.normal(0, 17, 2)
        long, short, turn = radius * rng.uniform(0.9, 1.35), radius * rng.uniform(0.7, 1.0), rng.uniform(0, np.pi)
        dy, dx = rows - y, columns - x
        along, across = dy * np.sin(turn) + dx * np.cos(turn), dy * np.cos(turn) - dx * np.sin(turn)
        far = np.hypot(along / long, across / short)
        if ids[far < 0.55].any():
            continue  # it would lie on top of another one
        inside = (far < 1) & (far < nearest)
        ids[inside], nearest[inside] = number, far[inside]
    return ids


def _numbered(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """The largest piece of each nucleus that shows enough of itself, numbered from 1."""
    out = np.zeros_like(ids)
    for number in np.unique(ids[ids > 0]):
        pieces, count = ndimage.label(ids == number)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
        if sizes.max() >= FEWEST:
            out[pieces == int(sizes.argmax()) + 1] = out.max() + 1
    return out


def _glow(rng: np.random.Generator, ids: NDArray[np.int64]) -> Field:
    """Brightness of each nucleus, with grain, dimmer towards its edge."""
    strength = np.concatenate([[0.0], rng.uniform(0.55, 1.1, int(ids.max()))])
    depth = np.zeros(SIZE)
    for number in range(1, int(ids.max()) + 1):
        mask = ids == number
        depth = np.where(mask, ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1], depth)
    dome = np.sqrt(np.minimum(depth / 4, 1))
    glow: Field = strength[ids] * dome * (1 + 0.12 * cloud(rng, SIZE, 4))
    return glow
