"""Small abdominal MR volumes: one organ with vessels, and in most cases a few small tumours inside it.

Tissue by tissue a signal is painted, then the scanner's habits are added: partial volume, a bias field and
Rician noise (Gudbjartsson and Patz, Magn Reson Med 1995).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from segwright.core.labels import LabelSpace, Structure
from segwright.core.seed import derive
from segwright.phantoms.phantom import Phantom
from segwright.phantoms.scanner import axial_grid, magnitude
from segwright.phantoms.texture import Field, cloud, ellipsoid, smooth_noise, soft, warp

SHAPE = (24, 64, 64)
SPACING = (3.0, 1.5, 1.5)
#: Share of patients without any tumour.
HEALTHY = 0.15

SPACE = LabelSpace(structures=(Structure(name="organ", values=(1,)), Structure(name="tumour", values=(2,))))

Grid = list[Field]


@dataclass(frozen=True, slots=True)
class Lesion:
    """One tumour: centre and half-axes in mm `(z, y, x)`, and its signal relative to the organ's."""

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    contrast: float


def tumour_mri(seed: int, patient: int, view: int = 0) -> Phantom:
    """Draw one volume.

    Args:
        seed: Of the whole series.
        patient: Fixes the anatomy and the tumours.
        view: Fixes table position, gain, bias field and noise; a second view is a repeated scan.

    Returns:
        A phantom of 24 x 64 x 64 voxels of 3.0 x 1.5 x 1.5 mm, int16, with structures `organ` and `tumour`;
        tumours fill less than 1 % of the voxels, and about one patient in seven has none.
    """
    rng = derive(seed, "tumour-mri", patient)
    scan = derive(seed, "tumour-mri", patient, "view", view)
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(SHAPE, SPACING, strict=True)]
    grid = [axis - offset for axis, offset in zip(np.meshgrid(*axes, indexing="ij"), scan.normal(0, 2, 3), strict=True)]
    bent = warp(rng, grid, amount=2.4, sigma=(4, 10, 10))
    signal = _trunk(rng, grid, bent)
    organ = _organ(rng, bent)
    vessels = _vessels(rng, grid) * soft(organ - 3, 4)
    level = 0.53 + 0.03 * cloud(rng, SHAPE, 3.0) + 0.28 * rng.uniform(0.5, 1.2) * vessels
    signal -= 0.12 * np.exp(-(((organ + 2.0) / 1.5) ** 2))
    signal += (level - signal) * soft(organ, 2.0)
    label = (organ > 0).astype(np.int16)
    for lesion in _lesions(rng, organ, grid):
        distance = ellipsoid(bent, lesion.centre, lesion.radii)
        core = 1 - 0.2 * soft(distance - 0.45 * min(lesion.radii), 3)
        signal += lesion.contrast * core * soft(distance, 2.0) * soft(organ, 2.0)
        label[(distance > 0) & (organ > 0)] = 2
    return Phantom(_scan(scan, signal)[None], label[None], axial_grid(scan, SHAPE, SPACING), SPACE)


def _trunk(rng: np.random.Generator, grid: Grid, bent: Grid) -> Field:
    """Signal of everything but the organ: fat, muscle, spine, aorta, stomach, spleen and bowel."""
    skin = ellipsoid(bent[1:], (0.0, 0.0), (41 + rng.normal(0, 1.5), 46 + rng.normal(0, 1.2)))
    signal = 0.80 * soft(skin, 2.0)
    wall = skin - rng.uniform(3.0, 6.0)
    texture = cloud(rng, SHAPE, 3.0)
    signal += (0.27 + 0.02 * texture - signal) * soft(wall, 2.0)
    signal += (0.40 + 0.08 * texture - signal) * soft(wall - 5, 3.0)
    _paint(signal, grid, centre=(0, 25, 0), radii=(60, 9, 10), level=0.38, period=10.0)
    _paint(signal, grid, centre=(0, 34, 0), radii=(60, 3.2, 3.4), level=0.62)
    _paint(signal, grid, centre=(0, 12, 4), radii=(70, 4, 4), level=rng.uniform(0.05, 0.95))
    _paint(signal, grid, centre=(0, 11, -7), radii=(70, 4, 5), level=rng.uniform(0.3, 0.8))
    _paint(signal, bent, centre=(-4, -10, 21), radii=(26, 13, 12), level=rng.uniform(0.15, 0.9))
    _paint(signal, bent, centre=(2, 17, 31), radii=(22, 10, 6), level=0.62)
    for side in (-1.0, 1.0):
        _paint(signal, bent, centre=(-16, 20, 22 * side), radii=(24, 7, 6.5), level=0.66)
        _paint(signal, grid, centre=(0, 33, 13 * side), radii=(70, 5, 7), level=0.24)
    return signal


def _paint(
    signal: Field,
    grid: Grid,
    *,
    centre: tuple[float, ...],
    radii: tuple[float, ...],
    level: float,
    period: float = 0.0,
) -> None:
    """Paint an ellipsoid over `signal`; with a `period` in mm, dark discs interrupt it along z."""
    distance = ellipsoid(grid, centre, radii)
    value = level - 0.16 * (np.cos(2 * np.pi * grid[0] / period) > 0.75) if period else level
    signal += (value - signal) * soft(distance, 2.0)


def _organ(rng: np.random.Generator, bent: Grid) -> Field:
    """Distance in mm to the organ's surface, positive inside: a large and a small lobe, dented below."""
    size = rng.normal(1.0, 0.06)
    large = ellipsoid(bent, (2.0, -2.0 + rng.normal(0, 1.5), -19.0), (29 * size, 24 * size, 18 * size))
    small = ellipsoid(bent, (9.0, -16.0, 1.0 + rng.normal(0, 2)), (17 * size, 10 * size, 17 * size))
    dent = ellipsoid(bent, (-20.0, 4.0, -8.0), (15, 9, 8))
    blend = 4.0
    joined = blend * np.logaddexp(large / blend, small / blend)
    organ: Field = np.minimum(joined - 1.5, -dent)
    return organ


def _vessels(rng: np.random.Generator, grid: Grid) -> Field:
    """A tree of branches from the hilum, each generation thinner; 1 in a vessel, 0 outside."""
    points, widths = [], []
    stems = [(np.array([2.0, 0.0, -9.0]), np.array([0.25, -0.25, -1.0]), 2.6)]
    for generation in range(4):
        grown = []
        for start, direction, width in stems:
            path = start + np.linspace(0, 1, 12)[:, None] * direction * (15 - 2.5 * generation)
            path += np.cumsum(rng.normal(0, 0.35, path.shape), axis=0)
            points.append(path)
            widths.append(np.full(len(path), width))
            for _ in range(2):
                turned = direction + rng.normal(0, 0.65, 3)
                grown.append((path[-1], turned / np.linalg.norm(turned), width * 0.74))
        stems = grown
    tree = KDTree(np.concatenate(points))
    distance, nearest = tree.query(np.stack([axis.ravel() for axis in grid], axis=1), distance_upper_bound=8.0)
    radius = np.append(np.concatenate(widths), 0.0)[nearest]
    return soft(np.where(np.isfinite(distance), radius - distance, -8.0).reshape(SHAPE), 2.0)


def _lesions(rng: np.random.Generator, organ: Field, grid: Grid) -> list[Lesion]:
    """None, or one to three tumours whose centres lie well inside the organ."""
    if rng.random() < HEALTHY:
        return []
    inside = np.argwhere(organ > 5.0)
    lesions = []
    count = int(rng.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))
    for _ in range(count):
        spot = tuple(inside[int(rng.integers(len(inside)))])
        z, y, x = (float(axis[spot]) for axis in grid)
        radius = rng.uniform(7.0, 10.0) / count ** (1 / 3)
        a, b, c = (float(r) for r in radius * rng.uniform(0.9, 1.12, 3))
        contrast = float(rng.choice([-1, 1], p=[0.8, 0.2]) * rng.uniform(0.27, 0.40))
        lesions.append(Lesion((z, y, x), (a, b, c), contrast))
    return lesions


def _scan(rng: np.random.Generator, signal: Field) -> NDArray[np.int16]:
    """What the scanner stores of the true signal: blurred, shaded, noisy, in its own arbitrary units."""
    bias = np.exp(rng.uniform(0.08, 0.22) * smooth_noise(rng, SHAPE, (12, 22, 22)))
    sigma = rng.uniform(0.025, 0.05)
    noise = rng.normal(0, sigma, (2, *SHAPE))
    return magnitude(signal, shading=bias, noise=noise, gain=rng.uniform(500, 1500))
