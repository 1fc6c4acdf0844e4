"""Loss of rows of look-alikes: which structure (softmax) and where each one's core lies (sigmoid), of one output."""

from __future__ import annotations

from torch import Tensor

from segwright.losses.combine import dice_bce, dice_ce


def chain(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    core_weight: float = 0.5,
    batch: bool = False,
    smooth: float = 1e-5,
) -> Tensor:
    """`dice_ce` over background and structures plus `dice_bce` over their cores, for the target `chain`.

    Args:
        logits: `(B, K + 2, ...)`: core, background, structures.
        target: Of the same shape.
        weight: `(B, 1, ...)`, 0 where ignored.
        core_weight: Factor of the core's loss.
        batch: Sum Dice over the batch before the ratio.
        smooth: See `dice`.
    """
    names = dice_ce(logits[:, 1:], target[:, 1:], weight=weight, batch=batch, smooth=smooth)
    return names + core_weight * dice_bce(logits[:, :1], target[:, :1], weight=weight, batch=batch, smooth=smooth)
