"""One resampling of image (linear) and label (nearest) by an affine map plus a displacement field."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


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
