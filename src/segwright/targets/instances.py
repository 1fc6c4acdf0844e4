"""What all instance targets share: ids in, channels of 0 to 1 out, and a decoder that makes objects of them again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segwright.core.errors import PlanError
from segwright.core.labels import LabelSpace
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
