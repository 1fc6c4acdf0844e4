"""Loss of rows of look-alikes: whether a voxel is any of them, which one, and where each one's core lies."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from segwright.losses.combine import dice_bce
from segwright.losses.protocol import in_float32, quiet, voxel_mean


@in_float32
def chain(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    core_weight: float = 0.5,
    name_weight: float = 0.2,
    batch: bool = False,
) -> Tensor:
    """For the target `chain`: Dice and cross-entropy of the body, cross-entropy of names inside it, and of cores.

    Body and name are learnt apart, because outlines are seen at once and names only from afar: a voxel that is surely
    bone and not yet surely the fourth lumbar vertebra still counts as bone.

    Args:
        logits: `(B, K + 2, ...)`: core (sigmoid), background (sigmoid), structures (softmax among themselves).
        target: Of the same shape.
        weight: `(B, 1, ...)`, 0 where ignored.
        core_weight: Factor of the core's loss.
        name_weight: Factor of the names' loss, which is by far the largest at first: at 1 it starved the body (on
            spine films after 600 steps Dice 0.45 instead of 0.62 at 0.25).
        batch: Sum Dice over the batch before the ratio.
    """
    body = dice_bce(-logits[:, 1:2], 1 - target[:, 1:2], weight=weight, batch=batch)
    core = dice_bce(logits[:, :1], target[:, :1], weight=weight, batch=batch)
    inside = target[:, 2:].sum(dim=1, keepdim=True)
    inside = inside if weight is None else inside * weight
    names = F.log_softmax(quiet(logits[:, 2:], inside), dim=1)
    named = voxel_mean(-(target[:, 2:] * names).sum(dim=1, keepdim=True), inside)
    return body + core_weight * core + name_weight * named
