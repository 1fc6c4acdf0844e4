"""What an instance decoder must promise, so that a whole scan and a block of a huge one are decoded alike."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segwright.core.geometry import Spacing

Ids = NDArray[np.uint32]
Triple = tuple[int, int, int]


class Decoder(Protocol):
    """Scores of a network to objects.

    Decoders are frozen dataclasses whose fields are the numbers to be chosen; equal input gives equal output.

    Attributes:
        halo: Voxels `(z, y, x)` around a block that may change the objects inside it, beyond the objects' own reach.
    """

    @property
    def halo(self) -> Triple: ...

    def decode(self, scores: NDArray[np.float32], *, spacing: Spacing | None = None) -> Ids:
        """Scores `(C, z, y, x)` from 0 to 1 to ids `(z, y, x)`: 0 background, objects from 1 without gaps.

        Args:
            scores: Channels as the target of the same name makes them.
            spacing: Millimetres a voxel; `None`, or `None` for an axis, where unknown.
        """
        ...
