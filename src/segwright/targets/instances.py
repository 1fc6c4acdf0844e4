"""Targets of instances: what a network learns in place of ids, and how ids are found again."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segwright.core.errors import PlanError
from segwright.core.labels import LabelSpace
from segwright.ops.distance import plane_depths
from segwright.targets.protocol import Scores


class InstanceTarget(ABC):
    """Base of codecs of instance labels `(B, 1, z, y, x)`; see `targets.protocol.Target`.

    All channels are scores from 0 to 1 off a sigmoid. `decode` only tells objects from background: separating objects
    needs a whole scan, and is the work of a row of the decoders table.

    Attributes:
        names: One a channel.
        dense: Whether objects that fill the volume side by side come back from their encoding.
    """

    names: ClassVar[tuple[str, ...]]
    dense: ClassVar[bool] = True

    def __init__(self, space: LabelSpace) -> None:
        if not space.instances:
            raise PlanError(
                "This target needs labels that number objects.",
                got=f"{space.kind} structures",
                hint="Add instances=true, or choose target=classes or target=regions.",
            )
        self.space = space
        self.channels = len(self.names)

    def encode(self, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Ids `(B, 1, z, y, x)` to channels `(B, C, z, y, x)` from 0 to 1, and a weight that is 0 where ignored."""
        ids = labels[:, 0].to(torch.int32)
        counted = ids >= 0
        weight = None if bool(counted.all()) else counted[:, None].float()
        channels = self._channels(ids.clamp_min(0))
        return (channels, None) if weight is None else (channels * weight, weight)

    @abstractmethod
    def _channels(self, ids: Tensor) -> Tensor:
        """Channels `(B, C, z, y, x)` of ids `(B, z, y, x)`, 0 background."""

    def activate(self, logits: Tensor) -> Tensor:
        """Sigmoid of each channel in float32."""
        return logits.float().sigmoid()

    def structure_scores(self, scores: Scores) -> Scores:
        """How much a voxel belongs to any object, `(1, ...)`."""
        return scores[:1]

    def decode(self, scores: NDArray[Any]) -> NDArray[np.int32]:
        """1 where a voxel belongs to any object, `(1, z, y, x)`."""
        unit = 255.0 if scores.dtype == np.uint8 else 1.0
        found: NDArray[np.int32] = (self.structure_scores(scores) > 0.5 * unit).astype(np.int32)
        return found


def neighbour(ids: Tensor, axis: int, step: int) -> Tensor:
    """For each voxel of `(B, z, y, x)` the id `step` voxels further on (negative: back) along a spatial axis (0 z).

    Beyond the edge a voxel is its own neighbour, so that cutting a patch never draws a border.

    Example:
        >>> neighbour(torch.tensor([[[[1, 2, 3]]]]), 2, -1).tolist()
        [[[[1, 1, 2]]]]
    """
    length = ids.shape[axis + 1]
    index = torch.arange(length, device=ids.device)
    moved = index + step
    moved = torch.where((moved < 0) | (moved >= length), index, moved)
    return ids.index_select(axis + 1, moved)


def plane_extremes(ids: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Largest and smallest id in a square of `size` voxels in its plane around each voxel of `(B, z, y, x)`.

    Ids must be below 2**24 to be exact in float32; more are brought there first.
    """
    values = compact(ids).float()
    pad = size // 2
    grown = F.pad(values, (pad, pad, pad, pad), mode="replicate")
    return F.max_pool2d(grown, size, stride=1), -F.max_pool2d(-grown, size, stride=1)


def compact(ids: Tensor) -> Tensor:
    """Ids as they are, or numbered anew without gaps (0 stays 0) if float32 could not tell them apart."""
    if not ids.numel() or int(ids.max()) < 1 << 24:
        return ids
    _, index = torch.unique(torch.cat([ids.new_zeros(1), ids.flatten()]), return_inverse=True)
    return index[1:].reshape(ids.shape)


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


#: Voxels at which the height has risen to tanh(1), about three quarters.
DEPTH_SCALE = 4.0


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
        return torch.stack([(torch.tanh(depth / DEPTH_SCALE) + 1) / 2, bond.float()], dim=1)


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
