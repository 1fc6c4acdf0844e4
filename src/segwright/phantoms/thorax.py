"""What lies around the spine on a frontal radiograph: chest, lungs, heart, ribs, collar bones, bowel gas, pelvis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import KDTree

from segwright.phantoms.texture import Field, cloud, ellipsoid, smooth_noise, soft, warp

Grid = tuple[Field, Field]
#: `(y, x, half_width)` of each vertebra, from the top.
Chain = Sequence[tuple[float, float, float]]


def draw_surroundings(rng: np.random.Generator, grid: Grid, chain: Chain) -> Field:
    """Attenuation of everything but the vertebrae, on the pixels of `grid` `(y, x)`; about 0.3 to 1.6."""
    middle = _middle(grid[0], chain)
    floor = chain[10][0] + rng.normal(0, 6)
    bent = (grid[0], grid[1])
    lung = lungs(rng, bent, middle, floor)
    total = 0.92 + 0.22 * soft(grid[0] - floor, 60) + 0.05 * cloud(rng, grid[0].shape, 14)
    total -= lung * (0.52 + 0.05 * smooth_noise(rng, grid[0].shape, 3.0))
    total += 0.11 * np.exp(-(((grid[1] - middle) / 15.0) ** 2))
    total -= 0.09 * np.exp(-(((grid[1] - middle - 2) / 4.0) ** 2)) * soft(chain[4][0] - grid[0], 16)
    total += lung_vessels(rng, grid, middle, floor) * lung
    total += heart(rng, grid, middle, floor)
    total += ribs(rng, grid, chain)
    total += collar_bones(rng, grid, chain)
    total += bowel(rng, grid, floor)
    total += pelvis(rng, grid, chain)
    return total * _outline(rng, grid, middle)


def _middle(y: Field, chain: Chain) -> Field:
    """Horizontal position of the spine in every row."""
    rows = [row for row, _, _ in chain]
    return np.interp(y, rows, [column for _, column, _ in chain])


def _outline(rng: np.random.Generator, grid: Grid, middle: Field) -> Field:
    """Thickness of the trunk relative to its middle: full at the spine, less at the flanks."""
    half = rng.uniform(98, 125) * (1 - 0.10 * np.exp(-(((grid[0] - 265) / 60) ** 2)))
    half = half + 1.2 * smooth_noise(rng, grid[0].shape, 12)
    inside = np.clip(1 - ((grid[1] - middle) / half) ** 2, 0.0, 1)
    return 0.04 + 0.96 * inside**0.33


def lungs(rng: np.random.Generator, grid: Grid, middle: Field, floor: float) -> Field:
    """Share of air along each ray, 0 to 1; domes of the diaphragm close the lungs below."""
    y, x = warp(rng, grid, amount=1.5, sigma=(14, 14))
    air = np.zeros_like(y)
    for side in (-1.0, 1.0):
        across = side * (x - middle)
        dome = floor + (6 if side > 0 else -3) + ((across - 36) / 40) ** 2 * 22 - 12
        inner = across - 13 - 7 * soft(y - floor + 60, 90)
        outer = 70 + 14 * soft(y - 60, 90) - across
        top = y - 22 - ((across - 34) / 30) ** 2 * 16
        depth = soft(inner, 22) * soft(outer, 26) * soft(top, 34)
        air += depth * (0.72 * soft(dome - y, 5) + 0.28 * soft(dome + 22 - y, 44))
    return air


def lung_vessels(rng: np.random.Generator, grid: Grid, middle: Field, floor: float) -> Field:
    """Branching shadows that fade with the distance from the hilum."""
    y, x = grid
    ridge = np.zeros_like(y)
    for sigma in (1.3, 2.2, 3.5):
        ridge += np.exp(-((smooth_noise(rng, y.shape, sigma) / 0.22) ** 2)) * sigma / 12
    reach = np.hypot((y - floor + 70) / 70, (np.abs(x - middle) - 22) / 40)
    return ridge * np.exp(-(reach**2)) * 0.55


def heart(rng: np.random.Generator, grid: Grid, middle: Field, floor: float) -> Field:
    """The heart's shadow, mostly to the right of the picture (the patient's left), and the aortic arch."""
    y, x = warp(rng, grid, amount=1.2, sigma=(10, 10))
    size = rng.uniform(0.85, 1.15)
    main = ellipsoid((y, x - middle), (floor - 28 * size, 11), (37 * size, 31 * size))
    arch = ellipsoid((y, x - middle), (floor - 88, 10), (13, 12))
    return 0.26 * soft(main, 9) * (0.4 + 0.6 * soft(main, 34)) + 0.10 * soft(arch, 7)


def ribs(rng: np.random.Generator, grid: Grid, chain: Chain) -> Field:
    """Twelve pairs: steep bright bands behind, faint flat ones in front; each a thin-walled tube."""
    droop, reach = rng.uniform(0.8, 1.2), rng.uniform(0.93, 1.08)
    back, front = [], []
    for level in range(12):
        for side in (-1.0, 1.0):
            curve = _rib(chain[level], level, side, droop * rng.normal(1, 0.06), reach)
            back.append(curve[: len(curve) * 2 // 3])
            front.append(curve[len(curve) * 2 // 3 - 2 :])
    behind = _tubes(grid, np.concatenate(back), 3.1)
    before = _tubes(grid, np.concatenate(front), 3.6)
    return 0.135 * behind + 0.075 * before


def _rib(root: tuple[float, float, float], level: int, side: float, droop: float, reach: float) -> Field:
    """Points `(y, x)` along one rib, from its vertebra outwards and back towards the front."""
    if level > 9:
        along = np.linspace(0, 1, 60)
        across = root[2] * 0.9 + reach * (58 - 14 * (level - 10)) * along
        fall = droop * (34 * along + 10 * along**2) - 4 * np.sin(np.pi * along)
    else:
        span = reach * (38 + 34 * np.sin(np.pi * min(level + 1.5, 8) / 16))
        angle = np.linspace(0, np.pi * 0.94, 90)
        across = root[2] * 0.8 + span * np.sin(angle * 0.62)
        fall = droop * (11 + 3.4 * level) * (1 - np.cos(angle)) / 1.3 - 6 * np.sin(angle * 1.3)
    return np.stack([root[0] - 2 + fall, root[1] + side * across], axis=1)


def _tubes(grid: Grid, points: Field, radius: float) -> Field:
    """Projection of thin-walled tubes around `points`: dense at the rims, 0 beyond `radius`."""
    pixels = np.stack([axis.ravel() for axis in grid], axis=1)
    distance, _ = KDTree(points).query(pixels, distance_upper_bound=radius + 1.5)
    scaled = np.where(np.isfinite(distance), distance, radius + 2).reshape(grid[0].shape) / radius
    wall = np.exp(-(((scaled - 0.8) / 0.28) ** 2))
    return 0.55 * soft(1 - scaled, 0.5) + 0.45 * wall * soft(1.1 - scaled, 0.3)


def collar_bones(rng: np.random.Generator, grid: Grid, chain: Chain) -> Field:
    """Two S-shaped bars across the top of the lungs."""
    top, middle, _ = chain[2]
    rise = rng.uniform(-2, 14)
    along = np.linspace(0, 1, 60)
    both = []
    for side in (-1.0, 1.0):
        y = top + 6 - rise * along - 5 * np.sin(2 * np.pi * along) + rng.normal(0, 2)
        both.append(np.stack([y, middle + side * (11 + 85 * along)], axis=1))
    return 0.13 * _tubes(grid, np.concatenate(both), 4.0)


def bowel(rng: np.random.Generator, grid: Grid, floor: float) -> Field:
    """Pockets of gas (dark) and contents (mottled) below the diaphragm."""
    y, x = warp(rng, grid, amount=3.5, sigma=(6, 6))
    gas = np.zeros_like(y)
    for _ in range(int(rng.integers(2, 7))):
        centre = (floor + rng.uniform(30, 170), rng.uniform(10, 182))
        gas += soft(ellipsoid((y, x), centre, [rng.uniform(4, 13), rng.uniform(4, 13)]), 5) * rng.uniform(0.05, 0.2)
    mottle = 0.02 * cloud(rng, y.shape, 5.0) * soft(y - floor - 30, 60)
    return mottle - np.minimum(gas, 0.25)


def pelvis(rng: np.random.Generator, grid: Grid, chain: Chain) -> Field:
    """Sacrum and iliac wings below the last vertebra: bone of the same density that is no vertebral body."""
    bottom, middle, half_width = chain[-1]
    y, x = warp(rng, grid, amount=1.0, sigma=(8, 8))
    down, across = y - bottom - 17, x - middle
    half = half_width * 1.5 * soft(75 - down, 110) - 0.1 * down
    bone = 0.12 * soft(np.minimum(down, half - np.abs(across)), 7)
    for side in (-1.0, 1.0):
        wing = ellipsoid((down + 0.35 * side * across, side * across), (66.0, 60.0), (48.0, 45.0))
        bone += 0.10 * soft(wing, 3) * soft(wing + 30, 60) + 0.10 * np.exp(-((wing / 1.8) ** 2))
        for hole in range(3):
            spot = ellipsoid((down, side * across), (9.0 + 13 * hole, 8.5), (3.0, 2.6))
            bone -= 0.06 * soft(spot, 2.5)
    return bone
