"""Trees of vessels and airways: branches that fork, turn and thin out, and the distance of every voxel to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from segwright.phantoms.texture import Field


@dataclass(frozen=True, slots=True)
class Stem:
    """Where a tree begins: start and direction in mm `(z, y, x)`, radius and length of the first branch in mm."""

    start: Sequence[float]
    direction: Sequence[float]
    radius: float
    length: float


def grow(rng: np.random.Generator, stem: Stem, *, generations: int, thinner: float = 0.76) -> tuple[Field, Field]:
    """Points `(n, 3)` along all branches, and the radius at each.

    Every branch ends in two, each `thinner` and somewhat shorter than their mother.
    """
    direction = np.asarray(stem.direction, dtype=float)
    tips = [(np.asarray(stem.start, dtype=float), direction / np.linalg.norm(direction))]
    radius, length = stem.radius, stem.length
    points, radii = [], []
    for _ in range(generations):
        grown = []
        for start, heading in tips:
            path = start + np.linspace(0, 1, 14)[:, None] * heading * length * rng.uniform(0.8, 1.2)
            path += np.cumsum(rng.normal(0, 0.02 * length, path.shape), axis=0)
            points.append(path)
            radii.append(np.linspace(radius, radius * thinner, len(path)))
            for _ in range(2):
                turned = heading + rng.normal(0, 0.5, 3)
                grown.append((path[-1], turned / np.linalg.norm(turned)))
        tips, radius, length = grown, radius * thinner, length * 0.86
    return np.concatenate(points), np.concatenate(radii)


def tube_distance(grid: Sequence[Field], points: Field, radii: Field, *, reach: float = 8.0) -> Field:
    """Approximate distance to the surface of the tubes around `points`, positive inside, `-reach` far away."""
    places = np.stack([axis.ravel() for axis in grid], axis=1)
    distance, nearest = KDTree(points).query(places, distance_upper_bound=reach + float(radii.max()))
    inside = np.append(radii, 0.0)[nearest] - distance
    return np.where(np.isfinite(distance), np.maximum(inside, -reach), -reach).reshape(grid[0].shape)
