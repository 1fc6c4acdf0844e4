"""The ordered record of spatial steps a scan went through, so that results can walk back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from segwright.core.box import Box
from segwright.core.geometry import Geometry


@dataclass(frozen=True, slots=True)
class Turned:
    """Axes were permuted by `order`, then reversed along `flips`."""

    order: tuple[int, ...]
    flips: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cropped:
    """A box was cut out of the grid."""

    box: Box


@dataclass(frozen=True, slots=True)
class Resampled:
    """Voxel counts changed over the same extent."""

    shape: tuple[int, int, int]


SpatialStep = Turned | Cropped | Resampled


@dataclass(frozen=True, slots=True)
class Trail:
    """Steps with the geometry each one started from; `source` is the scan's own grid, `target` the prepared one."""

    source: Geometry
    target: Geometry
    steps: tuple[tuple[SpatialStep, Geometry], ...] = field(default=())

    @property
    def resampled(self) -> bool:
        """Whether voxel counts changed on the way."""
        return any(isinstance(step, Resampled) for step, _ in self.steps)


def turn_for(geometry: Geometry, orientation: str | None) -> Turned | None:
    """The turn from a grid's own axes to an orientation, if any; single planes are not turned."""
    if orientation is None or geometry.ndim_effective == 2:
        return None
    order, flips = geometry.path_to(orientation)
    return None if order == (0, 1, 2) and not flips else Turned(order, flips)


def turn(array: NDArray[Any], step: Turned) -> NDArray[Any]:
    """A view of `(C, z, y, x)` with axes permuted, then reversed."""
    return _reversed(array.transpose(0, *(axis + 1 for axis in step.order)), step)


def unturn(array: NDArray[Any], step: Turned) -> NDArray[Any]:
    """A view of `(C, z, y, x)` with the axes of `turn` reversed back, then permuted back.

    Example:
        >>> import numpy as np
        >>> array, step = np.arange(6.0).reshape(1, 1, 2, 3), Turned((2, 0, 1), (1,))
        >>> bool((unturn(turn(array, step), step) == array).all())
        True
    """
    back = (step.order.index(axis) + 1 for axis in range(3))
    return _reversed(array, step).transpose(0, *back)


def _reversed(array: NDArray[Any], step: Turned) -> NDArray[Any]:
    index = tuple(slice(None, None, -1) if axis in step.flips else slice(None) for axis in range(3))
    return array[(slice(None), *index)]
