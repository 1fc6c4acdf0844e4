"""Cases that are consecutive planes of a stored volume, so that one volume can be trained on and judged in blocks."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from segwright.core.box import Box
from segwright.core.case import Case
from segwright.core.errors import GeometryError
from segwright.core.geometry import Geometry
from segwright.core.volume import Index, LazyArray, Volume


def whole(case: Case) -> Case:
    """The case with all planes of its files."""
    return case.model_copy(update={"sections": None})


def planes_of(volume: Volume, case: Case) -> Volume:
    """The case's planes of a volume, read when asked for.

    Raises:
        GeometryError: The volume does not have these planes.
    """
    box = block_of(volume.geometry, case)
    start, (depth, y, x) = box.start[0], volume.geometry.crop(box).shape

    def read(index: Index) -> NDArray[Any]:
        first, last, step = index[1].indices(depth)
        return volume.data[(index[0], slice(start + first, start + last, step), *index[2:])]

    data = LazyArray((volume.data.shape[0], depth, y, x), volume.data.dtype, read)
    return Volume(data, volume.geometry.crop(box), volume.channels, volume.header)


def block_of(grid: Geometry, case: Case) -> Box:
    """Where the case lies on the grid of its files.

    Raises:
        GeometryError: The grid does not have these planes.
    """
    start, stop = case.sections or (0, grid.shape[0])
    if not 0 <= start < stop <= grid.shape[0]:
        raise GeometryError(
            f"Case {case.id!r} asks for planes that the scan does not have.",
            expected=f"0 to {grid.shape[0]}",
            got=f"{start} to {stop}",
            hint="Correct 'sections' in dataset.yaml.",
        )
    return Box((start, 0, 0), (stop, *grid.shape[1:]))
