"""Chest CT in Hounsfield units: five lung lobes between fissures that are seen only in part, vessels and airways.

The lobes are told apart by thin fissures; where a fissure is incomplete the border follows its course all the same,
as a reader would draw it, and only the emptiness of vessels nearby gives it away.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segwright.core.labels import LabelSpace, Structure
from segwright.core.seed import derive
from segwright.phantoms.branches import Stem, grow, tube_distance
from segwright.phantoms.phantom import Phantom
from segwright.phantoms.scanner import axial_grid, millimetres
from segwright.phantoms.texture import Field, cloud, ellipsoid, paint, smooth_noise, soft, warp

SHAPE = (44, 64, 72)
SPACING = (5.0, 4.6, 4.6)
NAMES = (
    "lung_upper_lobe_left",
    "lung_lower_lobe_left",
    "lung_upper_lobe_right",
    "lung_middle_lobe_right",
    "lung_lower_lobe_right",
)

SPACE = LabelSpace(structures=tuple(Structure(name=name, values=(i,)) for i, name in enumerate(NAMES, start=1)))


def lobes_ct(seed: int, patient: int, view: int = 0) -> Phantom:
    """Draw one volume.

    Args:
        seed: Of the whole series.
        patient: Fixes the anatomy and how complete each fissure is.
        view: Fixes position, depth of breath and noise.

    Returns:
        A phantom of 44 x 64 x 72 voxels of 5.0 x 4.6 x 4.6 mm, int16 in Hounsfield units, with five lobes named as
        TotalSegmentator names them.
    """
    rng = derive(seed, "lobes-ct", patient)
    scan = derive(seed, "lobes-ct", patient, "view", view)
    grid = [axis - off for axis, off in zip(millimetres(SHAPE, SPACING), scan.normal(0, 4, 3), strict=True)]
    bent = warp(rng, grid, amount=3.0, sigma=(4, 6, 6))
    breath = scan.normal(0, 5)
    values = _chest(rng, grid, bent)
    label = np.zeros(SHAPE, dtype=np.int16)
    for side, first in ((1.0, 1), (-1.0, 3)):
        lung = _lung(rng, bent, side, breath)
        oblique = _oblique(rng, bent, side)
        cuts = [oblique] if side > 0 else [oblique, _horizontal(rng, bent)]
        _paint_lung(rng, values, grid, side=side, lung=lung, cuts=cuts)
        upper = lung > 0
        label[upper & (oblique > 0)] = first
        label[upper & (oblique <= 0)] = first + len(cuts)
        if side < 0:
            label[upper & (oblique > 0) & (cuts[1] <= 0)] = first + 1
    _paint_airways(values, grid)
    return Phantom(_scan(scan, values)[None], label[None], axial_grid(scan, SHAPE, SPACING), SPACE)


def _lung(rng: np.random.Generator, bent: list[Field], side: float, breath: float) -> Field:
    """Distance in mm to the surface of one lung, positive inside; the heart and the diaphragm press into it."""
    z, y, x = bent
    size = rng.normal(1.0, 0.04)
    hull = ellipsoid((z, y, side * x), (-22.0, 4.0, 70.0), (118 * size, 88 * size, 59 * size))
    centre = 30 if side < 0 else 34
    dome = z + 62 + breath - 26 * np.cos(np.clip((y - 5) / 80, -1, 1)) * np.cos(np.clip((side * x - 65) / 65, -1, 1))
    dome -= 8.0 * (side < 0) - 8
    heart = ellipsoid((z, y, x), (-34.0, -26.0, 24.0), (58, 50, 56))
    medial = side * x - 16 - 0.002 * (y - 20) ** 2 * (np.abs(y - 20) < 60) + 0.0 * centre
    return np.minimum.reduce([hull, dome, -heart, medial])


def _oblique(rng: np.random.Generator, bent: list[Field], side: float) -> Field:
    """Signed height in mm over the oblique fissure, which falls from behind to the front."""
    z, y, x = bent
    slope, level = rng.uniform(0.62, 0.9), rng.normal(-6, 6)
    bulge = 7 * smooth_noise(rng, SHAPE, (5, 8, 8))
    return (z - level - slope * (y - 10) - 0.0015 * (side * x - 70) ** 2 + bulge) / np.hypot(1, slope)


def _horizontal(rng: np.random.Generator, bent: list[Field]) -> Field:
    """Signed height in mm over the horizontal fissure of the right lung."""
    z, y, x = bent
    return z - rng.normal(8, 5) + 0.12 * (y + 30) + 0.1 * (x + 70) + 4 * smooth_noise(rng, SHAPE, (5, 8, 8))


def _paint_lung(
    rng: np.random.Generator, values: Field, grid: list[Field], *, side: float, lung: Field, cuts: list[Field]
) -> None:
    """Air and tissue, denser behind where a lying patient's blood sinks; vessels; fissures where they are seen."""
    tissue = -855 + 0.35 * grid[1] + 22 * cloud(rng, SHAPE, 3.0)
    paint(values, lung, tissue, 4.0)
    gap = np.min([np.abs(cut) for cut in cuts], axis=0)
    points, radii = _vessel_points(rng, side)
    tubes = tube_distance(grid, points, radii, reach=6.0)
    paint(values, np.minimum(np.minimum(tubes, lung), gap - 5), 25.0, 4.0)
    for index, cut in enumerate(cuts):
        complete = rng.uniform(0.5, 0.95)
        hidden = smooth_noise(rng, SHAPE, (6, 9, 9))
        shown = soft(np.quantile(hidden, complete) - hidden, 0.6)
        where = soft(lung, 4.0) * (shown if index == 0 else shown * soft(cuts[0], 4.0))
        values += 300 * np.exp(-((cut / 2.6) ** 2)) * where


def _vessel_points(rng: np.random.Generator, side: float) -> tuple[Field, Field]:
    """Arteries and veins that leave the hilum upwards, downwards, forwards and backwards."""
    trees = []
    for direction in ((1.0, -0.2, 0.55), (0.4, -1.0, 0.6), (-0.6, 0.6, 0.7), (-1.0, 0.1, 0.45), (0.5, 0.9, 0.6)):
        z, y, x = direction
        stem = Stem((0.0, 4.0, 24.0 * side), (z, y, x * side), rng.uniform(3.6, 4.8), rng.uniform(22, 30))
        trees.append(grow(rng, stem, generations=6, thinner=0.8))
    return np.concatenate([p for p, _ in trees]), np.concatenate([r for _, r in trees])


def _paint_airways(values: Field, grid: list[Field]) -> None:
    """Trachea and main bronchi: air within thin walls."""
    z, y, x = grid
    trachea = np.minimum(8.0 - np.hypot(y - 8, x), z - 24)
    branch = []
    for side in (-1.0, 1.0):
        along = np.clip((24 - z) / 30, 0, 1)
        off = np.hypot(y - 8 + 4 * along, x - side * (3 + 30 * along))
        branch.append(np.minimum(np.minimum(6.0 - off, 26 - z), z + 6))
    tube = np.max([trachea, *branch], axis=0)
    paint(values, tube + 2.5, 20.0, 4.0)
    paint(values, tube, -985.0, 4.0)


def _chest(rng: np.random.Generator, grid: list[Field], bent: list[Field]) -> Field:
    """Everything but the lungs: air, fat, muscle, ribs, spine, heart, vessels and liver."""
    z, y, x = grid
    half = (rng.normal(112, 5), rng.normal(148, 6))
    body = ellipsoid((bent[1], bent[2]), (4.0, 0.0), half)
    values = np.full(SHAPE, -1000.0)
    paint(values, body, -95 + 12 * cloud(rng, SHAPE, 3.0), 5.0)
    wall = body - rng.uniform(8, 20)
    paint(values, wall, 45 + 8 * cloud(rng, SHAPE, 3.0), 5.0)
    rib = np.minimum(4.5 - np.abs(wall - 8), 14 * np.cos(2 * np.pi * (z + 0.45 * y) / 30) - 5)
    paint(values, rib, 420.0, 4.0)
    spine = np.minimum(19 - np.hypot(y - 62, x), 1000.0)
    paint(values, spine, 210 + 130 * (np.cos(2 * np.pi * z / 26) < 0.7), 5.0)
    paint(values, 9 - np.hypot(y - 88, 0.7 * x), 380.0, 5.0)
    paint(values, 7 - np.hypot(y - 66, x), 15.0, 4.0)
    paint(values, np.minimum(8 - np.hypot(y + half[0] - 26, 0.5 * x), z + 60), 330.0, 4.0)
    contrast = rng.choice([45.0, 180.0])
    paint(values, ellipsoid(grid, (-34.0, -26.0, 20.0), (52, 44, 50)), contrast, 6.0)
    paint(values, 13 - np.hypot(y - 45, x - 20), contrast, 5.0)
    paint(values, np.minimum(15 - np.hypot(y + 18, x + 12), z - 0), contrast, 5.0)
    paint(values, ellipsoid(grid, (-118.0, 0.0, -50.0), (70, 85, 80)), 70.0, 6.0)
    return values


def _scan(rng: np.random.Generator, values: Field) -> NDArray[np.int16]:
    """Blur of the kernel, and noise that grows with how much the body absorbs."""
    seen = ndimage.gaussian_filter(values, (0.35, 0.4, 0.4))
    noise = ndimage.gaussian_filter(rng.normal(0, 1, SHAPE), (0, 0.5, 0.5))
    return np.clip(seen + rng.uniform(25, 50) * noise, -1024, 3071).round().astype(np.int16)
