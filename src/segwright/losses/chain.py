"""Loss of rows of look-alikes: whether a voxel is any of them, which one, and where each one's core lies."""

from __future__ import annotations

from torch import Tensor

from segwright.losses.combine import dice_bce
from segwright.losses.precision import in_float32
from segwright.losses.shares import shares


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
    """For the target `chain`: the loss `shares` of body and names, and Dice with cross-entropy of cores.

    Args:
        logits: `(B, K + 2, ...)`: core (sigmoid), background (sigmoid), structures (softmax among themselves).
        target: Of the same shape.
        weight: `(B, 1, ...)`, 0 where ignored.
        core_weight: Factor of the core's loss.
        name_weight: Factor of the names' loss; names of look-alikes need the whole view and come late, and at 1 they
            starved the body (on spine films after 600 steps Dice 0.45 instead of 0.62 at 0.25).
        batch: Sum Dice over the batch before the ratio.
    """
    named = shares(logits[:, 1:], target[:, 1:], weight=weight, name_weight=name_weight, batch=batch)
    return named + core_weight * dice_bce(logits[:, :1], target[:, :1], weight=weight, batch=batch)
