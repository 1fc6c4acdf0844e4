"""Frontal hand radiographs with 29 bones that overlap at the wrist, named as a competition on such films named them.

`finger-1` to `finger-3` are the thumb from its tip to its metacarpal, `finger-4` to `finger-7` the index finger, and
so on to the little finger; then come eight carpal bones, radius and ulna. Lengths are pixels of a film 288 tall.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace, Structure
from segwright.core.seed import derive
from segwright.phantoms.phantom import Phantom
from segwright.phantoms.radiograph import expose
from segwright.phantoms.texture import Field, cloud, smooth_noise, soft

HEIGHT, WIDTH = 288, 216
CARPALS = {  # offset from the middle of the wrist (down, away from the thumb), half axes, turn
    "Trapezium": (-10.0, -27.0, 8.0, 9.0, 0.4),
    "Trapezoid": (-15.0, -15.5, 7.0, 6.5, 0.1),
    "Capitate": (-12.0, -2.0, 13.0, 8.5, 0.0),
    "Hamate": (-11.0, 13.0, 11.0, 9.5, -0.3),
    "Scaphoid": (4.0, -18.0, 8.0, 11.0, -0.5),
    "Lunate": (8.0, -3.0, 8.0, 9.0, 0.1),
    "Triquetrum": (5.0, 11.0, 8.0, 8.0, 0.3),
    "Pisiform": (7.5, 14.5, 6.0, 5.2, 0.0),
}
#: Digits from the thumb: base `(down, across)`, angle from upright, lengths and half widths from the metacarpal on.
DIGITS = (
    ((-6.0, -34.0), -0.86, (38.0, 27.0, 19.0), (6.2, 5.4, 4.6)),
    ((-22.0, -22.0), -0.17, (58.0, 36.0, 21.0, 14.0), (5.6, 5.0, 4.2, 3.5)),
    ((-24.0, -7.0), -0.02, (56.0, 40.0, 25.0, 16.0), (5.6, 5.2, 4.3, 3.6)),
    ((-22.0, 8.0), 0.12, (50.0, 37.0, 23.0, 16.0), (5.0, 4.9, 4.1, 3.5)),
    ((-19.0, 22.0), 0.28, (46.0, 29.0, 16.0, 13.0), (4.8, 4.3, 3.7, 3.1)),
)
NAMES = (*(f"finger-{n}" for n in range(1, 20)), *CARPALS, "Radius", "Ulna")

SPACE = LabelSpace(structures=tuple(Structure(name=name) for name in NAMES), kind="overlapping")


@dataclass(frozen=True, slots=True)
class Bone:
    """A long bone from `start` `(y, x)` along `angle`: length, half width of the shaft, and how much its ends flare."""

    start: tuple[float, float]
    angle: float
    length: float
    half: float
    flare: float

    @property
    def end(self) -> tuple[float, float]:
        """Where the next bone begins."""
        return self.start[0] - np.cos(self.angle) * self.length, self.start[1] + np.sin(self.angle) * self.length


def hand_xray(seed: int, patient: int, view: int = 0) -> Phantom:
    """Draw one frontal radiograph.

    Args:
        seed: Of the whole series.
        patient: Fixes the bones.
        view: Even numbers show the right hand, odd ones the left; posture, exposure and noise differ as well.

    Returns:
        A phantom of about 288 x 216 pixels, uint8, without known spacing, with 29 overlapping structures.
    """
    rng = derive(seed, "hand-xray", patient)
    scan = derive(seed, "hand-xray", patient, "view", view)
    shape = HEIGHT + int(scan.integers(-10, 11)), WIDTH + int(scan.integers(-8, 9))
    y, x = _seen(scan, shape, left=bool(view % 2))
    wobble = [1.1 * smooth_noise(rng, shape, 9.0) for _ in range(2)]
    grid = (y + wobble[0], x + wobble[1])
    bones = _bones(rng, scan, grid)
    ordered = np.stack([bones[name] for name in NAMES])
    attenuation = _flesh(rng, grid, ordered)
    texture = cloud(rng, shape, 2.5)
    for name, distance in bones.items():
        attenuation += _bone(distance, texture, heavy=name in ("Radius", "Ulna"))
    label = (ordered > 0).astype(np.int8)[:, None]
    image = expose(attenuation, scan)
    return Phantom(image[None, None], label, Geometry.from_spacing((1, *shape)), SPACE)


def _seen(rng: np.random.Generator, shape: tuple[int, int], *, left: bool) -> tuple[Field, Field]:
    """Pixel coordinates `(y, x)` seen from the middle of the wrist of an upright right hand."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    y, x = y - 0.72 * shape[0] - rng.normal(0, 4), x - 0.52 * shape[1] - rng.normal(0, 4)
    x = -x if left else x
    turn, zoom = rng.normal(0, 0.05), rng.normal(1.0, 0.04)
    return (np.cos(turn) * y - np.sin(turn) * x) / zoom, (np.sin(turn) * y + np.cos(turn) * x) / zoom


def _bones(rng: np.random.Generator, scan: np.random.Generator, grid: tuple[Field, Field]) -> dict[str, Field]:
    """Distance to the outline of every bone in pixels, positive inside."""
    size = rng.normal(1.0, 0.03)
    found: dict[str, Field] = {}
    number = 1
    for base, angle, lengths, halves in DIGITS:
        first = number + len(lengths) - 1  # the metacarpal has the highest number of its digit
        start = (base[0] + rng.normal(0, 0.7), base[1] + rng.normal(0, 0.7))
        angle += rng.normal(0, 0.03) + scan.normal(0, 0.04)
        for k, (length, half) in enumerate(zip(lengths, halves, strict=True)):
            tip = k == len(lengths) - 1
            bone = Bone(start, angle, size * length * rng.normal(1, 0.03), half * rng.normal(1, 0.05), 0.5)
            found[f"finger-{first - k}"] = _long(bone, grid, taper=0.30 if tip else 0.12)
            gap = 1.6 + 0.5 * rng.random()
            start = (bone.end[0] - np.cos(angle) * gap, bone.end[1] + np.sin(angle) * gap)
            angle += scan.normal(0, 0.05) * (1 if k else 0.5)
        number += len(lengths)
    for name, (down, across, tall, wide, turn) in CARPALS.items():
        found[name] = _round(rng, grid, (down, across), (tall * size, wide * size), turn)
    found["Radius"] = _long(Bone((110.0, -9.0), -0.02, 97.0, 11.5 * size, 0.62), grid, taper=0.0)
    found["Ulna"] = _long(Bone((112.0, 17.0), 0.01, 95.0 + rng.normal(0, 1.5), 7.0 * size, 0.30), grid, taper=0.0)
    return found


def _long(bone: Bone, grid: tuple[Field, Field], *, taper: float) -> Field:
    """A shaft with flaring, rounded ends."""
    dy, dx = grid[0] - bone.start[0], grid[1] - bone.start[1]
    along = -np.cos(bone.angle) * dy + np.sin(bone.angle) * dx
    across = np.sin(bone.angle) * dy + np.cos(bone.angle) * dx
    t = np.clip(along / bone.length, 0, 1)
    width = bone.half * (0.72 + bone.flare * np.abs(2 * t - 1) ** 3.5) * (1 - taper * t)
    side = width - np.abs(across)
    end = np.minimum(along, bone.length - along)
    corner = 0.55 * bone.half
    outside = np.hypot(np.minimum(side - corner, 0), np.minimum(end - corner, 0))
    return np.where((side < corner) & (end < corner), corner - outside, np.minimum(side, end))


def _round(
    rng: np.random.Generator,
    grid: tuple[Field, Field],
    centre: tuple[float, float],
    half: tuple[float, float],
    turn: float,
) -> Field:
    """A small bone: a rounded shape between ellipse and box, of its own irregularity."""
    dy, dx = grid[0] - centre[0] - rng.normal(0, 0.5), grid[1] - centre[1] - rng.normal(0, 0.5)
    u = (np.cos(turn) * dy - np.sin(turn) * dx) / (half[0] * rng.normal(1, 0.05))
    v = (np.sin(turn) * dy + np.cos(turn) * dx) / (half[1] * rng.normal(1, 0.05))
    angle = np.arctan2(u, v)
    ripple = sum(rng.normal(0, 0.035) * np.cos(k * angle + rng.uniform(0, 6)) for k in (2, 3, 4))
    radius = (np.abs(u) ** 2.6 + np.abs(v) ** 2.6) ** (1 / 2.6)
    return (1 + ripple - radius) * min(half)


def _bone(distance: Field, texture: Field, *, heavy: bool) -> NDArray[np.float64]:
    """Attenuation of one bone: spongy inside, dense at the rim."""
    inside = soft(distance, 1.5)
    rim = np.exp(-(((distance - 1.1) / 1.0) ** 2))
    thick = np.clip(distance / 6, 0, 1) ** 0.5
    return (0.9 if heavy else 0.75) * (inside * (0.10 + 0.12 * thick + 0.012 * texture) + 0.15 * rim)


def _flesh(rng: np.random.Generator, grid: tuple[Field, Field], bones: NDArray[np.float64]) -> Field:
    """Soft tissue around the bones and across the palm; air elsewhere."""
    y, x = grid
    near = bones.max(axis=0) + rng.uniform(6.5, 8.5)
    palm = np.minimum(36 - np.abs(x - 0.02 * y + 2), np.minimum(96 + 0 * y - np.abs(y + 20), 90 + y))
    forearm = np.minimum(31 - np.abs(x - 3), y + 20)
    depth = np.maximum.reduce([near, palm, forearm])
    return 0.03 + 0.30 * np.sqrt(np.clip(depth / 26, 0, 1)) * (1 + 0.03 * cloud(rng, y.shape, 8.0))
