"""Cross entropy and its kin: of classes and of overlapping structures, focal, and weighted by voxel."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from segwright.losses.dice import Activation, check_activation, skipped
from segwright.losses.protocol import in_float32, quiet, voxel_mean


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


def structure_logits(logits: Tensor, activation: str) -> tuple[Tensor, int]:
    """Logits whose sigmoid is the score of each structure, and the channels left out before the first of them.

    A softmax score is the sigmoid of `x_c - logsumexp(other x)`; this keeps logarithms of scores near 0 and 1 exact.

    Args:
        logits: `(B, C, ...)`.
        activation: `softmax` (channel 0 is the background and left out) or `sigmoid`.

    Example:
        >>> x = torch.tensor([[0.0, 1.0, 2.0]])
        >>> margins, first = structure_logits(x, "softmax")
        >>> torch.allclose(margins.sigmoid(), x.softmax(1)[:, 1:]), first
        (True, 1)
    """
    check_activation(activation)
    if activation == "sigmoid":
        return logits, 0
    first = skipped(logits, activation, background=False)
    channels = logits.shape[1]
    if channels == 1:
        return logits, 0
    margins = []
    for channel in range(first, channels):
        others = [other for other in range(channels) if other != channel]
        rest = logits[:, others[0]] if len(others) == 1 else logits[:, others].logsumexp(dim=1)
        margins.append(logits[:, channel] - rest)
    return torch.stack(margins, dim=1), first


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
