"""Cross-entropy whose rarer side counts more, by the share of foreground in each sample (MitoEM's first entry)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from segwright.losses.binary import structure_logits
from segwright.losses.dice import Activation
from segwright.losses.precision import in_float32, quiet, voxel_mean


@in_float32
def weighted_bce(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    activation: Activation = "softmax",
    limits: tuple[float, float] = (0.05, 0.99),
    channels: Literal["mean", "sum"] = "mean",
) -> Tensor:
    """Binary cross-entropy in which foreground and background count alike, sample by sample and channel by channel.

    With f the share of foreground among counted voxels, the rarer side gets the weight of the other side's share over
    its own: `(1 - f) / f` on the foreground where f is at most a half, else `f / (1 - f)` on the background. Mean
    over voxels and channels, without dividing by the weights. A sample that is all foreground or all background is
    not weighted.

    Source: the released code of Res-UNet-R/H (Li et al. 2021, arXiv 2104.07961). Descriptions in which f / (1 - f)
    falls on a rare foreground are inverted: they would all but silence it, and are not offered.

    Args:
        logits: `(B, C, ...)`.
        target: One-hot of the same shape.
        weight: `(B, 1, ...)`, 0 where ignored.
        activation: `softmax` for exclusive structures (the background has no term of its own), `sigmoid` for
            overlapping ones.
        limits: Smallest and largest share used, so that no weight exceeds `(1 - f) / f` of the smallest.
        channels: Whether channels are averaged, or summed as the source sums mask and boundary.

    Example:
        >>> scores = torch.tensor([0.6, 0.2, 0.1, 0.1]).reshape(1, 1, 1, 4)
        >>> answer = torch.tensor([1.0, 0.0, 0.0, 0.0]).reshape(1, 1, 1, 4)
        >>> round(weighted_bce(scores.logit(), answer, activation="sigmoid").item(), 4)
        0.4916
    """
    margins, first = structure_logits(quiet(logits, weight), activation)
    target = target[:, first:]
    entropy = F.binary_cross_entropy_with_logits(margins, target, reduction="none")
    mean = voxel_mean(entropy * _balance(target, weight, limits), weight)
    return mean * target.shape[1] if channels == "sum" else mean


def _balance(target: Tensor, weight: Tensor | None, limits: tuple[float, float]) -> Tensor:
    """Weight of each voxel, `(B, C, ...)`."""
    counted = torch.ones_like(target[:, :1]) if weight is None else weight
    axes = tuple(range(2, target.ndim))
    present = (target * counted).sum(dim=axes, keepdim=True)
    total = counted.sum(dim=axes, keepdim=True)
    share = (present / total.clamp_min(1.0)).clamp(*limits)
    odds = (1 - share) / share
    mixed = (present > 0) & (present < total)
    positive = torch.where(mixed, odds.clamp_min(1.0), 1.0)
    negative = torch.where(mixed, odds.reciprocal().clamp_min(1.0), 1.0)
    return target * positive + (1 - target) * negative
