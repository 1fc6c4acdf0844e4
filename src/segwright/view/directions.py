"""How a slice is turned on the screen: anatomical planes as radiologists hang them, pictures as they are stored."""

from __future__ import annotations

from typing import Any

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
