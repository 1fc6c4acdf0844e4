"""Objects as slopes: in which direction of the plane the inside of its object lies, for every voxel."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from segwright.targets.instances import InstanceTarget, compact, neighbour

#: Voxels around which a voxel looks for its own object, and the length of its mean way to them at a straight edge.
REACH = 4
EDGE = 4 * REACH / (3 * math.pi)


class FlowTarget(InstanceTarget):
    """Mask, the direction of the plane (y, x) in which more of the object lies, and the bond to the section before.

    The direction is the mean way to the voxels of the same object within four voxels, scaled to length 1 at a straight
    edge: it points inwards near edges, is zero deep inside, fits objects of any form, and does not change where a patch
    cuts them (the centre of Stringer et al. 2021, Cellpose, does); 0.5 stands for none. Sections of one object are
    joined by the bond, which suits thick sections.

    Example:
        >>> from segwright.core.labels import LabelSpace
        >>> target = FlowTarget(LabelSpace(structures=[{"name": "cell"}], kind="instances"))
        >>> codes = target.encode(torch.tensor([0, 1, 1, 1, 1, 0]).reshape(1, 1, 1, 1, 6))[0]
        >>> (codes[0, 2] - 0.5).sign().flatten().tolist()
        [0.0, 1.0, 1.0, -1.0, -1.0, 0.0]
    """

    names: ClassVar[tuple[str, ...]] = ("mask", "slope_y", "slope_x", "same_z1")
    dense: ClassVar[bool] = False

    def _channels(self, ids: Tensor) -> Tensor:
        mask = ids > 0
        bond = mask & (neighbour(ids, 0, -1) == ids)
        uphill = (inward(ids) * mask[:, None] + 1) / 2
        return torch.cat([mask[:, None].float(), uphill, bond[:, None].float()], dim=1)


def inward(ids: Tensor) -> Tensor:
    """Mean way `(B, 2, z, y, x)` (y, x) from each voxel to those of its own id near it, at most 1 long."""
    ids = compact(ids)
    y, x = ids.shape[2:]
    wide = F.pad(ids.float(), (REACH,) * 4, mode="replicate")
    total = torch.zeros(len(ids), 2, *ids.shape[1:], device=ids.device)
    count = torch.ones(ids.shape, device=ids.device)
    for dy in range(-REACH, REACH + 1):
        for dx in range(-REACH, REACH + 1):
            if 0 < dy * dy + dx * dx <= REACH * REACH:
                same = (wide[:, :, REACH + dy : REACH + dy + y, REACH + dx : REACH + dx + x] == ids).float()
                total[:, 0].add_(same, alpha=dy)
                total[:, 1].add_(same, alpha=dx)
                count += same
    way = total / (count[:, None] * EDGE)
    return way / way.norm(dim=1, keepdim=True).clamp_min(1.0)
