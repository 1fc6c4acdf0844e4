"""Draws measured lines over a scan as a picture to keep: grey image, outlines, lines with their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from segwright.core.disk import atomic_path

#: Inches of the longer side of the picture, dots an inch, and the strip under it for words.
LONG, DPI, STRIP = 8.0, 150, 0.22
#: Colour of lines that stand out, of those that stay back, and of the ground.
MAIN, FINE, GROUND = "#FFD54A", "#FFFFFF", "#101418"


@dataclass(frozen=True)
class Shape:
    """A structure to outline: its mask `(y, x)` and colour."""

    mask: NDArray[np.bool_]
    colour: str


@dataclass(frozen=True)
class Stroke:
    """A line to draw: points `(N, 2)` in pixels `(y, x)`, its words, and whether it stands out."""

    points: NDArray[np.float64]
    text: str
    main: bool


@dataclass(frozen=True)
class Picture:
    """What one picture shows.

    Attributes:
        image: Grey values `(y, x)`; `None` where only masks are known.
        shapes: Outlined structures, at least one.
        strokes: Lines over them.
        steps: Edges of a pixel `(y, x)`; the picture keeps true proportions.
        caption: Lines of text below.
    """

    image: NDArray[Any] | None
    shapes: Sequence[Shape]
    strokes: Sequence[Stroke]
    steps: tuple[float, float]
    caption: Sequence[str]


def draw(picture: Picture, path: Path) -> Path:
    """Write a picture as PNG; it appears only when whole."""
    height, width = picture.shapes[0].mask.shape
    tall, wide = height * picture.steps[0], width * picture.steps[1]
    unit = LONG / max(tall, wide)
    strip = STRIP * (len(picture.caption) + 0.6)
    size = (max(wide * unit, 3.2), tall * unit + strip)
    figure = Figure(figsize=size, dpi=DPI, facecolor=GROUND)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, strip / size[1], 1.0, 1 - strip / size[1]))
    axes.set_axis_off()
    _paint(axes, picture)
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    axes.set_aspect(picture.steps[0] / picture.steps[1])
    for row, words in enumerate(picture.caption):
        y = (strip - STRIP * (row + 0.9)) / size[1]
        figure.text(0.02, y, words, color="#E8EAED" if row == 0 else "#9AA0A6", fontsize=8, va="center")
    with atomic_path(path) as partial:
        figure.savefig(partial, facecolor=GROUND, format="png")
    return path


def _paint(axes: Any, picture: Picture) -> None:
    """Image, outlines and lines, one over the other."""
    height, width = picture.shapes[0].mask.shape
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    if picture.image is not None:
        low, high = np.percentile(picture.image[np.isfinite(picture.image)], (0.5, 99.5))
        axes.imshow(picture.image, cmap="gray", vmin=low, vmax=high if high > low else low + 1, extent=extent)
    for shape in picture.shapes:
        if shape.mask.any():
            _outline(axes, shape, filled=picture.image is None)
    halo = [withStroke(linewidth=2.5, foreground="#000000B0")]
    for stroke in picture.strokes:
        y, x = stroke.points.T
        look: dict[str, Any] = {"color": MAIN, "linewidth": 1.6} if stroke.main else {"color": FINE, "linewidth": 0.8}
        axes.plot(x, y, solid_capstyle="round", alpha=1.0 if stroke.main else 0.75, path_effects=halo, **look)
        if stroke.text:
            _write(axes, stroke, (height, width), halo)


def _outline(axes: Any, shape: Shape, *, filled: bool) -> None:
    """A faint fill and a thin outline of one structure."""
    padded = np.pad(shape.mask, 1).astype(np.float32)
    y, x = (np.arange(-1, n + 1) for n in shape.mask.shape)
    axes.contourf(x, y, padded, levels=[0.5, 1.5], colors=[shape.colour], alpha=0.45 if filled else 0.22)
    axes.contour(x, y, padded, levels=[0.5], colors=[shape.colour], linewidths=0.9)


def _write(axes: Any, stroke: Stroke, size: tuple[int, int], halo: Sequence[Any]) -> None:
    """Words at the right end of a line, or at its left end where there is no room."""
    ends = stroke.points[np.argsort(stroke.points[:, 1])]
    right = ends[-1, 1] < 0.68 * size[1]
    y, x = ends[-1] if right else ends[0]
    inside = (min(max(y, 0.03 * size[0]), 0.97 * size[0]), min(max(x, 0.02 * size[1]), 0.98 * size[1]))
    if not right and ends[0, 1] < 0.35 * size[1]:  # a line across the whole picture carries its words above its middle
        middle = ends.mean(axis=0)
        axes.text(middle[1], middle[0] - 0.012 * size[0], stroke.text, ha="center", va="bottom", **_words(halo))
        return
    axes.text(inside[1], inside[0], f" {stroke.text} ", ha="left" if right else "right", va="center", **_words(halo))


def _words(halo: Sequence[Any]) -> dict[str, Any]:
    return {"color": MAIN, "fontsize": 9, "fontweight": "bold", "path_effects": list(halo), "clip_on": True}
