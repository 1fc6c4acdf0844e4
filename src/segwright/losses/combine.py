"""Dice together with cross-entropy, the pair that holds up best over data sets (Ma et al. 2021, Med Image Anal)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from segwright.losses.dice import skipped, soft_dice
from segwright.losses.precision import in_float32, quiet, voxel_mean


@in_float32
def dice_ce(  # noqa: PLR0913  # what a recipe may set is a keyword
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    dice_weight: float = 1.0,
    ce_weight: float = 1.0,
    squared: bool = False,
    batch: bool = False,
    background: bool = False,
    smooth: float = 1e-5,
) -> Tensor:
    """Softmax Dice plus softmax cross-entropy, for exclusive structures; the softmax is computed once.

    Args:
        logits: `(B, C, ...)`, channel 0 is background.
        target: One-hot of the same shape.
        weight: `(B, 1, ...)`, 0 where ignored.
        dice_weight: Factor of the Dice loss.
        ce_weight: Factor of the cross-entropy.
        squared: See `dice`, as for `batch`, `background` and `smooth`.
    """
    log_scores = F.log_softmax(quiet(logits, weight), dim=1)
    entropy = voxel_mean(-(target * log_scores).sum(dim=1, keepdim=True), weight)
    first = skipped(log_scores, "softmax", background)
    scores = log_scores[:, first:].exp()
    overlap = soft_dice(scores, target[:, first:], weight, squared=squared, batch=batch, smooth=smooth)
    return dice_weight * overlap + ce_weight * entropy


@in_float32
def dice_bce(  # noqa: PLR0913  # what a recipe may set is a keyword
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    dice_weight: float = 1.0,
    ce_weight: float = 1.0,
    squared: bool = False,
    batch: bool = False,
    smooth: float = 1e-5,
) -> Tensor:
    """Sigmoid Dice plus binary cross-entropy, for overlapping structures; arguments as for `dice_ce`."""
    logits = quiet(logits, weight)
    entropy = voxel_mean(F.binary_cross_entropy_with_logits(logits, target, reduction="none"), weight)
    overlap = soft_dice(logits.sigmoid(), target, weight, squared=squared, batch=batch, smooth=smooth)
    return dice_weight * overlap + ce_weight * entropy
