"""Objects out of slopes: voxels that walk uphill to one place, section by section, are one object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.geometry import Spacing
from segwright.ops.components import bond_components
from segwright.ops.instances import before, drop_small_objects
from segwright.postprocess.instances.protocol import Ids, Triple


@dataclass(frozen=True)
class FollowFlow:
    """Every voxel of the mask walks up its slope; those whose ends hang together are one object.

    A few steps are enough: they part objects that touch, and each voxel takes the object that it walked to.

    Attributes:
        mask: Least mask score of an object's voxel.
        steps: Steps of up to one voxel.
        bond: Least score at which ends are joined to the section before.
        smallest: Objects of fewer voxels are dropped.

    Example:
        >>> scores = np.full((4, 1, 1, 6), 0.5)
        >>> scores[0], scores[2, 0, 0] = 1, [1, 0.5, 0, 1, 0.5, 0]
        >>> FollowFlow(smallest=0).decode(scores).ravel().tolist()
        [1, 1, 1, 2, 2, 2]
    """

    mask: float = 0.5
    steps: int = 6
    bond: float = 0.5
    smallest: int = 128

    @property
    def halo(self) -> Triple:
        """As far as a voxel walks, and one section."""
        return (1, self.steps + 1, self.steps + 1)

    def decode(self, scores: NDArray[np.float32], *, spacing: Spacing | None = None) -> Ids:
        """Scores of mask, slope along y and x, and bond `(4, z, y, x)` to ids; see `protocol.Decoder`."""
        mask = scores[0] > self.mask
        places = np.nonzero(mask)
        ends = _walk(scores[1:3] * 2.0 - 1.0, mask, places, self.steps)
        reached = np.zeros(mask.shape, bool)
        reached[ends] = True
        bonds = np.stack([reached & before(reached, axis) for axis in range(3)])
        bonds[0] &= scores[3] >= self.bond
        crests = np.where(reached, bond_components(_with_corners(bonds, reached)), 0)
        ids = np.zeros(mask.shape, np.uint32)
        ids[places] = crests[ends]
        return drop_small_objects(ids, self.smallest)


Places = tuple[NDArray[np.intp], ...]


def _walk(slopes: NDArray[np.floating[Any]], mask: NDArray[np.bool_], places: Places, steps: int) -> Places:
    """Where voxels end up after some steps; a step out of the mask is not taken."""
    z, y, x = places
    at = np.stack([y, x]).astype(np.float64)
    top = np.array(mask.shape[1:])[:, None] - 1
    ends = (y, x)
    for _ in range(steps):
        wish = np.clip(at + slopes[:, z, *ends], 0, top)
        row, column = np.rint(wish).astype(np.intp)
        free = mask[z, row, column]
        at = np.where(free, wish, at)
        ends = (np.where(free, row, ends[0]), np.where(free, column, ends[1]))
    return z, *ends


def _with_corners(bonds: NDArray[np.bool_], reached: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Bonds in which two ends that touch by a corner of their section hang together as well, by way of a voxel between.

    The voxel between is none of the ends, so it only serves as a bridge.
    """
    bridged = bonds.copy()
    for shift in (1, -1):
        corner = reached[:, 1:, 1:] & reached[:, :-1, :-1] if shift == 1 else reached[:, 1:, :-1] & reached[:, :-1, 1:]
        if shift == 1:
            bridged[2, :, 1:, 1:] |= corner
            bridged[1, :, 1:, :-1] |= corner
        else:
            bridged[2, :, 1:, 1:] |= corner
            bridged[1, :, 1:, 1:] |= corner
    return bridged
