"""Four-phase MR volumes of the liver: before contrast, arterial, portal and delayed, with a rare tumour.

A tumour fed by arteries lights up early and washes out later under a bright capsule; a tumour with few vessels stays
darker than the liver in all phases and keeps a bright rim. What each tissue does in each phase is a small table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segwright.core.labels import LabelSpace, Structure
from segwright.core.seed import derive
from segwright.phantoms.branches import Stem, grow, tube_distance
from segwright.phantoms.phantom import Phantom
from segwright.phantoms.scanner import axial_grid, bias_field, magnitude, millimetres
from segwright.phantoms.texture import Field, cloud, ellipsoid, paint, soft, warp

SHAPE = (24, 72, 72)
SPACING = (4.0, 2.0, 2.0)
PHASES = ("pre", "artery", "portal", "delay")
#: Share of patients without any tumour.
HEALTHY = 0.15

SPACE = LabelSpace(
    structures=(Structure(name="liver", values=(1,)), Structure(name="tumour", values=(2,))), kind="overlapping"
)

#: Signal of each tissue in each phase.
UPTAKE = {
    "liver": (0.44, 0.48, 0.66, 0.60),
    "vessel": (0.30, 0.52, 0.98, 0.78),
    "artery": (0.30, 1.25, 0.90, 0.72),
    "spleen": (0.34, 0.80, 0.72, 0.62),
    "kidney": (0.40, 0.95, 1.00, 0.90),
    "bowel": (0.36, 0.50, 0.56, 0.52),
    "muscle": (0.26, 0.27, 0.30, 0.30),
    "fat": (0.30, 0.30, 0.30, 0.30),
}
#: Tumour minus liver in each phase, and its rim minus liver: with many arteries, and with few.
KINDS = {
    "arterial": ((-0.06, 0.34, -0.12, -0.17), (0.0, 0.20, 0.06, 0.16)),
    "poor": ((-0.13, -0.12, -0.28, -0.20), (0.0, 0.14, 0.06, 0.04)),
}


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Distances to surfaces in mm, positive inside; one patient, before contrast is chosen."""

    organ: Field
    vessels: Field
    tumours: tuple[tuple[Field, str], ...]


def liver_mri(seed: int, patient: int, view: int = 0) -> Phantom:
    """Draw one examination of four phases.

    Args:
        seed: Of the whole series.
        patient: Fixes the anatomy and the tumours.
        view: Fixes position, breathing between phases, gain, shading and noise.

    Returns:
        A phantom of 4 x 24 x 72 x 72 voxels of 4.0 x 2.0 x 2.0 mm, int16, channels as in `PHASES`, with overlapping
        structures `liver` (tumours included) and `tumour`; tumours fill below 1 %, one patient in seven has none.
    """
    rng = derive(seed, "liver-mri", patient)
    scan = derive(seed, "liver-mri", patient, "view", view)
    grid = [axis - off for axis, off in zip(millimetres(SHAPE, SPACING), scan.normal(0, 3, 3), strict=True)]
    bent = warp(rng, grid, amount=2.6, sigma=(3, 9, 9))
    anatomy = _anatomy(rng, grid, bent)
    shading = bias_field(scan, SHAPE, scan.uniform(0.08, 0.2))
    sigma, gain = scan.uniform(0.02, 0.045), scan.uniform(300, 1200)
    phases = []
    for phase in range(len(PHASES)):
        texture = cloud(derive(seed, "liver-mri", patient, "texture"), SHAPE, 2.5)
        signal = _trunk(derive(seed, "liver-mri", patient, "trunk"), grid, bent, phase=phase)
        _paint_liver(signal, anatomy, texture, phase)
        shift = 0 if phase == 0 else int(scan.choice([0, 0, 0, 0, -1, 1]))  # breath is never held twice alike
        noise = scan.normal(0, sigma, (2, *SHAPE))
        rows = np.clip(np.arange(SHAPE[1]) + shift, 0, SHAPE[1] - 1)
        phases.append(magnitude(signal[:, rows], shading=shading, noise=noise, gain=gain))
    tumour = np.zeros(SHAPE, dtype=bool)
    for distance, _ in anatomy.tumours:
        tumour |= (distance > 0) & (anatomy.organ > 0)
    label = np.stack([anatomy.organ > 0, tumour]).astype(np.int8)
    return Phantom(np.stack(phases), label, axial_grid(scan, SHAPE, SPACING), SPACE, PHASES)


def _anatomy(rng: np.random.Generator, grid: list[Field], bent: list[Field]) -> Anatomy:
    """Liver of two lobes, its vessels, and none to three tumours whose centres lie well inside."""
    size = rng.normal(1.0, 0.06)
    right = ellipsoid(bent, (2.0, -2.0, -26.0), (38 * size, 33 * size, 26 * size))
    left = ellipsoid(bent, (12.0, -24.0, 3.0 + rng.normal(0, 3)), (22 * size, 14 * size, 25 * size))
    hollow = ellipsoid(bent, (-27.0, 6.0, -10.0), (20, 13, 12))
    organ = np.minimum(5.0 * np.logaddexp(right / 5.0, left / 5.0) - 2.0, -hollow)
    portal = grow(rng, Stem((2.0, 0.0, -10.0), (0.2, -0.3, -1.0), 3.6, 17.0), generations=5)
    veins = grow(rng, Stem((26.0, 10.0, -8.0), (-0.8, -0.3, -0.6), 3.2, 20.0), generations=4)
    points, radii = (np.concatenate(pair) for pair in zip(portal, veins, strict=True))
    vessels = np.minimum(tube_distance(grid, points, radii), organ - 2)
    return Anatomy(organ, vessels, tuple(_tumours(rng, organ, grid, bent)))


def _tumours(rng: np.random.Generator, organ: Field, grid: list[Field], bent: list[Field]) -> list[tuple[Field, str]]:
    if rng.random() < HEALTHY:
        return []
    inside = np.argwhere(organ > 7.0)
    count = int(rng.choice([1, 2, 3], p=[0.6, 0.28, 0.12]))
    kind = str(rng.choice(list(KINDS), p=[0.6, 0.4]))
    found = []
    for _ in range(count):
        spot = tuple(inside[int(rng.integers(len(inside)))])
        centre = [float(axis[spot]) for axis in grid]
        radii = rng.uniform(8.0, 13.0) / count ** (1 / 3) * rng.uniform(0.88, 1.14, 3)
        found.append((ellipsoid(bent, centre, radii), kind))
    return found


def _paint_liver(signal: Field, anatomy: Anatomy, texture: Field, phase: int) -> None:
    level = UPTAKE["liver"][phase] * (1 + 0.04 * texture)
    signal -= 0.12 * np.exp(-(((anatomy.organ + 2.0) / 1.6) ** 2))
    paint(signal, anatomy.organ, level)
    paint(signal, anatomy.vessels, UPTAKE["vessel"][phase], 2.5)
    for distance, kind in anatomy.tumours:
        body, rim = (row[phase] for row in KINDS[kind])
        within = soft(anatomy.organ, 2.0)
        necrosis = 0.4 * soft(distance - 4.0, 4.0) * min(body, 0.0)
        signal += (level + body + necrosis - signal) * soft(distance, 2.0) * within
        signal += rim * np.exp(-((distance / 1.6) ** 2)) * within


def _trunk(rng: np.random.Generator, grid: list[Field], bent: list[Field], *, phase: int) -> Field:
    """Signal of everything but the liver in one phase; fat is suppressed, as such series are taken."""
    skin = ellipsoid(bent[1:], (0.0, 0.0), (62 + rng.normal(0, 2), 68 + rng.normal(0, 1.5)))
    signal = UPTAKE["fat"][phase] * soft(skin, 2.0)
    texture = cloud(rng, SHAPE, 3.0)
    wall = skin - rng.uniform(4.0, 8.0)
    paint(signal, wall, UPTAKE["muscle"][phase] + 0.02 * texture)
    paint(signal, wall - 6, UPTAKE["fat"][phase] + 0.05 * texture, 3.0)
    paint(signal, ellipsoid(bent, (-8, -14, 26), (40, 20, 18)), UPTAKE["bowel"][phase] + 0.05 * texture, 3.0)
    spine = ellipsoid(grid, (0, 37, 0), (90, 13, 15))
    discs = 0.10 * (np.cos(2 * np.pi * grid[0] / 30) > 0.75)
    paint(signal, spine, 0.34 + 0.06 * (phase > 1) - discs)
    paint(signal, ellipsoid(grid, (0, 50, 0), (90, 4.8, 5)), 0.18)
    paint(signal, ellipsoid(grid, (0, 18, 6), (100, 6, 6)), UPTAKE["artery"][phase])
    paint(signal, ellipsoid(grid, (0, 17, -11), (100, 6, 7)), UPTAKE["vessel"][phase] * 0.95)
    stripes = 1 + 0.25 * np.sin(grid[0] / 4 + bent[1] / 5 + bent[2] / 6) * (phase == 1)
    paint(signal, ellipsoid(bent, (4, 25, 46), (30, 16, 10)), UPTAKE["spleen"][phase] * stripes)
    for side in (-1.0, 1.0):
        kidney = ellipsoid(bent, (-26, 30, 33 * side), (34, 11, 10))
        paint(signal, kidney, UPTAKE["kidney"][phase])
        medulla = UPTAKE["kidney"][phase] - (0.35 if phase == 1 else 0.05)
        paint(signal, kidney - 5, medulla, 3.0)
        paint(signal, ellipsoid(grid, (0, 48, 20 * side), (100, 8, 11)), UPTAKE["muscle"][phase] + 0.02 * texture)
    return signal
