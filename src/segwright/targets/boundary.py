"""Objects as a mask and the boundaries that keep them apart."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from segwright.targets.instances import InstanceTarget, compact, neighbour, plane_extremes


class BoundaryTarget(InstanceTarget):
    """Mask, and within it the voxels beside another object or (in their plane) the background.

    Against the definition of Res-UNet-R/H (`boundary_seed`) the mask stays whole, the boundary lies inside the object
    only, and objects that touch from section to section have a boundary too, so none of them merge.

    Example:
        >>> from segwright.core.labels import LabelSpace
        >>> target = BoundaryTarget(LabelSpace(structures=[{"name": "cell"}], kind="instances"))
        >>> target.encode(torch.tensor([0, 1, 1, 1, 2]).reshape(1, 1, 1, 1, 5))[0].int().flatten(2).tolist()
        [[[0, 1, 1, 1, 1], [0, 1, 0, 1, 1]]]
    """

    names: ClassVar[tuple[str, ...]] = ("mask", "boundary")

    def _channels(self, ids: Tensor) -> Tensor:
        mask = ids > 0
        edge = torch.zeros_like(mask)
        for axis in (1, 2):
            for step in (-1, 1):
                edge |= neighbour(ids, axis, step) != ids
        before = neighbour(ids, 0, -1)  # one side is enough to part two sections, and spares thin objects
        edge |= (before != ids) & (before > 0)
        return torch.stack([mask, edge & mask], dim=1).float()


class SeedBoundaryTarget(InstanceTarget):
    """Mask and boundary exactly as Res-UNet-R/H learnt them (Li et al. 2021, arXiv 2104.07961, and its code).

    Voxels whose 3 x 3 window in the plane holds two objects are erased; then a boundary is wherever a 5 x 5 window
    holds an object and is not uniform: two voxels on either side of every contour. Objects less than five voxels wide
    are boundary throughout, and objects that touch from section to section have none between them.
    """

    names: ClassVar[tuple[str, ...]] = ("mask", "boundary")
    dense: ClassVar[bool] = False

    def _channels(self, ids: Tensor) -> Tensor:
        ids = compact(ids)
        highest = int(ids.max()) + 1
        _, lowest = plane_extremes(torch.where(ids > 0, ids, highest), 3)
        top, _ = plane_extremes(ids, 3)
        ids = torch.where((ids > 0) & (top != lowest), 0, ids)
        top, lowest = plane_extremes(ids, 5)
        return torch.stack([ids > 0, (top > 0) & (top != lowest)], dim=1).float()
