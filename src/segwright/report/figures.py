"""Pictures of cases: the most telling slice as an embedded image, reference and prediction as outlines over it."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import matplotlib.image
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from segwright.core.labels import LabelSpace
from segwright.report.content import WorstCase
from segwright.report.wording import colour, number

#: Longest side of an embedded image in pixels.
_MOST_PIXELS = 560
#: Longest side in pixels of a slice that is not worth cropping.
_SMALL = 128
#: Height and width of a drawn panel never exceed this (SVG user units).
_PANEL = 400.0
#: Letters at which a displayed row or column should end: feet or back below, the patient's left on the right.
_DOWN, _RIGHT = ("I", "P", "L"), ("L", "P", "I")
_OPPOSITE = dict(zip("LRPAIS", "RLAPSI", strict=True))


@dataclass(frozen=True)
class Outline:
    """One structure in one panel: path data in panel units, empty where absent."""

    name: str
    colour: str
    reference: str
    prediction: str
    score: str


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
class Picture:
    """Overview and detail of one case; `same` if the detail is the whole slice."""

    overview: Panel
    detail: Panel
    same: bool
    outlines: list[Outline]
    caption: str


def picture(worst: WorstCase, labels: LabelSpace) -> Picture:
    """Draw the slice where reference and prediction differ most.

    The overview shows the whole slice without outlines, the detail the surroundings of all structures with them.
    Rows and columns are turned as radiologists expect if the orientation is known.
    """
    index = telling_slice(worst, labels)
    order = _display(worst.orientation)
    image = order.turn(np.asarray(worst.image[index], dtype=np.float32))
    pairs = [
        (order.turn(labels.mask(worst.reference, i)[index]), order.turn(labels.mask(worst.prediction, i)[index]))
        for i in range(len(labels.structures))
    ]
    steps = (worst.spacing[1], worst.spacing[2])[:: -1 if order.transpose else 1]
    window = _window(image)
    box = _surroundings(pairs, image.shape)
    same = box == (0, image.shape[0], 0, image.shape[1])
    overview = _panel(image, steps, window, order.letters)
    detail = overview if same else _panel(image[box[0] : box[1], box[2] : box[3]], steps, window, order.letters)
    framed = overview if same else _framed(overview, box, image.shape)
    outlines = _outlines(worst, labels, [(_cut(a, box), _cut(b, box)) for a, b in pairs], detail)
    slices = worst.image.shape[0]
    return Picture(framed, detail, same, outlines, f"slice {index + 1} of {slices}" if slices > 1 else "")


def telling_slice(worst: WorstCase, labels: LabelSpace) -> int:
    """Slice with the most voxels labelled differently; without any, the one with most structure."""
    ignored = labels.ignored(worst.reference)
    differ = ((worst.reference != worst.prediction).any(axis=0) & ~ignored).sum(axis=(1, 2))
    if differ.any():
        return int(differ.argmax())
    present = (worst.reference > 0).any(axis=0).sum(axis=(1, 2))
    return int(present.argmax()) if present.any() else len(present) // 2


@dataclass(frozen=True)
class _Display:
    """How a stored slice is turned for display."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False
    letters: tuple[str, str, str, str] | None = None

    def turn(self, plane: NDArray[Any]) -> NDArray[Any]:
        plane = plane.T if self.transpose else plane
        return plane[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]


def _display(orientation: str) -> _Display:
    """The display of the `(y, x)` plane of an array with these axis codes; unknown codes leave it as stored."""
    if len(orientation) != 3 or not set(orientation) <= set(_OPPOSITE):
        return _Display()
    rows, columns = orientation[1], orientation[2]
    rank = {letter: i for i, pair in enumerate(("IS", "PA", "LR")) for letter in pair}
    transpose = rank[columns] < rank[rows]
    rows, columns = (columns, rows) if transpose else (rows, columns)
    flip_rows, flip_columns = rows not in _DOWN, columns not in _RIGHT
    bottom = _OPPOSITE[rows] if flip_rows else rows
    right = _OPPOSITE[columns] if flip_columns else columns
    return _Display(transpose, flip_rows, flip_columns, (_OPPOSITE[bottom], right, bottom, _OPPOSITE[right]))


def _window(image: NDArray[np.float32]) -> tuple[float, float]:
    """Display range: percentiles 0.5 and 99.5 of the slice's finite values."""
    finite = image[np.isfinite(image)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, (0.5, 99.5))
    if high <= low:
        low, high = float(finite.min()), float(finite.max())
    return float(low), float(high if high > low else low + 1)


def _surroundings(
    pairs: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]], shape: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """Rows and columns around all structures, at least a fifth of the slice; all of it if that is most of it."""
    union = np.zeros(shape, bool)
    for reference, prediction in pairs:
        union |= reference | prediction
    if not union.any() or max(shape) <= _SMALL:
        return 0, shape[0], 0, shape[1]
    bounds: list[int] = []
    for axis in (0, 1):
        hit = np.flatnonzero(union.any(axis=1 - axis))
        half = max((hit[-1] - hit[0] + 1) * 0.75, shape[axis] * 0.1, 12)
        centre = (hit[-1] + hit[0] + 1) / 2
        bounds += [max(int(centre - half), 0), min(int(centre + half) + 1, shape[axis])]
    area = (bounds[1] - bounds[0]) * (bounds[3] - bounds[2])
    if area > 0.5 * shape[0] * shape[1]:
        return 0, shape[0], 0, shape[1]
    return bounds[0], bounds[1], bounds[2], bounds[3]


def _cut(plane: NDArray[Any], box: tuple[int, int, int, int]) -> NDArray[Any]:
    return plane[box[0] : box[1], box[2] : box[3]]


def _panel(
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


def _framed(overview: Panel, box: tuple[int, int, int, int], shape: tuple[int, ...]) -> Panel:
    """The overview with the rectangle that the detail shows."""
    down, across = overview.height / shape[0], overview.width / shape[1]
    frame = (box[2] * across, box[0] * down, (box[3] - box[2]) * across, (box[1] - box[0]) * down)
    rounded = (round(frame[0], 1), round(frame[1], 1), round(frame[2], 1), round(frame[3], 1))
    return Panel(overview.width, overview.height, overview.uri, overview.letters, overview.scale_bar, rounded)


def _embedded(image: NDArray[np.float32], window: tuple[float, float]) -> str:
    """The image as a data URI: PNG while small, else JPEG, shrunk by block means to the pixels a page can show."""
    stride = -(-max(image.shape) // _MOST_PIXELS)
    low, high = window
    grey = np.nan_to_num((image - low) / (high - low), nan=0.0, posinf=1.0, neginf=0.0)
    pixels = (np.clip(_shrunk(grey, stride), 0, 1) * 255).round().astype(np.uint8)
    small = pixels.size <= _SMALL**2
    buffer = io.BytesIO()
    options: dict[str, Any] = {"optimize": True} if small else {"quality": 84, "optimize": True}
    matplotlib.image.imsave(
        buffer, np.repeat(pixels[..., None], 3, axis=2), format="png" if small else "jpeg", pil_kwargs=options
    )
    kind = "png" if small else "jpeg"
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _shrunk(image: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    """Means over blocks of `stride` x `stride` pixels; the edge is repeated to fill the last blocks."""
    if stride == 1:
        return image
    extra = [(0, -size % stride) for size in image.shape]
    padded = np.pad(image, extra, mode="edge")
    blocks = padded.reshape(padded.shape[0] // stride, stride, padded.shape[1] // stride, stride)
    return blocks.mean(axis=(1, 3))


def _outlines(
    worst: WorstCase, labels: LabelSpace, pairs: list[tuple[NDArray[Any], NDArray[Any]]], panel: Panel
) -> list[Outline]:
    """Outlines of all structures in the detail; structures absent from both are left out."""
    axes = Figure().add_subplot()
    return [
        Outline(
            name,
            colour(labels, i),
            _traced(axes, reference, panel),
            _traced(axes, prediction, panel),
            number(worst.scores.get(name)),
        )
        for i, (name, (reference, prediction)) in enumerate(zip(labels.names, pairs, strict=True))
        if reference.any() or prediction.any()
    ]


def _traced(axes: Any, mask: NDArray[np.bool_], panel: Panel) -> str:
    """Outline of a mask halfway between inner and outer pixels, as closed SVG paths in panel units."""
    if not mask.any():
        return ""
    stride = -(-max(mask.shape) // _MOST_PIXELS)
    shrunk = mask[::stride, ::stride]
    if not shrunk.any():  # smaller than the stride: better drawn too large than not at all
        shrunk = _shrunk(mask.astype(np.float32), stride) > 0
    scale = (stride * panel.width / mask.shape[1], stride * panel.height / mask.shape[0])
    lines = axes.contour(np.pad(shrunk, 1).astype(np.float32), [0.5]).allsegs[0]
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
