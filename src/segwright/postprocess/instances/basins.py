"""What all watersheds from seeds share: how far a basin reaches, and what is kept of what has grown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from segwright.ops.instances import adopt_orphans, drop_small_objects
from segwright.postprocess.instances.protocol import Ids, Triple


@dataclass(frozen=True, kw_only=True)
class Basins:
    """Seeds that grow over a mask.

    Attributes:
        smallest_seed: Seeds of fewer voxels start no object.
        orphans: Parts of the mask without a seed, too thin for one, become objects as well.
        smallest: Objects of fewer voxels are dropped.

    Example:
        >>> import numpy as np
        >>> grown, mask = np.array([[[1, 1, 0, 0, 0]]]), np.array([[[1, 1, 0, 1, 1]]], bool)
        >>> Basins(smallest=2).kept(grown, mask).ravel().tolist()
        [1, 1, 0, 2, 2]
    """

    smallest_seed: int = 0
    orphans: bool = True
    smallest: int = 128

    @property
    def halo(self) -> Triple:
        """A basin may reach this far beyond its seed."""
        return (4, 32, 32)

    def kept(self, grown: Ids, mask: NDArray[Any]) -> Ids:
        """Grown objects `(z, y, x)` with orphans of the mask, if wanted, and without small ones."""
        return drop_small_objects(adopt_orphans(grown, mask) if self.orphans else grown, self.smallest)
