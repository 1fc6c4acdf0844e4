"""Counts whole numbers block by block, where NumPy would first copy the whole array to 64 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Values counted at a time.
BLOCK = 1 << 22


def tally(values: NDArray[Any], length: int, *, low: int = 0) -> NDArray[np.int64]:
    """How often each of `low`, `low + 1`, ... occurs, `length` of them.

    Args:
        values: Whole numbers of any type and shape, none below `low`, none of `low + length` or more.
        length: How many numbers are counted.
        low: The first of them.

    Example:
        >>> tally(np.array([[3, 5], [5, -1]]), 7, low=-1).tolist()
        [1, 0, 0, 0, 1, 0, 2]
    """
    flat, counts = values.reshape(-1), np.zeros(length, np.int64)
    for start in range(0, flat.size, BLOCK):
        counts += np.bincount(flat[start : start + BLOCK].astype(np.int64) - low, minlength=length)
    return counts
