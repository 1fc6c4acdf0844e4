"""Frontal spine radiographs: seventeen vertebral bodies on a scoliotic centre line, among ribs, lungs and bowel.

Everything is drawn as attenuation (line integrals add up), then exposed by `radiograph.expose`.
Lengths are pixels of a film 384 pixels tall, about 1.2 mm each for an adult.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace, Structure
from segwright.core.seed import derive
from segwright.phantoms.phantom import Phantom
from segwright.phantoms.radiograph import expose
from segwright.phantoms.texture import Field, cloud, soft
from segwright.phantoms.thorax import draw_surroundings

HEIGHT, WIDTH, LEVELS = 384, 192, 17

SPACE = LabelSpace(structures=(Structure(name="vertebrae", values=(255,)),))

#: The lowest six bodies, each a structure of its own.
NAMED = ("T12", "L1", "L2", "L3", "L4", "L5")
NAMED_SPACE = LabelSpace(structures=tuple(Structure(name=name, values=(i,)) for i, name in enumerate(NAMED, start=1)))


@dataclass(frozen=True, slots=True)
class Vertebra:
    """One vertebral body: centre `(y, x)`, half width and half height, tilt in radians, axial turn, waist, wedge."""

    y: float
    x: float
    half_width: float
    half_height: float
    tilt: float
    turn: float
    waist: float
    wedge: float


@dataclass(frozen=True, slots=True)
class Local:
    """Pixel coordinates seen from a vertebra: `u` across, `v` along the spine, both in pixels from its centre."""

    u: Field
    v: Field


def spine_xray(seed: int, patient: int, view: int = 0) -> Phantom:
    """Draw one frontal radiograph.

    Args:
        seed: Of the whole series.
        patient: Fixes the anatomy; two views of a patient show the same spine.
        view: Fixes posture, exposure, collimation and noise.

    Returns:
        A phantom of about 384 x 192 pixels, uint8, without known spacing; its one structure is `vertebrae`.
    """
    image, level = _film(seed, patient, view)
    geometry = Geometry.from_spacing((1, *image.shape))
    return Phantom(image[None, None], (level > 0)[None, None].astype(np.int16), geometry, SPACE)


def vertebrae_xray(seed: int, patient: int, view: int = 0) -> Phantom:
    """The film of `spine_xray` with another reference: the lowest six bodies told apart, exclusive, `T12` to `L5`."""
    image, level = _film(seed, patient, view)
    named = np.clip(level - (LEVELS - len(NAMED)), 0, None)
    geometry = Geometry.from_spacing((1, *image.shape))
    return Phantom(image[None, None], named[None, None], geometry, NAMED_SPACE)


def _film(seed: int, patient: int, view: int) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """Grey values `(y, x)`, and the level of each vertebral body from 1 at the top."""
    rng = derive(seed, "spine-xray", patient, "view", view)
    height, width = HEIGHT + int(rng.integers(-20, 21)), WIDTH + int(rng.integers(-12, 13))
    shift = (height - HEIGHT) / 2 + rng.normal(0, 5), (width - WIDTH) / 2 + rng.normal(0, 6)
    chain = spine_of(derive(seed, "spine-xray", patient), shift=shift, zoom=1 + rng.normal(0, 0.03))
    y, x = np.mgrid[:height, :width].astype(np.float64)
    anatomy = derive(seed, "spine-xray", patient, "surroundings")
    attenuation = draw_surroundings(anatomy, (y, x), [(v.y, v.x, v.half_width) for v in chain])
    level = np.zeros((height, width), dtype=np.int16)
    texture = cloud(rng, (height, width), 3.0)
    density = anatomy.uniform(0.4, 0.95)
    for index, vertebra in enumerate(chain):
        local = _local(vertebra, y, x)
        distance = body_distance(vertebra, local)
        drawn = outlined(vertebra, rng)
        level[body_distance(drawn, _local(drawn, y, x)) > 0] = index + 1
        attenuation += _bone(vertebra, local, distance, texture) * density * (0.8 + 0.3 * index / LEVELS)
    return expose(attenuation, rng), level


def spine_of(rng: np.random.Generator, *, shift: tuple[float, float] = (0.0, 0.0), zoom: float = 1.0) -> list[Vertebra]:
    """T1 to L5 of one patient, from the top; `shift` and `zoom` are the posture of a view."""
    level = np.arange(LEVELS) / (LEVELS - 1)
    pitch = (1.0 + rng.uniform(0.8, 1.1) * level) * rng.normal(1, 0.03, LEVELS)
    length = rng.uniform(0.76, 0.84) * HEIGHT * zoom
    pitch *= length / pitch.sum()
    y = rng.uniform(0.03, 0.07) * HEIGHT + shift[0] + np.cumsum(pitch) - pitch / 2
    x, turn = _centre_line(rng, level)
    x = x * zoom + WIDTH / 2 + shift[1] + rng.normal(0, 0.5, LEVELS)
    tilt = -np.arctan(np.gradient(x, y)) + rng.normal(0, 0.03, LEVELS)
    filled = np.clip(0.80 - 0.10 * level + rng.normal(0, 0.025, LEVELS), 0.6, 0.86)
    half_width = (9.0 + 6.0 * level) * rng.uniform(0.92, 1.1) * zoom * rng.normal(1, 0.02, LEVELS)
    wedge = -0.35 * np.gradient(tilt) + rng.normal(0, 0.03, LEVELS)
    waist = rng.uniform(0.04, 0.14, LEVELS)
    half_height = pitch * filled / 2
    rows = zip(y, x, half_width, half_height, tilt, turn, waist, wedge, strict=True)
    return [Vertebra(*map(float, row)) for row in rows]


def outlined(vertebra: Vertebra, rng: np.random.Generator) -> Vertebra:
    """The body as a person outlines it: off by about half a pixel, a few per cent and two degrees."""
    y, x, tilt = rng.normal(0, (0.5, 0.5, 0.035))
    width, height = rng.normal(1, 0.04, 2)
    return replace(
        vertebra,
        y=vertebra.y + y,
        x=vertebra.x + x,
        tilt=vertebra.tilt + tilt,
        half_width=vertebra.half_width * width,
        half_height=vertebra.half_height * height,
        waist=0.3 * vertebra.waist,
    )


def _centre_line(rng: np.random.Generator, level: Field) -> tuple[Field, Field]:
    """Sideways offset in pixels and axial turn (-1 to 1) of each level: one or two curves of random strength."""
    single, double = rng.normal(0, 11.0), rng.normal(0, 7.5)
    phase = rng.uniform(-0.15, 0.15)
    offset = single * np.sin(np.pi * level) + double * np.sin(2 * np.pi * (level + phase))
    lean = rng.normal(0, 7.0) * (level - 0.5)
    return offset + lean, np.clip(offset / 22.0, -1, 1)


def _local(vertebra: Vertebra, y: Field, x: Field) -> Local:
    cos, sin = np.cos(vertebra.tilt), np.sin(vertebra.tilt)
    dy, dx = y - vertebra.y, x - vertebra.x
    return Local(u=cos * dx + sin * dy, v=cos * dy - sin * dx)


def body_distance(vertebra: Vertebra, local: Local) -> NDArray[np.float64]:
    """Approximate distance in pixels to the outline of the body, positive inside.

    The outline is a box with rounded corners, side walls drawn in at mid height, and end plates that are
    slightly hollow and not quite parallel.
    """
    along = np.clip(local.v / vertebra.half_height, -1.5, 1.5)
    across = np.clip(local.u / vertebra.half_width, -1.5, 1.5)
    side = vertebra.half_width * (1 - vertebra.waist * (1 - np.minimum(along**2, 1))) - np.abs(local.u)
    half = vertebra.half_height * (1 + vertebra.wedge * across - 0.06 * np.cos(np.pi / 2 * across))
    plate = half - np.abs(local.v)
    corner = 2.0
    outside = np.hypot(np.minimum(side - corner, 0), np.minimum(plate - corner, 0))
    return np.where((side < corner) & (plate < corner), corner - outside, np.minimum(side, plate))


def _bone(vertebra: Vertebra, local: Local, distance: Field, texture: Field) -> Field:
    """Attenuation of one vertebra: spongy body, dense end plates and walls, pedicles, processes."""
    w, h = vertebra.half_width, vertebra.half_height
    body = soft(distance, 1.6) * (0.095 + 0.012 * texture)
    flat = np.abs(local.v) / h > np.abs(local.u) / w
    rim = np.exp(-(((distance - 0.8) / 0.9) ** 2)) * np.where(flat, 0.14, 0.08)
    bone = body + rim
    for side in (-1.0, 1.0):
        middle = side * 0.62 * w + 0.35 * w * vertebra.turn
        ring = np.hypot((local.u - middle) / (0.15 * w), (local.v + 0.25 * h) / (0.38 * h))
        bone += 0.15 * np.exp(-(((ring - 1) / 0.4) ** 2)) + 0.02 * soft(1 - ring, 0.5)
        reach = side * local.u - 0.85 * w
        thin = np.exp(-(((local.v + 0.35 * h + 0.12 * reach) / (0.22 * h)) ** 2))
        bone += 0.05 * thin * soft(reach, 3.0) * soft(0.62 * w - reach, 3.0)
    tip = np.hypot((local.u - 0.5 * w * vertebra.turn) / (0.14 * w), (local.v - 0.55 * h) / (0.75 * h))
    return bone + 0.10 * soft(1.0 - tip, 0.6)
