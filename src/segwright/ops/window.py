"""How windows cover an axis and how much each of their voxels counts where windows overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def importance_profile(size: int, sigma: float = 0.125, floor: float = 0.01) -> NDArray[np.float32]:
    """Gaussian weight along one axis, 1 in the middle, never below `floor`, so that edges still count.

    Args:
        size: Voxels.
        sigma: Standard deviation as a share of `size`.
        floor: Smallest weight.

    Example:
        >>> importance_profile(1).tolist()
        [1.0]
    """
    distance = (np.arange(size) - (size - 1) / 2) / (sigma * size)
    return np.maximum(np.exp(-0.5 * distance**2), floor).astype(np.float32)


def window_starts(length: int, size: int, overlap: float = 0.5) -> tuple[int, ...]:
    """First voxels of windows that cover `length` evenly; the last one ends flush with the axis.

    Args:
        length: Voxels to cover; one window at 0 if `length <= size`.
        size: Voxels a window.
        overlap: Least share of a window shared with the next, `0 <= overlap < 1`.

    Example:
        >>> window_starts(10, 4, 0.5)
        (0, 2, 4, 6)
    """
    if length <= size:
        return (0,)
    step = max(1, int(size * (1 - overlap) + 1e-9))
    count = -(-(length - size) // step) + 1
    return tuple(int(start) for start in np.round(np.linspace(0, length - size, count)))


def total_weight(profile: NDArray[np.float32], starts: Sequence[int], length: int) -> NDArray[np.float32]:
    """Sum over all windows of an axis of their profile, `(length,)`."""
    total = np.zeros(length, dtype=np.float32)
    for start in starts:
        total[start : start + len(profile)] += profile
    return total
