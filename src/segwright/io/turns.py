"""A camera's turn (EXIF orientation): pictures as stored and as shown upright, and labels drawn on either."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.geometry import Geometry
from segwright.core.volume import Index, LazyArray, Volume

#: What readers say of a picture that is read as stored; `shown` takes it away.
IGNORED = "The camera's turn (EXIF orientation) is ignored: pixels are read as stored, as its labels are."
#: Turns by a quarter, which exchange rows and columns; the two that undo each other.
_QUARTERS, _PARTNERS = frozenset({5, 6, 7, 8}), {6: 8, 8: 6}


def upright(array: NDArray[Any], turn: int) -> NDArray[Any]:
    """Stored pixels `(..., rows, columns)` as a viewer shows them, for an EXIF orientation of 1 to 8.

    Example:
        >>> upright(np.array([[1, 2], [3, 4]]), 6).tolist()
        [[3, 1], [4, 2]]
    """
    if turn in (2, 3):
        array = array[..., ::-1]
    if turn in (3, 4):
        array = array[..., ::-1, :]
    if turn in (5, 7):
        array = np.swapaxes(array, -1, -2)
    if turn == 7:
        array = array[..., ::-1, ::-1]
    if turn in (6, 8):
        array = np.rot90(array, -1 if turn == 6 else 1, axes=(-2, -1))
    return array


def stored(array: NDArray[Any], turn: int) -> NDArray[Any]:
    """Pixels as shown back to how they are stored; the inverse of `upright`."""
    return upright(array, _PARTNERS.get(turn, turn))


def turned_size(size: tuple[int, int], turn: int) -> tuple[int, int]:
    """Rows and columns after a turn (either way)."""
    return (size[1], size[0]) if turn in _QUARTERS else size


def turn_of(volume: Volume) -> int:
    """The EXIF orientation that a picture's header states; 1 where it states none."""
    turn = int(volume.header.get("turn", 1))
    return turn if 1 <= turn <= 8 else 1


def turned_grid(grid: Geometry, turn: int) -> Geometry:
    """The grid of a single plane after a turn (either way)."""
    if turn not in _QUARTERS:
        return grid
    z, y, x = grid.spacing
    return Geometry.from_spacing((grid.shape[0], grid.shape[2], grid.shape[1]), (z, x, y))


def shown(volume: Volume) -> Volume:
    """A picture as a viewer shows it; one without a turn as it is."""
    turn = turn_of(volume)
    if turn == 1:
        return volume
    grid = turned_grid(volume.geometry, turn)

    def read(index: Index) -> NDArray[Any]:
        plane = volume.data[(index[0], index[1], *(slice(0, n) for n in volume.geometry.shape[1:]))]
        return upright(plane, turn)[:, :, index[2], index[3]]

    told = tuple(text for text in volume.header.get("warnings", ()) if text != IGNORED)
    data = LazyArray((*volume.data.shape[:2], *grid.shape[1:]), volume.dtype, read)
    return replace(volume, data=data, geometry=grid, header={**volume.header, "warnings": told})
