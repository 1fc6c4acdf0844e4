"""Growing markers over a mask until they meet: how touching things are parted (scikit-image's watershed)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import watershed


def flood(markers: NDArray[Any], height: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Number each voxel of a mask `(z, y, x)` after the marker whose flood reaches it first; 0 where none does.

    Args:
        markers: Numbers from 1 where a thing starts, 0 elsewhere.
        height: Low where floods run first.
        mask: Where they may run; parts without a marker stay 0.

    Example:
        >>> markers = np.array([[[1, 0, 0, 0, 2]]])
        >>> flood(markers, np.array([[[0, 1, 2, 1, 0]]]), markers >= 0).tolist()
        [[[1, 1, 1, 2, 2]]]
    """
    grow: Any = watershed
    flooded: NDArray[np.int32] = grow(height, markers.astype(np.int32), mask=mask).astype(np.int32)
    return flooded
