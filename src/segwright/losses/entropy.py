"""Cross-entropy for exclusive structures and binary cross-entropy for overlapping ones."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from segwright.losses.precision import in_float32, quiet, voxel_mean


@in_float32
def cross_entropy(logits: Tensor, target: Tensor, *, weight: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """Softmax cross-entropy, mean over voxels that count.

    Args:
        logits: `(B, C, ...)`.
        target: One-hot (or shares) of the same shape.
        weight: `(B, 1, ...)`, 0 where ignored.
        smoothing: Share of each target spread evenly over all channels.
    """
    scores = F.log_softmax(quiet(logits, weight), dim=1)
    if smoothing:
        target = target * (1 - smoothing) + smoothing / target.shape[1]
    return voxel_mean(-(target * scores).sum(dim=1, keepdim=True), weight)


@in_float32
def binary_cross_entropy(logits: Tensor, target: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """Sigmoid cross-entropy `-(g ln p + (1 - g) ln(1 - p))`, mean over voxels that count and channels.

    Args:
        logits: `(B, C, ...)`.
        target: 0 or 1, same shape.
        weight: `(B, 1, ...)`, 0 where ignored.
    """
    return voxel_mean(F.binary_cross_entropy_with_logits(quiet(logits, weight), target, reduction="none"), weight)
