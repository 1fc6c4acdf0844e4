"""Serial sections of brain tissue under the electron microscope: neurites, vesicles and mitochondria, some touching.

Lengths are nanometres. Sections are four times as thick as pixels are wide, each has a brightness, a position and a
noise of its own, and now and then one is folded, torn or lost, as with a real ultramicrotome.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace, Structure
from segwright.core.seed import derive
from segwright.phantoms.phantom import Phantom
from segwright.phantoms.scanner import millimetres
from segwright.phantoms.texture import Field, cloud, paint, smooth_noise, soft, warp

SHAPE = (16, 144, 144)
VOXEL = (48.0, 12.0, 12.0)
#: Mitochondria wanted in a stack, share that lie against another one, share of stacks with a damaged section.
COUNT, TOUCHING, DAMAGED = 11, 0.3, 0.25

SPACE = LabelSpace(structures=(Structure(name="mitochondria", values=(255,)),))


@dataclass(frozen=True, slots=True)
class Rod:
    """One mitochondrion: points of its axis `(n, 3)` in nm, its radius there, and how far along each point lies."""

    axis: NDArray[np.floating[Any]]
    radius: NDArray[np.floating[Any]]
    along: NDArray[np.floating[Any]]


def mitochondria_em(seed: int, patient: int, view: int = 0) -> Phantom:
    """Draw one stack.

    Args:
        seed: Of the whole series.
        patient: Fixes the tissue.
        view: Fixes brightness, position, noise and damage of the sections.

    Returns:
        A phantom of 16 x 144 x 144 voxels of 48 x 12 x 12 nm, uint8, with the structure `mitochondria`; `objects`
        numbers them, and objects in contact keep numbers of their own.
    """
    rng = derive(seed, "mitochondria-em", patient)
    scan = derive(seed, "mitochondria-em", patient, "view", view)
    grid = millimetres(SHAPE, VOXEL)
    drift = scan.normal(0, 7.0, (2, SHAPE[0], 1, 1))
    grid = [grid[0], grid[1] + drift[0], grid[2] + drift[1]]
    bent = warp(rng, grid, amount=28.0, sigma=(1.5, 9, 9))
    grey, cells = _tissue(rng, grid, bent)
    _draw_vesicles(rng, grey, grid, cells)
    objects = np.zeros(SHAPE, dtype=np.uint16)
    deepest = np.full(SHAPE, -np.inf)
    grain = smooth_noise(rng, SHAPE, (1, 1.2, 1.2)), smooth_noise(rng, SHAPE, (1.5, 4.0, 4.0))
    for number, rod in enumerate(_rods(rng), start=1):
        distance, along = _rod_distance(rod, bent)
        own = distance > deepest
        objects[own & (distance > 0)] = number
        _draw_rod(rng, grey, (np.where(own, distance, -60.0), along), grain)
        deepest = np.maximum(deepest, distance)
    image = _section_by_section(scan, grey)
    geometry = Geometry.from_spacing(SHAPE, [edge * 1e-6 for edge in VOXEL])
    label = (objects > 0).astype(np.int16)[None]
    return Phantom(image[None], label, geometry, SPACE, objects=objects)


def _tissue(rng: np.random.Generator, grid: list[Field], bent: list[Field]) -> tuple[Field, Field]:
    """Cytoplasm of neurites between dark membranes, and the distance to the nearest membrane in nm."""
    extent = np.array([n * edge for n, edge in zip(SHAPE, VOXEL, strict=True)])
    seeds = rng.uniform(-0.65, 0.65, (34, 3)) * extent
    places = np.stack([axis.ravel() for axis in bent], axis=1)
    near, owner = KDTree(seeds).query(places, k=2)
    wall = ((near[:, 1] - near[:, 0]) / 2).reshape(SHAPE)
    shade = rng.normal(0, 0.035, len(seeds))[owner[:, 0]].reshape(SHAPE)
    grain = cloud(rng, SHAPE, 2.2)
    grey = 0.66 + shade + 0.035 * grain
    tubules = smooth_noise(rng, SHAPE, (1.2, 1.5, 1.5))
    grey -= 0.16 * np.exp(-((tubules / 0.09) ** 2)) * soft(wall - 45, 40) * (cloud(rng, SHAPE, 9.0, 1) > 0.4)
    grey -= 0.42 * np.exp(-(((wall - 8) / 9.0) ** 2))
    grey += 0.10 * np.exp(-((wall / 5.0) ** 2))
    return grey, wall


def _draw_vesicles(rng: np.random.Generator, grey: Field, grid: list[Field], wall: Field) -> None:
    """Clusters of round vesicles, dark rings of 40 nm with a bright middle, inside of cells; microtubules as dots."""
    inside = np.argwhere(wall > 90)
    if not len(inside):
        return
    centres = []
    for _ in range(int(rng.integers(3, 7))):
        spot = inside[int(rng.integers(len(inside)))]
        heart = np.array([axis[tuple(spot)] for axis in grid])
        centres.append(heart + rng.normal(0, 1, (int(rng.integers(15, 60)), 3)) * (50, 75, 75))
    spots = np.concatenate(centres)
    places = np.stack([axis.ravel() for axis in grid], axis=1) * (0.75, 1, 1)
    distance, _ = KDTree(spots * (0.75, 1, 1)).query(places, distance_upper_bound=60.0)
    distance = np.where(np.isfinite(distance), distance, 99.0).reshape(SHAPE)
    within = soft(wall - 30, 20)
    grey -= 0.30 * np.exp(-(((distance - 24) / 8.0) ** 2)) * within
    grey += 0.05 * np.exp(-((distance / 12.0) ** 2)) * within


def _rods(rng: np.random.Generator) -> list[Rod]:
    """Mitochondria that do not cross one another; some lie side by side."""
    half = np.array([n * edge for n, edge in zip(SHAPE, VOXEL, strict=True)]) / 2
    rods: list[Rod] = []
    for _ in range(COUNT * 4):
        if len(rods) == COUNT:
            break
        side_by_side = bool(rods) and rng.random() < TOUCHING
        rod = _beside(rng, rods[int(rng.integers(len(rods)))]) if side_by_side else _rod(rng, half)
        if all(_clearance(rod, other) > (-12.0 if side_by_side else 25.0) for other in rods):
            rods.append(rod)
    return rods


def _rod(rng: np.random.Generator, half: Field) -> Rod:
    """A rod of 0.3 to 1.8 micrometres that bends a little and swells here and there."""
    count = int(rng.integers(8, 46))
    heading = rng.normal(0, 1, 3)
    heading /= np.linalg.norm(heading)
    points = [rng.uniform(-1, 1, 3) * half]
    for _ in range(count - 1):
        heading = heading + rng.normal(0, 0.11, 3)
        heading /= np.linalg.norm(heading)
        points.append(points[-1] + 40.0 * heading)
    swelling = 1 + 0.16 * np.sin(np.linspace(0, rng.uniform(2, 9), count) + rng.uniform(0, 6))
    ends = np.clip(np.minimum(np.arange(count), np.arange(count)[::-1]) / 2 + 0.72, 0, 1)
    return Rod(np.array(points), rng.uniform(95, 165) * swelling * ends, np.arange(count) * 40.0)


def _beside(rng: np.random.Generator, rod: Rod) -> Rod:
    """A rod that runs along another one for part of its length, membranes in contact."""
    first = int(rng.integers(0, max(1, len(rod.axis) // 2)))
    part = slice(first, min(len(rod.axis), first + int(rng.integers(8, 26))))
    axis = rod.axis[part]
    tangent = np.gradient(rod.axis, axis=0)[part]
    side = np.cross(tangent, rng.normal(0, 1, 3))
    side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-9
    side = side.mean(axis=0)
    radius = rod.radius[part] * rng.uniform(0.8, 1.05)
    return Rod(axis + side * (rod.radius[part] + radius)[:, None], radius, np.arange(len(axis)) * 40.0)


def _clearance(one: Rod, other: Rod) -> float:
    """Least gap in nm between two rods, negative where they cross."""
    gaps = np.linalg.norm(one.axis[:, None] - other.axis[None], axis=2) - one.radius[:, None] - other.radius[None]
    return float(gaps.min())


def _rod_distance(rod: Rod, grid: list[Field]) -> tuple[Field, Field]:
    """Distance in nm to the surface of a rod, positive inside and -60 far away, and how far along its axis."""
    reach = float(rod.radius.max()) + 60.0
    fine = np.linspace(0, len(rod.axis) - 1, 4 * len(rod.axis))
    whole = np.arange(len(rod.axis))
    axis = np.stack([np.interp(fine, whole, rod.axis[:, k]) for k in range(3)], axis=1)
    radius, along = np.interp(fine, whole, rod.radius), np.interp(fine, whole, rod.along)
    places = np.stack([part.ravel() for part in grid], axis=1)
    near = np.flatnonzero(((places > axis.min(0) - reach) & (places < axis.max(0) + reach)).all(axis=1))
    distance, place = np.full(len(places), -60.0), np.zeros(len(places))
    if len(near):
        far, index = KDTree(axis).query(places[near])
        distance[near], place[near] = np.maximum(radius[index] - far, -60.0), along[index]
    return distance.reshape(SHAPE), place.reshape(SHAPE)


def _draw_rod(rng: np.random.Generator, grey: Field, rod: tuple[Field, Field], grain: tuple[Field, Field]) -> None:
    """Double membrane, dense matrix, and cristae across the axis of a rod given by distance and place along it."""
    distance, along = rod
    paint(grey, distance + 6, rng.uniform(0.40, 0.50) + 0.03 * grain[0], 14.0)
    fold = 2 * np.pi * along / rng.uniform(60, 85) + 1.7 * grain[1]
    cristae = np.clip(np.cos(fold) - 0.35, 0, 1) * soft(distance - 22, 16)
    grey -= 0.26 * cristae
    grey += 0.10 * np.clip(-np.cos(fold) - 0.5, 0, 1) * soft(distance - 22, 16)
    grey -= 0.30 * np.exp(-(((distance - 2) / 9.0) ** 2))


def _section_by_section(rng: np.random.Generator, grey: Field) -> NDArray[np.uint8]:
    """Each section as it was cut and taken: brightness, contrast, shading, focus, noise, and at times damage."""
    damaged = int(rng.integers(1, SHAPE[0] - 1)) if rng.random() < DAMAGED else -1
    out = np.empty(SHAPE, dtype=np.uint8)
    for z, plane in enumerate(grey):
        seen = ndimage.gaussian_filter(plane, rng.uniform(0.5, 0.8))
        seen = (seen - 0.55) * rng.normal(1.0, 0.07) + 0.55 + rng.normal(0, 0.03)
        seen += 0.03 * smooth_noise(rng, plane.shape, 40.0)
        if z == damaged:
            seen = _damage(rng, seen)
        noise = ndimage.gaussian_filter(rng.normal(0, 1, plane.shape), 0.45)
        out[z] = np.clip((seen + 0.075 * noise) * 255, 0, 255).round().astype(np.uint8)
    return out


def _damage(rng: np.random.Generator, plane: Field) -> Field:
    """A fold (a dark band), a tear (a bright one), or a section that was lost and left blank."""
    y, x = np.mgrid[: plane.shape[0], : plane.shape[1]].astype(float)
    angle = rng.uniform(0, np.pi)
    across = (y - rng.uniform(40, 104)) * np.cos(angle) + (x - rng.uniform(40, 104)) * np.sin(angle)
    across += 4 * smooth_noise(rng, plane.shape, 12.0)
    kind = str(rng.choice(["fold", "tear", "lost"]))
    if kind == "lost":
        return np.full_like(plane, 0.62)
    band = soft(rng.uniform(3, 7) - np.abs(across), 3.0)
    return plane + ((0.08 if kind == "fold" else 0.93) - plane) * band
