"""Objects out of a mask and a boundary: seeds where the mask is sure and no boundary near, then grown back.

Both ways stem from the released code of the MitoEM 2021 winners (Li et al. 2021, arXiv 2104.07961), whose entry grew
seeds by a fixed dilation; the watershed lies beside it unused. A text that keeps voxels *above* the boundary
threshold would keep the boundaries themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.geometry import Spacing
from segwright.ops.instances import drop_small_objects, flood_sections, grow_in_plane, mask_objects
from segwright.postprocess.instances.basins import Basins
from segwright.postprocess.instances.protocol import Ids, Triple


def seed_map(scores: NDArray[Any], mask: float, boundary: float) -> NDArray[np.bool_]:
    """Voxels `(z, y, x)` whose mask score exceeds one threshold and whose boundary score stays below another."""
    return (scores[0] > mask) & (scores[1] < boundary)


@dataclass(frozen=True)
class SeedComponents:
    """Connected components of the seeds, dilated in each plane, without the small ones.

    Attributes:
        mask: Least mask score of a seed.
        boundary: Boundary score a seed stays below.
        dilate: Voxels that objects grow in their planes; the larger id wins where two meet.
        smallest: Objects of fewer voxels are dropped, after growing.

    Example:
        >>> scores = np.array([[1, 1, 1, 1.0], [0, 1, 0, 0]]).reshape(2, 1, 1, 4)
        >>> SeedComponents(dilate=1, smallest=0).decode(scores).ravel().tolist()
        [1, 2, 2, 2]
    """

    mask: float = 0.9
    boundary: float = 0.8
    dilate: int = 3
    smallest: int = 128

    @property
    def halo(self) -> Triple:
        """The dilation's reach, and one voxel to see neighbours."""
        return (1, self.dilate + 1, self.dilate + 1)

    def decode(self, scores: NDArray[np.float32], *, spacing: Spacing | None = None) -> Ids:
        """Scores of mask and boundary `(2, z, y, x)` to ids; see `protocol.Decoder`."""
        seeds = mask_objects(seed_map(scores, self.mask, self.boundary), connectivity=6)
        return drop_small_objects(grow_in_plane(seeds, self.dilate), self.smallest)


@dataclass(frozen=True, kw_only=True)
class SeedWatershed(Basins):
    """Seeds grown by a watershed to the edge of the mask, without the small ones.

    What the watershed climbs is the boundary score less the mask score.

    Attributes:
        mask: Least mask score of a seed.
        boundary: Boundary score a seed stays below.
        foreground: Least mask score of an object's voxel.

    The rest are those of `Basins`.

    Example:
        >>> scores = np.array([[1, 0.8, 0.7, 1, 0.1], [0, 1, 1, 0, 0]]).reshape(2, 1, 1, 5)
        >>> SeedWatershed(smallest=0).decode(scores).ravel().tolist()
        [1, 1, 2, 2, 0]
    """

    mask: float = 0.9
    boundary: float = 0.8
    foreground: float = 0.5

    def decode(self, scores: NDArray[np.float32], *, spacing: Spacing | None = None) -> Ids:
        """Scores of mask and boundary `(2, z, y, x)` to ids; see `protocol.Decoder`."""
        seeds = mask_objects(seed_map(scores, self.mask, self.boundary), connectivity=6)
        if self.smallest_seed > 1:
            seeds = drop_small_objects(seeds, self.smallest_seed)
        mask = scores[0] > self.foreground
        grown = flood_sections(scores[1] - scores[0], seeds, mask, edge=scores[1] >= self.boundary)
        return self.kept(grown, mask)
