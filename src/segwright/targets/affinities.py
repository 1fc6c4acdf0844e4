"""Objects as bonds: whether a voxel belongs to the same object as certain voxels before it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from segwright.targets.instances import InstanceTarget, neighbour
from segwright.targets.protocol import Scores

#: Steps back along z, y, x: to the next voxel, and further in the plane, where a wide view steadies the near bonds.
OFFSETS = ((0, -1), (1, -1), (2, -1), (1, -5), (2, -5))


class AffinitiesTarget(InstanceTarget):
    """Three bonds to the next voxels and two to voxels five away in the plane (after Turaga et al. 2010).

    A voxel outside the patch counts as the voxel itself, so that cutting never breaks a bond.

    Example:
        >>> from segwright.core.labels import LabelSpace
        >>> target = AffinitiesTarget(LabelSpace(structures=[{"name": "cell"}], kind="instances"))
        >>> target.encode(torch.tensor([0, 1, 1, 2]).reshape(1, 1, 1, 1, 4))[0][0, 2].int().flatten().tolist()
        [0, 0, 1, 0]
    """

    names: ClassVar[tuple[str, ...]] = ("same_z1", "same_y1", "same_x1", "same_y5", "same_x5")

    def _channels(self, ids: Tensor) -> Tensor:
        mask = ids > 0
        return torch.stack([mask & (neighbour(ids, axis, step) == ids) for axis, step in OFFSETS], dim=1).float()

    def structure_scores(self, scores: Scores) -> Scores:
        """The strongest bond to a next voxel, `(1, ...)`."""
        near = scores[:3]
        return near.max(0, keepdims=True) if not isinstance(near, Tensor) else near.amax(0, keepdim=True)
