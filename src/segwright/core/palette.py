"""Colours that tell structures apart: twelve that suit colour-blind readers, then the farthest from all others."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

#: Twelve colours that stay apart for colour-blind readers (after Okabe-Ito and Paul Tol's muted set).
PALETTE = (
    "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00",
    "#CC79A7", "#88CCEE", "#AA4499", "#44AA99", "#DDCC77", "#882255",
)  # fmt: skip
#: Colours before the first comes again.
MOST = 160
#: Levels of each primary that are candidates, the lightness that shows on grey and black, and the least of colour.
_LEVELS, _LIGHT, _CHROMA = 18, (0.42, 0.93), 0.05


def colour_of(index: int) -> str:
    """The colour of a structure by its place, `#RRGGBB`; the first hundred are as far apart as the first twelve.

    Example:
        >>> colour_of(0), colour_of(12), len({colour_of(i) for i in range(100)})
        ('#E69F00', '#6900FF', 100)
    """
    return PALETTE[index] if index < len(PALETTE) else _spread()[index % MOST]


@cache
def _spread() -> tuple[str, ...]:
    """The palette, and one candidate after the other that is farthest from all before it."""
    levels = np.linspace(0, 255, _LEVELS).round().astype(np.uint8)
    rgb = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    places = oklab(rgb)
    fit = (places[:, 0] > _LIGHT[0]) & (places[:, 0] < _LIGHT[1]) & (np.hypot(*places[:, 1:].T) > _CHROMA)
    rgb, places = rgb[fit], places[fit]
    first = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in PALETTE], np.uint8)
    near = np.min([np.linalg.norm(places - place, axis=1) for place in oklab(first)], axis=0)
    found = list(PALETTE)
    while len(found) < MOST:
        farthest = int(near.argmax())
        found.append("#" + "".join(f"{part:02X}" for part in rgb[farthest]))
        near = np.minimum(near, np.linalg.norm(places - places[farthest], axis=1))
    return tuple(found)


def oklab(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """sRGB `(n, 3)` of 0 to 255 as lightness and two colour axes, in which equal distances look alike (Ottosson 2020).

    Example:
        >>> oklab(np.array([[255, 255, 255], [255, 0, 0]], np.uint8)).round(3).tolist()
        [[1.0, 0.0, 0.0], [0.628, 0.225, 0.126]]
    """
    part = rgb / 255
    light = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    cones = light @ np.array(
        [[0.4122214708, 0.2119034982, 0.0883024619], [0.5363325363, 0.6806995451, 0.2817188376],
         [0.0514459929, 0.1073969566, 0.6299787005]]
    )  # fmt: skip
    found: NDArray[np.float64] = np.cbrt(cones) @ np.array(
        [[0.2104542553, 1.9779984951, 0.0259040371], [0.7936177850, -2.4285922050, 0.7827717662],
         [-0.0040720468, 0.4505937099, -0.8086757660]]
    )  # fmt: skip
    return found
