"""Objects as heights: how deep inside its object a voxel lies, in the plane, and how far outside of any."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from segwright.ops.distance import plane_depths
from segwright.targets.instances import InstanceTarget, neighbour

#: Voxels at which the height has risen to tanh(1), about three quarters.
REACH = 4.0


class DistanceTarget(InstanceTarget):
    """Signed distance to the edge of the object in its plane, and the bond to the section before.

    The distance is squeezed by tanh to 0..1, where 0.5 is the edge itself: this keeps the numbers that matter, those
    near edges, and spares the network distances that it cannot see. Sections of one object are joined by the bond.

    Example:
        >>> from segwright.core.labels import LabelSpace
        >>> target = DistanceTarget(LabelSpace(structures=[{"name": "cell"}], kind="instances"))
        >>> depth = target.encode(torch.tensor([0, 0, 1, 1, 1, 2]).reshape(1, 1, 1, 1, 6))[0][0, 0].flatten()
        >>> (depth > 0.5).tolist(), depth.argmax().item()
        ([False, False, True, True, True, True], 3)
    """

    names: ClassVar[tuple[str, ...]] = ("depth", "same_z1")

    def _channels(self, ids: Tensor) -> Tensor:
        array = ids.cpu().numpy()
        depth = torch.stack([torch.from_numpy(plane_depths(volume)) for volume in array]).to(ids.device)
        bond = (ids > 0) & (neighbour(ids, 0, -1) == ids)
        return torch.stack([(torch.tanh(depth / REACH) + 1) / 2, bond.float()], dim=1)
