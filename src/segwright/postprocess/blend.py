"""Makes one opinion out of several on the same grid: weighted means of structure scores, or weighted votes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import GeometryError
from segwright.core.labels import LabelSpace
from segwright.postprocess.decode import FULL

Scores = NDArray[np.uint8]


def blend(opinions: Sequence[Scores], weights: NDArray[np.float64], *, votes: bool = False) -> Scores:
    """The weighted mean of scores `(K, z, y, x)`, uint8 where 255 is 1.

    Args:
        opinions: Scores of each part, on one grid.
        weights: `(parts, K)`: share of each part in each structure; the shares of a structure sum to 1.
        votes: The scores are votes (0 or 255): round down, so that half of the votes is no majority.

    Raises:
        GeometryError: The parts differ in shape.

    Example:
        >>> parts = [np.full((1, 1, 1, 1), value, np.uint8) for value in (100, 200)]
        >>> blend(parts, np.array([[0.25], [0.75]])).item()
        175
    """
    shapes = {one.shape for one in opinions}
    if len(shapes) != 1:
        raise GeometryError("The opinions lie on different grids.", got=" and ".join(map(str, sorted(shapes))))
    mixed = np.empty(opinions[0].shape, np.uint8)
    for k in range(len(mixed)):
        total = np.zeros(mixed.shape[1:], np.float32)
        for one, weight in zip(opinions, weights[:, k], strict=True):
            if weight:
                total += np.float32(weight) * one[k]
        mixed[k] = np.floor(total + 1e-3) if votes else np.rint(total)
    return mixed


def votes_of(labels: NDArray[Any], space: LabelSpace) -> Scores:
    """Canonical labels `(P, z, y, x)` as votes `(K, z, y, x)`: 255 where a structure is, else 0."""
    return np.stack([space.mask(labels, k).astype(np.uint8) * FULL for k in range(len(space.structures))])


def equal_weights(parts: int, structures: int) -> NDArray[np.float64]:
    """The same share for every part."""
    return np.full((parts, structures), 1 / parts)
