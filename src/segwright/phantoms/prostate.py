"""Axial T2 volumes of the pelvis: a prostate of two zones between bladder and rectum, brightest near the coil.

The look follows what readers of such scans describe: a bright crescent behind and beside a darker, nodular core,
bright urine, dark muscle, bright fat, and now and then a dark focus within the bright zone.
"""

from __future__ import annotations

import numpy as np

from segwright.core.labels import LabelSpace, Structure
from segwright.core.seed import derive
from segwright.phantoms.phantom import Phantom
from segwright.phantoms.scanner import axial_grid, bias_field, magnitude, millimetres
from segwright.phantoms.texture import Field, cloud, ellipsoid, paint, smooth_noise, soft, warp

SHAPE = (20, 80, 80)
SPACING = (3.3, 0.9, 0.9)

SPACE = LabelSpace(
    structures=(Structure(name="peripheral zone", values=(1,)), Structure(name="transition zone", values=(2,)))
)


def prostate_mri(seed: int, patient: int, view: int = 0) -> Phantom:
    """Draw one volume.

    Args:
        seed: Of the whole series.
        patient: Fixes the anatomy.
        view: Fixes position, coil, gain and noise; a second view is a repeated scan.

    Returns:
        A phantom of 20 x 80 x 80 voxels of 3.3 x 0.9 x 0.9 mm, int16, with structures `peripheral zone` and
        `transition zone`.
    """
    rng = derive(seed, "prostate-mri", patient)
    scan = derive(seed, "prostate-mri", patient, "view", view)
    grid = [axis - off for axis, off in zip(millimetres(SHAPE, SPACING), scan.normal(0, (3, 2, 2)), strict=True)]
    bent = warp(rng, grid, amount=1.3, sigma=(3, 12, 12))
    signal = _pelvis(rng, grid, bent)
    gland, core = _zones(rng, bent)
    _paint_gland(rng, signal, grid, (gland, core))
    label = np.zeros(SHAPE, dtype=np.int16)
    label[gland > 0] = 1
    label[(gland > 0) & (core > 0)] = 2
    near = np.exp(-(((grid[1] - 26) / 26) ** 2)) * scan.uniform(0.0, 0.7)
    shading = bias_field(scan, SHAPE, scan.uniform(0.08, 0.2)) * (0.85 + near)
    noise = scan.normal(0, scan.uniform(0.02, 0.045), (2, *SHAPE))
    image = magnitude(signal, shading=shading, noise=noise, gain=scan.uniform(200, 900))
    return Phantom(image[None], label[None], axial_grid(scan, SHAPE, SPACING), SPACE)


def _zones(rng: np.random.Generator, bent: list[Field]) -> tuple[Field, Field]:
    """Distances to the surface of gland and core, positive inside; the core grows with age and fills the base."""
    growth = rng.uniform(0.75, 1.25)
    half = (19 * growth**0.5, 14.5 * growth**0.6, 21 * growth**0.5)
    outer = ellipsoid(bent, (0.0, 3.0, 0.0), half)
    flat = 3.0 + half[1] * 0.86 - bent[1]  # the back is flattened against the rectum
    gland = np.minimum(outer, flat)
    rise = 0.18 * half[0]
    core = ellipsoid(bent, (rise, 0.0 - 1.5 * growth, 0.0), (0.82 * half[0], 0.66 * half[1], 0.66 * half[2]))
    return gland, np.minimum(core, gland - 0.4)


def _paint_gland(rng: np.random.Generator, signal: Field, grid: list[Field], zones: tuple[Field, Field]) -> None:
    """Bright peripheral zone with dark foci, nodular core, and the dark capsule around both."""
    gland, core = zones
    signal -= 0.25 * np.exp(-((gland / 1.1) ** 2)) * signal
    streaks = 0.06 * smooth_noise(rng, SHAPE, (0.8, 1.2, 1.2))
    paint(signal, gland - 0.6, rng.uniform(0.72, 0.9) + streaks, 1.4)
    for _ in range(int(rng.choice([0, 1, 2], p=[0.45, 0.4, 0.15]))):
        side = rng.choice([-1.0, 1.0])
        focus = ellipsoid(grid, (rng.uniform(-10, 8), 12.5, side * rng.uniform(5, 14)), rng.uniform(3.0, 5.5, 3))
        paint(signal, np.minimum(focus, gland - 0.8), 0.42, 2.5)
    paint(signal, core, rng.uniform(0.40, 0.5) + 0.07 * cloud(rng, SHAPE, 3.0), 1.4)
    for _ in range(int(rng.integers(3, 8))):
        centre = (rng.uniform(-6, 10), rng.uniform(-9, 6), rng.uniform(-11, 11))
        nodule = np.minimum(ellipsoid(grid, centre, rng.uniform(3.0, 6.5, 3)), core - 1.0)
        paint(signal, nodule, rng.uniform(0.32, 0.75), 1.5)
        signal -= 0.16 * np.exp(-((nodule / 0.9) ** 2)) * soft(core - 1.0, 1.5)
    stroma = np.minimum(ellipsoid(grid, (2.0, -11.5, 0.0), (15, 4.5, 8)), gland)
    paint(signal, stroma, 0.22, 2.5)
    paint(signal, np.minimum(1.5 - np.hypot(grid[1] + 1.0 - 0.15 * grid[0], grid[2]), gland), 0.75, 1.2)


def _pelvis(rng: np.random.Generator, grid: list[Field], bent: list[Field]) -> Field:
    """Signal of everything around the gland: fat, muscle, bone, bladder, seminal vesicles and rectum."""
    z, y, x = grid
    signal = 0.66 + 0.09 * cloud(rng, SHAPE, 4.0)
    for side in (-1.0, 1.0):
        muscle = ellipsoid(bent, (0.0, -2.0, 37.5 * side), (70, 27, 9))
        paint(signal, muscle, 0.2 + 0.02 * cloud(rng, SHAPE, 2.0))
        paint(signal, ellipsoid(grid, (0.0, -8.0, 50.0 * side), (80, 24, 9)), 0.52)
        bone = ellipsoid(grid, (-10.0, -34.0, 12.0 * side), (30, 9, 11))
        paint(signal, bone + 1.5, 0.08)
        paint(signal, bone, 0.46 + 0.05 * cloud(rng, SHAPE, 2.5))
        sling = np.abs(bent[2] * side - 23.5 - 0.1 * z - 0.01 * (y - 5) ** 2)
        paint(signal, np.minimum(1.8 - sling, np.minimum(6 - z, 30 - np.abs(y - 8))), 0.22, 1.5)
        vein = np.hypot((z - 2) / 8, np.hypot(y - 14 - 2 * np.sin(z / 4), side * x - 20))
        paint(signal, 2.2 - vein, 0.9, 1.5)
    fullness = rng.uniform(0.7, 1.15)
    bladder = ellipsoid(bent, (24.0 + 18 * fullness, -9.0, 0.0), (20 * fullness + 4, 18 * fullness, 25 * fullness))
    paint(signal, bladder + 2.4, 0.26, 1.8)
    paint(signal, bladder, 1.0, 1.8)
    vesicle = ellipsoid(bent, (23.0, 17.0, 0.0), (8, 5, 21))
    lobules = 0.55 + 0.35 * np.sin(smooth_noise(rng, SHAPE, (1.0, 2.0, 2.0)) * 3)
    paint(signal, vesicle, lobules, 2.0)
    _paint_rectum(rng, signal, bent)
    return signal


def _paint_rectum(rng: np.random.Generator, signal: Field, bent: list[Field]) -> None:
    """A tube behind the gland: dark muscle, brighter lining, and gas or contents."""
    radius = rng.uniform(8.5, 12.5)
    across = np.hypot(bent[1] - (17.0 + radius + 0.05 * np.abs(bent[0])), 0.85 * (bent[2] - rng.normal(0, 2)))
    paint(signal, radius + 1.5 - across, 0.28, 1.5)
    paint(signal, radius - across, 0.55, 1.2)
    contents = rng.choice([0.04, 0.3, 0.45], p=[0.5, 0.2, 0.3])
    paint(signal, radius - 2.5 - across, contents + 0.06 * contents * cloud(rng, SHAPE, 2.0), 1.5)
