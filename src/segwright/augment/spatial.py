"""Changes of place: rotation, scale, shift, elastic warps and flips, one resampling for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from segwright.augment.protocol import Draw, Pair, Step, Values, around_one


@dataclass(frozen=True, kw_only=True)
class Spatial(Step):
    """Move voxels; each kind of motion has its own probability, and `p` gates them all.

    Rotations and scales act in mm, so thick slices do not shear what is rotated; unknown spacings count as the mean
    of the known ones. Label voxels from outside the patch become background, image voxels 0.

    Attributes:
        rotation: Degrees in the slice plane (about z).
        tilt: Degrees about y and x; `None` means as `rotation`.
        scale: Size factor; above 1 enlarges.
        stretch: Further size factor of each axis on its own.
        shift: Displacement as a share of the patch.
        elastic: Largest displacement as a share of the spacing of control points; below 0.4 nothing folds.
        cells: Control points an axis of the elastic field.
        p_rotation, p_scale, p_stretch, p_shift, p_elastic: Probability of each.
        in_plane: Leave z alone. Always so where the patch is one slice.
    """

    rotation: Pair = (-30.0, 30.0)
    tilt: Pair | None = None
    scale: Pair = (0.7, 1.4)
    stretch: Pair = (1.0, 1.0)
    shift: Pair = (0.0, 0.0)
    elastic: Pair = (0.0, 0.0)
    cells: int = 6
    p_rotation: float = 0.3
    p_scale: float = 0.3
    p_stretch: float = 0.0
    p_shift: float = 0.0
    p_elastic: float = 0.0
    in_plane: bool = False
    moves: ClassVar[bool] = True

    def draw(
        self, rng: np.random.Generator, batch: int, shape: Sequence[int], spacing: NDArray[Any] | None = None
    ) -> Draw:
        """See `Step.draw`."""
        flat = self.in_plane or shape[1] == 1
        mm = _known(spacing, batch)
        chances = (self.p_rotation, self.p_scale, self.p_stretch, self.p_shift, self.p_elastic)
        kinds = rng.random((batch, 5)) < chances
        on = (rng.random(batch) < self.p) & kinds.any(axis=1)
        matrix = np.linalg.inv(self._motion(rng, kinds, flat))
        # From mm to voxels on both sides: what rotates is the body, not the array.
        matrix = matrix * mm[:, None, :] / mm[:, :, None]
        shift = rng.uniform(*self.shift, (batch, 3)) * np.asarray(shape[1:]) * kinds[:, 3:4]
        shift[:, 0] *= not flat
        values = {"matrix": matrix, "offset": -np.einsum("bij,bj->bi", matrix, shift)}
        if max(np.abs(self.elastic)) > 0 and self.p_elastic > 0:
            values["field"] = self._field(rng, shape[1:], mm, flat) * kinds[:, 4].reshape(-1, 1, 1, 1, 1)
        return Draw(on, values)

    def _motion(self, rng: np.random.Generator, kinds: NDArray[np.bool_], flat: bool) -> NDArray[np.float64]:
        """Rotation times size factors, `(B, 3, 3)` in mm; identity on z where `flat`."""
        batch = len(kinds)
        tilt = self.rotation if self.tilt is None else self.tilt
        angle = np.stack([rng.uniform(*bounds, batch) for bounds in (self.rotation, tilt, tilt)], axis=1)
        size = np.where(kinds[:, 1:2], around_one(rng, self.scale, (batch, 1)), 1.0)
        size = size * np.where(kinds[:, 2:3], around_one(rng, self.stretch, (batch, 3)), 1.0)
        angle *= kinds[:, :1]
        if flat:
            angle[:, 1:], size[:, 0] = 0.0, 1.0
        return turn(angle) * size[:, None, :]

    def _field(
        self, rng: np.random.Generator, shape: Sequence[int], mm: NDArray[np.float64], flat: bool
    ) -> NDArray[np.float64]:
        """Displacements in voxels at control points `(B, 3, a, b, c)`, 0 on the rim, equal in mm on all axes."""
        knots = tuple(1 if flat and axis == 0 else self.cells for axis in range(3))
        cell = np.asarray(shape) * mm / max(self.cells - 1, 1)
        reach = cell[:, 1:].min(axis=1) if flat else cell.min(axis=1)
        field = rng.uniform(-1, 1, (len(mm), 3, *knots)) * rng.uniform(*self.elastic, (len(mm), 1, 1, 1, 1))
        for axis in range(1 if flat else 0, 3):
            np.moveaxis(field, 2 + axis, 0)[[0, -1]] = 0.0
        field[:, 0] *= not flat
        return field * (reach[:, None] / mm)[:, :, None, None, None]

    def change(self, image: Tensor, label: Tensor, values: Values) -> tuple[Tensor, Tensor]:
        place = {name: torch.as_tensor(value, dtype=image.dtype, device=image.device) for name, value in values.items()}
        field, flat = place.get("field"), _keeps_slices(values)
        return warp(image, label, matrix=place["matrix"], offset=place["offset"], field=field, flat=flat)


def _keeps_slices(values: Values) -> bool:
    """Whether z stays as it is and y, x move alike in every slice (asked of host numbers: no device sync)."""
    matrix, field = values["matrix"], values.get("field")
    own = np.array([1.0, 0.0, 0.0])
    still = (matrix[:, 0] == own).all() and (matrix[:, :, 0] == own).all() and (values["offset"][:, 0] == 0).all()
    return bool(still) and (field is None or (field.shape[2] == 1 and not field[:, 0].any()))


def turn(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation matrices `(B, 3, 3)` in `(z, y, x)` order from angles about z, y and x, `(B, 3)`.

    Example:
        >>> turn(np.array([[90.0, 0.0, 0.0]])).round().astype(int).tolist()
        [[[1, 0, 0], [0, 0, -1], [0, 1, 0]]]
    """
    total = np.broadcast_to(np.eye(3), (len(degrees), 3, 3))
    for axis, (a, b) in enumerate(((1, 2), (0, 2), (0, 1))):
        one = np.broadcast_to(np.eye(3), total.shape).copy()
        cos, sin = np.cos(np.deg2rad(degrees[:, axis])), np.sin(np.deg2rad(degrees[:, axis]))
        one[:, a, a], one[:, a, b], one[:, b, a], one[:, b, b] = cos, -sin, sin, cos
        total = total @ one
    return total


def _known(spacing: NDArray[Any] | None, batch: int) -> NDArray[np.float64]:
    """Spacings `(B, 3)` with gaps filled by the mean of the known ones, or 1."""
    if spacing is None:
        return np.ones((batch, 3))
    mm = np.asarray(spacing, dtype=np.float64)
    known = np.isfinite(mm) & (mm > 0)
    mean = np.where(known, mm, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.where(known, mm, np.where(mean > 0, mean, 1.0)[:, None])


def warp(
    image: Tensor, label: Tensor, *, matrix: Tensor, offset: Tensor, field: Tensor | None, flat: bool
) -> tuple[Tensor, Tensor]:
    """Read image and label at moved positions; what lies outside reads as 0.

    With `c` the distance of an output voxel from the patch centre in voxels, the input position is
    `matrix @ c + offset + field(c)`.

    Args:
        image: float32 `(B, C, z, y, x)`.
        label: Integers `(B, P, z, y, x)` below 2**24 in size.
        matrix: `(B, 3, 3)` in `(z, y, x)` order.
        offset: `(B, 3)` in voxels.
        field: Displacements in voxels on a coarse grid, `(B, 3, a, b, c)`, whose corners are the patch's corners.
        flat: The map leaves z alone and moves all slices alike. Then z is folded into channels, and the 2-D routine
            is over ten times faster on a CPU than the 3-D one.
    """
    shape = tuple(image.shape[2:])
    if flat:
        shape, matrix, offset = shape[1:], matrix[:, 1:, 1:], offset[:, 1:]
        field = None if field is None else field[:, 1:, 0]
    grid = _positions(shape, matrix, offset, field)
    return _read(image, grid, "bilinear"), _read(label.to(image.dtype), grid, "nearest").to(label.dtype)


def _positions(shape: Sequence[int], matrix: Tensor, offset: Tensor, field: Tensor | None) -> Tensor:
    """Input positions `(B, *shape, d)` in the last-axis-first units of `grid_sample`, where -1 and 1 are outer faces.

    A sum of one term an axis needs a third of the memory traffic of a product with a full list of coordinates.
    """
    dims, batch = len(shape), len(matrix)
    axes = [torch.arange(n, device=matrix.device, dtype=matrix.dtype) - (n - 1) / 2 for n in shape]
    if field is not None:
        mode = "trilinear" if dims == 3 else "bilinear"
        field = F.interpolate(field, size=tuple(shape), mode=mode, align_corners=True)
    grid = torch.empty((batch, *shape, dims), device=matrix.device, dtype=matrix.dtype)
    for k, length in enumerate(shape):
        total = offset[:, k].reshape(batch, *(1,) * dims) * (2 / length)
        for j, axis in enumerate(axes):
            along = [batch, *(1,) * dims]
            along[1 + j] = len(axis)
            total = total + (matrix[:, k, j, None] * axis * (2 / length)).reshape(along)
        grid[..., dims - 1 - k] = total if field is None else total + field[:, k] * (2 / length)
    return grid


def _read(values: Tensor, grid: Tensor, mode: str) -> Tensor:
    """`grid_sample`, with z folded into channels if the grid is two-dimensional."""
    source = values.flatten(1, 2) if grid.ndim == 4 else values
    return F.grid_sample(source, grid, mode=mode, padding_mode="zeros", align_corners=False).reshape(values.shape)


Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Mirror(Step):
    """Reverse each allowed axis with probability one half.

    Attributes:
        axes: Axes that may be reversed (0 z, 1 y, 2 x); never one that carries identity or side, unless `exchange` says
            which structures change places.
        exchange: For an axis, pairs of structure indices that a reflection along it turns into one another.
    """

    axes: tuple[int, ...] = ()
    exchange: Mapping[int, Pairs] = field(default_factory=dict)
    moves: ClassVar[bool] = True

    def values(self, rng: np.random.Generator, batch: int, shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        return {"flip": (rng.random((batch, 3)) < 0.5) & np.isin(np.arange(3), self.axes)}

    def change(self, image: Tensor, label: Tensor, values: Values) -> tuple[Tensor, Tensor]:
        image, label = image.clone(), label.clone()
        for sample, flip in enumerate(values["flip"]):
            axes = [int(axis) for axis in np.flatnonzero(flip)]
            if axes:
                dims = [1 + axis for axis in axes]
                image[sample] = image[sample].flip(dims)
                turned = label[sample].flip(dims)
                for axis in axes:
                    turned = _exchanged(turned, self.exchange.get(axis, ()))
                label[sample] = turned
        return image, label


def _exchanged(label: Tensor, pairs: Pairs) -> Tensor:
    """Exchange paired structures of one label `(P, z, y, x)`: planes if overlapping, values if exclusive."""
    if not pairs:
        return label
    if label.shape[0] > 1:
        order = list(range(label.shape[0]))
        for a, b in pairs:
            order[a], order[b] = b, a
        return label[order]
    out = label.clone()
    for a, b in pairs:
        out = torch.where(label == a + 1, b + 1, torch.where(label == b + 1, a + 1, out))
    return out.to(label.dtype)
