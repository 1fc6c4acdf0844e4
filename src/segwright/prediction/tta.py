"""Test-time augmentation: the mean over mirrored copies of each window."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from torch import Tensor

Forward = Callable[[Tensor], Tensor]


def mirrored(forward: Forward, axes: Sequence[int]) -> Forward:
    """`forward` averaged over every combination of flips along `axes` (0 z, 1 y, 2 x); without axes, `forward` itself.

    Args:
        forward: `(B, C, z, y, x)` to scores `(B, K, z', y, x)`.
        axes: Axes that may be mirrored without changing what a structure is called.

    Example:
        >>> import torch
        >>> ramp = mirrored(lambda x: x * torch.arange(2.0), (2,))
        >>> ramp(torch.ones(1, 1, 1, 1, 2)).ravel().tolist()
        [0.5, 0.5]
    """
    if not axes:
        return forward
    dims = sorted(axis + 2 for axis in set(axes))
    flips = [c for count in range(len(dims) + 1) for c in itertools.combinations(dims, count)]

    def averaged(batch: Tensor) -> Tensor:
        total = forward(batch).float()
        for flip in flips[1:]:
            total = total + forward(batch.flip(flip)).float().flip(flip)
        return total / len(flips)

    return averaged
