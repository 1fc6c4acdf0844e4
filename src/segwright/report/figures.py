"""Draws one plane: the image embedded as pixels, structures as outlines in true proportions over it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from segwright.io.image import encoded

#: Longest side of an embedded image in pixels.
_MOST_PIXELS = 640
#: Longest side in pixels of an image that is embedded without loss.
_SMALL = 128
#: Height and width of a drawn panel never exceed this (SVG user units).
_PANEL = 400.0
#: Letters at which a displayed row or column should end: feet or back below, the patient's left on the right.
_DOWN, _RIGHT = ("I", "P", "L"), ("L", "P", "I")
_OPPOSITE = dict(zip("LRPAIS", "RLAPSI", strict=True))
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Outline:
    """One structure in one panel: path data in panel units, empty where absent; `index` is its place in the labels."""

    name: str
    colour: str
    reference: str
    prediction: str
    score: str
    index: int = 0


@dataclass(frozen=True)
class Panel:
    """One picture: `width` x `height` units, image as a data URI, edge letters (top, right, bottom, left)."""

    width: float
    height: float
    uri: str
    letters: tuple[str, str, str, str] | None
    scale_bar: tuple[float, str] | None
    frame: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Display:
    """How a stored slice is turned for display."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False
    letters: tuple[str, str, str, str] | None = None

    def turn(self, plane: NDArray[Any]) -> NDArray[Any]:
        """The plane as displayed."""
        plane = plane.T if self.transpose else plane
        return plane[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]


def display(codes: str) -> Display:
    """The display of a plane whose rows and columns run to these two letters; unknown ones leave it as stored.

    Example:
        >>> display("AR").letters
        ('A', 'L', 'P', 'R')
    """
    if len(codes) != 2 or not set(codes) <= set(_OPPOSITE):
        return Display()
    rows, columns = tuple(codes)
    rank = {letter: i for i, pair in enumerate(("IS", "PA", "LR")) for letter in pair}
    transpose = rank[columns] < rank[rows]
    rows, columns = (columns, rows) if transpose else (rows, columns)
    flip_rows, flip_columns = rows not in _DOWN, columns not in _RIGHT
    bottom = _OPPOSITE[rows] if flip_rows else rows
    right = _OPPOSITE[columns] if flip_columns else columns
    return Display(transpose, flip_rows, flip_columns, (_OPPOSITE[bottom], right, bottom, _OPPOSITE[right]))


def window_of(image: NDArray[np.float32]) -> tuple[float, float]:
    """Display range: percentiles 0.5 and 99.5 of the slice's finite values."""
    finite = image[np.isfinite(image)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, (0.5, 99.5))
    if high <= low:
        low, high = float(finite.min()), float(finite.max())
    return float(low), float(high if high > low else low + 1)


def panel_of(
    image: NDArray[np.float32],
    steps: tuple[float | None, ...],
    window: tuple[float, float],
    letters: tuple[str, str, str, str] | None,
) -> Panel:
    """Panel in true proportions, with a scale bar where spacing is known."""
    known = steps[0] is not None and steps[1] is not None
    tall = image.shape[0] * (steps[0] or 1.0 if known else 1.0)
    wide = image.shape[1] * (steps[1] or 1.0 if known else 1.0)
    unit = _PANEL / max(tall, wide)
    bar = _scale_bar(wide, unit) if known else None
    return Panel(round(wide * unit, 1), round(tall * unit, 1), _embedded(image, window), letters, bar)


def _scale_bar(wide: float, unit: float) -> tuple[float, str]:
    """Length in panel units and text of a round length about a quarter as long as the picture is wide."""
    rounds = [base * 10.0**power for power in range(-3, 4) for base in (1, 2, 5)]
    length = max((size for size in rounds if size <= wide / 3), default=rounds[0])
    text = f"{length / 10:g} cm" if length >= 10 else f"{length:g} mm" if length >= 0.1 else f"{length * 1000:g} µm"
    return round(length * unit, 1), text


def _embedded(image: NDArray[np.float32], window: tuple[float, float]) -> str:
    """The image as a data URI: PNG while small, else JPEG, shrunk by block means to the pixels a page can show."""
    stride = -(-max(image.shape) // _MOST_PIXELS)
    low, high = window
    grey = np.nan_to_num((image - low) / (high - low), nan=0.0, posinf=1.0, neginf=0.0)
    pixels = (np.clip(shrunk(grey, stride), 0, 1) * 255).round().astype(np.uint8)
    small = pixels.size <= _SMALL**2
    data = encoded(pixels) if small else encoded(pixels, quality=84)
    return f"data:image/{'png' if small else 'jpeg'};base64," + base64.b64encode(data).decode("ascii")


def shrunk(image: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    """Means over blocks of `stride` x `stride` pixels; the edge is repeated to fill the last blocks."""
    if stride == 1:
        return image
    extra = [(0, -size % stride) for size in image.shape]
    padded = np.pad(image, extra, mode="edge")
    blocks = padded.reshape(padded.shape[0] // stride, stride, padded.shape[1] // stride, stride)
    return blocks.mean(axis=(1, 3))


def traced(masks: Sequence[Mask], panel: Panel) -> list[str]:
    """Outline of each mask of a panel as closed SVG paths in its units; empty for an empty mask."""
    axes = Figure().add_subplot()
    return [_traced(axes, mask, panel) for mask in masks]


def _traced(axes: Any, mask: NDArray[np.bool_], panel: Panel) -> str:
    """Outline of a mask halfway between inner and outer pixels, as closed SVG paths in panel units."""
    if not mask.any():
        return ""
    stride = -(-max(mask.shape) // _MOST_PIXELS)
    small = mask[::stride, ::stride]
    if not small.any():  # smaller than the stride: better drawn too large than not at all
        small = shrunk(mask.astype(np.float32), stride) > 0
    scale = (stride * panel.width / mask.shape[1], stride * panel.height / mask.shape[0])
    lines = axes.contour(np.pad(small, 1).astype(np.float32), [0.5]).allsegs[0]
    axes.clear()
    return "".join(_closed(line, scale) for line in lines if len(line) > 2)


def _closed(line: NDArray[np.float64], scale: tuple[float, float]) -> str:
    """Path data of one closed line; points on a straight stretch are dropped, padding and pixel centres undone."""
    points = line[:-1]
    before, after = np.roll(points, 1, axis=0), np.roll(points, -1, axis=0)
    a, b = points - before, after - points
    bend = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) > 1e-9
    kept = (points[bend] - 0.5) * scale
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in kept) + "Z" if len(kept) else ""
