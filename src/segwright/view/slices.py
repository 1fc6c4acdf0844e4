"""A slice on its way to the screen: how it hangs, made smaller, as levels of grey."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.volume import Volume

#: Formats whose axes have a direction in the patient.
PLACED = frozenset({"nifti", "itk", "dicom"})
_NAMES = ("sagittal", "coronal", "axial")
_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))
#: For a slice across a world axis: world axis down the screen and its sign, world axis to the right and its sign.
_HUNG = {2: ((1, -1), (0, -1)), 1: ((2, -1), (0, -1)), 0: ((2, -1), (1, -1))}


def views(volume: Volume) -> list[dict[str, Any]]:
    """For each array axis how slices across it are shown.

    `transposed`, `flip_rows` and `flip_columns` turn a slice as stored (in that order) into one as shown;
    `row_size` and `column_size` are mm a pixel as shown, and `letters` name top, right, bottom and left.
    """
    return [_view(volume, axis) for axis in range(3)]


def _view(volume: Volume, axis: int) -> dict[str, Any]:
    geometry = volume.geometry
    placed = geometry.shape[0] > 1 and volume.header.get("format") in PLACED and all(geometry.known)
    rest = [a for a in range(3) if a != axis]
    if not placed:
        size = [geometry.lengths[a] if geometry.known[a] else None for a in rest]
        known = [s for s in size if s is not None]
        filled = [s if s is not None else (known[0] if known else 1.0) for s in size]
        return _row("xyz"[2 - axis], axis, rest, filled, all(s is not None for s in size))
    (down, down_sign), (right, right_sign) = _HUNG[geometry.axes[axis][0]]
    world = {geometry.axes[a][0]: (a, geometry.axes[a][1]) for a in rest}
    row_axis, row_sign = world[down]
    column_axis, column_sign = world[right]
    found = _row(_NAMES[geometry.axes[axis][0]], axis, [row_axis, column_axis], None, True)
    found["transposed"] = row_axis > column_axis
    found["flip_rows"] = row_sign != down_sign
    found["flip_columns"] = column_sign != right_sign
    found["row_size"], found["column_size"] = geometry.lengths[row_axis], geometry.lengths[column_axis]
    ends = [
        _letter(down, -down_sign),
        _letter(right, right_sign),
        _letter(down, down_sign),
        _letter(right, -right_sign),
    ]
    found["letters"] = ends
    return found


def _row(name: str, axis: int, shown: list[int], size: list[float] | None, in_mm: bool) -> dict[str, Any]:
    return {
        "name": name,
        "axis": axis,
        "row_axis": shown[0],
        "column_axis": shown[1],
        "transposed": False,
        "flip_rows": False,
        "flip_columns": False,
        "row_size": size[0] if size else 1.0,
        "column_size": size[1] if size else 1.0,
        "in_mm": in_mm,
        "letters": None,
    }


def _letter(world: int, sign: int) -> str:
    return _LETTERS[world][sign > 0]


#: Share of voxels that makes a value the background.
BACKGROUND = 0.2


def fitted(plane: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """A plane cut, or grown at its far edges, to a shape: levels of a pyramid round their lengths up or down."""
    short = max(0, rows - plane.shape[0]), max(0, columns - plane.shape[1])
    if any(short):
        plane = np.pad(plane, ((0, short[0]), (0, short[1])), mode="edge")
    return plane[:rows, :columns]


def reduced(plane: NDArray[Any], step: int | tuple[int, int]) -> NDArray[Any]:
    """A plane with squares of `step` pixels averaged; squares cut off by the edge average what they hold.

    Args:
        plane: `(rows, columns)`.
        step: Edge of the squares, or rows and columns of an oblong.

    Example:
        >>> reduced(np.array([[0, 2, 8], [2, 4, 8]], np.uint8), 2).tolist()
        [[2, 8]]
    """
    down, across = (step, step) if isinstance(step, int) else step
    if down <= 1 and across <= 1:
        return plane
    rows, columns = plane.shape
    missing = -rows % down, -columns % across
    grown = np.pad(plane, ((0, missing[0]), (0, missing[1])), mode="edge") if any(missing) else plane
    whole = plane.dtype.kind in "iu"
    area, kind = down * across, plane.dtype
    sums: Any = np.float64 if not whole or kind.itemsize > 2 else np.int32 if area <= 1 << 15 else np.int64
    lines = grown[::down].astype(sums)  # rows first: they lie together in memory, columns are then few
    for row in range(1, down):
        lines += grown[row::down]
    total = lines[:, ::across].copy()
    for column in range(1, across):
        total += lines[:, column::across]
    if not whole:
        return (total / area).astype(np.float32)
    if total.dtype.kind == "f":
        return np.rint(total / area).astype(kind)
    total += area // 2
    return (total // area).astype(kind)


def percentiles(values: NDArray[Any]) -> list[float]:
    """The 0, 0.5, 1, 50, 99, 99.5 and 100 percentile of what is finite; between the ends, of what is no background.

    Background is the least value, or 0, where a fifth of all voxels have exactly that: a brain that was standardised
    and set to -9 outside is then shown from its own dark to its own bright, not from air to brain.

    Example:
        >>> percentiles(np.array([-9.0] * 5 + [1, 2, 3, 4, 5]))[:4]
        [-9.0, 1.02, 1.04, 3.0]
    """
    real = values[np.isfinite(values)] if values.dtype.kind == "f" else values.reshape(-1)
    if not real.size:
        return [0.0] * 7
    ends, seen = (real.min(), real.max()), real
    for background in {ends[0], real.dtype.type(0)}:
        outside = seen == background
        if outside.sum() > BACKGROUND * real.size and not outside.all():
            seen = seen[~outside]
    inner = (float(v) for v in np.percentile(seen, (0.5, 1, 50, 99, 99.5)))
    return [float(ends[0]), *inner, float(ends[1])]


def as_levels(plane: NDArray[Any]) -> tuple[bytes, dict[str, Any]]:
    """Pixels as 8 or 16 bits and what they mean: `value = low + scale * pixel`.

    Whole numbers that span fewer than 65,536 levels arrive exactly; other values to 1/65,535 of the slice's range.
    Pixels that are no number become the lowest level.

    Example:
        >>> body, meaning = as_levels(np.array([[-1000, 1000]], np.int16))
        >>> np.frombuffer(body, "<u2").tolist(), meaning["low"], meaning["scale"]
        ([0, 2000], -1000.0, 1.0)
    """
    rows, columns = plane.shape
    shape = {"rows": rows, "columns": columns}
    if plane.dtype == np.uint8:
        return np.ascontiguousarray(plane).tobytes(), {**shape, "bits": 8, "low": 0.0, "scale": 1.0}
    if plane.dtype == np.bool_:
        return plane.astype(np.uint8).tobytes(), {**shape, "bits": 8, "low": 0.0, "scale": 1.0}
    if plane.dtype.kind in "iu" and plane.dtype.itemsize <= 2:
        least = int(plane.min())
        levels = (plane.astype(np.int32) - least).astype("<u2")
        return levels.tobytes(), {**shape, "bits": 16, "low": float(least), "scale": 1.0}
    wide = plane.astype(np.float64)
    finite = np.isfinite(wide)
    low = float(wide.min(where=finite, initial=np.inf))
    high = float(wide.max(where=finite, initial=-np.inf))
    low, high = (low, high) if low <= high else (0.0, 0.0)
    whole = plane.dtype.kind in "iu" and high - low <= 65_535
    scale = 1.0 if whole or high == low else (high - low) / 65_535
    levels = np.rint((np.where(finite, wide, low) - low) / scale).astype("<u2")
    return levels.tobytes(), {**shape, "bits": 16, "low": low, "scale": scale}
