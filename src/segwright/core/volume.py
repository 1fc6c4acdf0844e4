"""A lazy image or label on a grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.box import Box
from segwright.core.errors import GeometryError
from segwright.core.geometry import Geometry

Index = tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class LazyArray:
    """An array that is read by slices when asked.

    Attributes:
        shape: `(C, z, y, x)`.
        dtype: NumPy type of what `read` returns.
        read: Function of four slices (non-negative, step 1) returning that part.
    """

    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    read: Callable[[Index], NDArray[Any]]

    def __getitem__(self, index: Index) -> NDArray[Any]:
        return self.read(index)

    @classmethod
    def of(cls, array: NDArray[Any]) -> LazyArray:
        """Wrap an array already in memory, shape `(C, z, y, x)`."""
        c, z, y, x = array.shape
        return cls((c, z, y, x), array.dtype, lambda index: array[index])


@dataclass(frozen=True, slots=True)
class Volume:
    """Voxels `(C, z, y, x)` on a geometry; read lazily, never changed in place.

    Attributes:
        data: Lazy array.
        geometry: Where the voxels are.
        channels: One name per channel, or empty where the format names none.
        header: What a writer of the same format needs to give back the same header.

    Example:
        >>> v = Volume.of(np.zeros((1, 2, 3)), Geometry.from_spacing((1, 2, 3)))
        >>> v.array().shape
        (1, 1, 2, 3)
    """

    data: LazyArray
    geometry: Geometry
    channels: tuple[str, ...] = ()
    header: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if tuple(self.data.shape[1:]) != self.geometry.shape:
            raise GeometryError(
                "Voxels and grid differ in shape.", expected=self.geometry.shape, got=self.data.shape[1:]
            )

    @classmethod
    def of(cls, array: NDArray[Any], geometry: Geometry, **rest: Any) -> Volume:
        """From an array in memory, `(C, z, y, x)` or `(z, y, x)` or `(y, x)`; leading axes of length 1 are added."""
        full = array.reshape((array.shape[0] if array.ndim == 4 else 1, *geometry.shape))
        return cls(LazyArray.of(full), geometry, **rest)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored voxels."""
        return self.data.dtype

    def array(self, box: Box | None = None) -> NDArray[Any]:
        """Voxels of a box inside the grid (all by default), `(C, z, y, x)`."""
        box = box or Box.whole(self.geometry.shape)
        return self.data[(slice(0, self.data.shape[0]), *box.slices)]
