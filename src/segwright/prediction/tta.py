"""Test-time augmentation: the mean over mirrored copies of each window."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

Forward = Callable[[Tensor], Tensor]


def mirrored(forward: Forward, axes: Sequence[int], orders: Mapping[int, Sequence[int]] | None = None) -> Forward:
    """`forward` averaged over every combination of flips along `axes` (0 z, 1 y, 2 x); without axes, `forward` itself.

    Args:
        forward: `(B, C, z, y, x)` to scores `(B, K, z', y, x)`.
        axes: Axes that may be mirrored without changing what a structure is called, but for
        orders: Axes along which structures change places: for each channel, the one that it becomes if flipped.

    Example:
        >>> import torch
        >>> ramp = mirrored(lambda x: x * torch.arange(2.0), (2,))
        >>> ramp(torch.ones(1, 1, 1, 1, 2)).ravel().tolist()
        [0.5, 0.5]
    """
    if not axes:
        return forward
    flips = [c for count in range(len(set(axes)) + 1) for c in itertools.combinations(sorted(set(axes)), count)]

    def averaged(batch: Tensor) -> Tensor:
        total = forward(batch).float()
        for flip in flips[1:]:
            dims = [axis + 2 for axis in flip]
            scores = forward(batch.flip(dims)).float().flip(dims)
            for axis in reversed(flip):  # training renames along the first axis first, so that is undone last
                scores = scores[:, list(orders[axis])] if orders and axis in orders else scores
            total = total + scores
        return total / len(flips)

    return averaged


def channel_order(pairs: Sequence[tuple[int, int]], channels: int, structures: int) -> list[int]:
    """Channels in the order after paired structures changed places; structures are the last channels of a target.

    Example:
        >>> channel_order([(0, 1)], channels=4, structures=3)
        [0, 2, 1, 3]
    """
    order, first = list(range(channels)), channels - structures
    for a, b in pairs:
        order[first + a], order[first + b] = first + b, first + a
    return order
