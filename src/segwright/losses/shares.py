"""Loss of structures told apart inside their common body: whether a voxel is any of them, and which one."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from segwright.losses.combine import dice_bce
from segwright.losses.precision import in_float32, quiet, voxel_mean


@in_float32
def shares(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    name_weight: float = 1.0,
    batch: bool = False,
) -> Tensor:
    """For the target `shares`: Dice and cross-entropy of the body, and cross-entropy of names inside it.

    Body and name are learnt apart, because outlines are seen at once and names only from afar: a voxel that is surely
    bone and not yet surely the fourth lumbar vertebra still counts as bone.

    Args:
        logits: `(B, K + 1, ...)`: background (sigmoid), structures (softmax among themselves).
        target: Of the same shape.
        weight: `(B, 1, ...)`, 0 where ignored.
        name_weight: Factor of the names' loss, which is by far the largest at first.
        batch: Sum Dice over the batch before the ratio.
    """
    body = dice_bce(-logits[:, :1], 1 - target[:, :1], weight=weight, batch=batch)
    inside = target[:, 1:].sum(dim=1, keepdim=True)
    inside = inside if weight is None else inside * weight
    names = F.log_softmax(quiet(logits[:, 1:], inside), dim=1)
    return body + name_weight * voxel_mean(-(target[:, 1:] * names).sum(dim=1, keepdim=True), inside)
