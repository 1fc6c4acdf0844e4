"""Linear interpolation to a size; where the depth stays, slice by slice, which is faster and gives the same."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from segwright.nets.dims import linear_mode


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """`(B, C, [z,] y, x)` to `size`, in the layout of `x`.

    In channels-last layout slices lie one after the other, so that they can be taken for images of their own without
    a copy: torch's trilinear kernel on CPUs takes up to twice as long.

    Example:
        >>> resize(torch.tensor([[[0.0, 4.0]]])[None], (1, 4)).flatten().tolist()
        [0.0, 1.0, 3.0, 4.0]
    """
    if x.ndim == 5 and x.shape[2] == size[0] and x.is_contiguous(memory_format=torch.channels_last_3d):
        slices = F.interpolate(x.transpose(1, 2).flatten(0, 1), size=tuple(size[1:]), mode="bilinear")
        return slices.unflatten(0, (len(x), size[0])).transpose(1, 2)
    return F.interpolate(x, size=tuple(size), mode=linear_mode(len(size)))
