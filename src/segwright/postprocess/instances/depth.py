"""Objects out of depth: the deep middle of each is a seed, which grows up to where depth is zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segwright.core.geometry import Spacing
from segwright.ops.components import bond_components
from segwright.ops.instances import before, drop_small_objects, flood, follow_bonds
from segwright.postprocess.instances.basins import Basins
from segwright.postprocess.instances.protocol import Ids


@dataclass(frozen=True, kw_only=True)
class DepthWatershed(Basins):
    """Seeds where the depth score is high, joined by bonds between sections, grown down to the edge score of 0.5.

    Attributes:
        seed: Least depth score of a seed; 0.66 is about one and a half voxels inside.
        edge: Least depth score of an object's voxel.
        bond: Least score at which a voxel belongs with the one in the section before.

    The rest are those of `Basins`.

    Example:
        >>> scores = np.array([[0.2, 0.6, 0.8, 0.6, 0.6, 0.9, 0.6], [0] * 7]).reshape(2, 1, 1, 7)
        >>> DepthWatershed(smallest=0).decode(scores).ravel().tolist()
        [0, 1, 1, 1, 2, 2, 2]
    """

    seed: float = 0.66
    edge: float = 0.5
    bond: float = 0.5

    def decode(self, scores: NDArray[np.float32], *, spacing: Spacing | None = None) -> Ids:
        """Scores of depth and bond `(2, z, y, x)` to ids; see `protocol.Decoder`."""
        mask = scores[0] > self.edge
        deep = scores[0] > self.seed
        bonds = np.stack([deep & before(deep, axis) for axis in range(3)])
        bonds[0] &= scores[1] >= self.bond
        seeds = drop_small_objects(np.where(deep, bond_components(bonds), 0), self.smallest_seed)
        held = mask & before(mask, 0) & (scores[1] >= self.bond)
        seeds = follow_bonds(seeds, held)
        planes = [flood(-scores[0][z, None], seeds[z, None], mask[z, None]) for z in range(len(seeds))]
        grown = follow_bonds(np.concatenate(planes), held)
        return self.kept(grown, mask)
