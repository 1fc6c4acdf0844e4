"""The ordered record of spatial steps a scan went through, so that results can walk back."""

from __future__ import annotations

from dataclasses import dataclass, field

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
