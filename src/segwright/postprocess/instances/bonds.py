"""Objects out of bonds between voxels: what holds together strongly is a seed, and seeds grow over what is left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segwright.core.geometry import Spacing
from segwright.ops.components import bond_components
from segwright.ops.instances import drop_small_objects, flood, renumber
from segwright.postprocess.instances.basins import Basins
from segwright.postprocess.instances.protocol import Ids


@dataclass(frozen=True, kw_only=True)
class Bonds(Basins):
    """Components of strong bonds, grown by a watershed over weak ones.

    Channels are bonds to the voxel before along z, y and x, then bonds to voxels further back along y and x.

    Attributes:
        bond: Least score at which two neighbours are one object.
        far: Least score of both far bonds at a bond in the plane; 0 asks for none. It parts objects that a few wrong
            bonds join, and costs thin ones their seeds.
        foreground: A voxel whose strongest bond is weaker is background.
        smallest_seed: Components of fewer voxels start no object; see `Basins` for the rest.

    Example:
        >>> scores = np.zeros((5, 1, 1, 5))
        >>> scores[2, 0, 0] = [0.1, 0.9, 0.2, 0.9, 0.9]
        >>> Bonds(smallest=0).decode(scores).ravel().tolist()
        [1, 1, 2, 2, 2]
    """

    bond: float = 0.7
    far: float = 0.0
    foreground: float = 0.5
    smallest_seed: int = 2

    def decode(self, scores: NDArray[np.float32], *, spacing: Spacing | None = None) -> Ids:
        """Bond scores `(5, z, y, x)` to ids; see `protocol.Decoder`."""
        near = scores[:3]
        held = near >= self.bond
        if self.far > 0:
            held = held & (scores[3:].min(axis=0) >= self.far)
        strength = _strongest(near)
        mask = strength >= self.foreground
        parts = drop_small_objects(np.where(mask, bond_components(held), 0), max(self.smallest_seed, 2))
        grown = flood(-strength, renumber(parts)[0], mask)
        return self.kept(grown, mask)


def _strongest(near: NDArray[np.float32]) -> NDArray[np.float32]:
    """The strongest bond of each voxel, to the voxel before or from the one after."""
    strongest: NDArray[np.float32] = near.max(axis=0)
    for axis in range(3):
        view, bonds = np.moveaxis(strongest, axis, 0), np.moveaxis(near[axis], axis, 0)
        np.maximum(view[:-1], bonds[1:], out=view[:-1])
    return strongest
