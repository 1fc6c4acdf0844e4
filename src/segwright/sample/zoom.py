"""Patches seen from further away: the same field at a fraction of its pixels, for quick beginnings on large images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

from segwright.sample.patches import Batch, Patches


@dataclass(frozen=True)
class Zoomed:
    """Batches of `patches`, averaged down in plane by `factor`; pixels left over at the far edges are cut off.

    Labels are those of the pixels nearest to the centre of each averaged block.

    Attributes:
        patches: Where batches come from.
        factor: From 1, which changes nothing.
    """

    patches: Patches
    factor: int = 1

    def at(self, step: int) -> Batch:
        """The batch of a step (from 0)."""
        batch = self.patches.at(step)
        if self.factor == 1:
            return batch
        by = self.factor
        y, x = (n // by * by for n in batch.image.shape[3:])
        image = F.avg_pool3d(batch.image, (1, by, by))
        label = batch.label[..., by // 2 : y : by, by // 2 : x : by].contiguous()
        return replace(batch, image=image, label=label, spacing=batch.spacing * torch.tensor([1.0, by, by]))
