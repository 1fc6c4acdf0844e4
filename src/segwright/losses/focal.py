"""Focal loss: cross-entropy that dwells on what is still wrong (Lin et al. 2017, arXiv 1708.02002)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from segwright.losses.dice import check_activation
from segwright.losses.precision import in_float32, quiet, voxel_mean


@in_float32
def focal(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    gamma: float = 2.0,
    activation: Literal["softmax", "sigmoid"] = "softmax",
) -> Tensor:
    """`-(1 - p)^gamma ln p` of the true answer, mean over voxels that count (and channels, for sigmoid).

    Args:
        logits: `(B, C, ...)`.
        target: One-hot of the same shape.
        weight: `(B, 1, ...)`, 0 where ignored.
        gamma: 0 gives cross-entropy; larger values look away from easy voxels.
        activation: `softmax` for exclusive structures, `sigmoid` for overlapping ones.
    """
    check_activation(activation)
    logits = quiet(logits, weight)
    if activation == "softmax":
        log_score = F.log_softmax(logits, dim=1)
        doubt = -log_score.expm1()
        return voxel_mean(-(target * doubt.clamp_min(TINY) ** gamma * log_score).sum(dim=1, keepdim=True), weight)
    log_right, log_wrong = F.logsigmoid(logits), F.logsigmoid(-logits)
    positive = (-log_right.expm1()).clamp_min(TINY) ** gamma * log_right
    negative = (-log_wrong.expm1()).clamp_min(TINY) ** gamma * log_wrong
    return voxel_mean(-(target * positive + (1 - target) * negative), weight)


#: Keeps the gradient of a fractional power finite where the prediction is exact.
TINY = 1e-8
