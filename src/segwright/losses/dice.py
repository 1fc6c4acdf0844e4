"""Overlap losses: soft Dice with linear or squared denominators, and its unequal-cost form, Tversky."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from segwright.core.errors import RecipeError
from segwright.losses.protocol import in_float32, quiet

Activation = Literal["softmax", "sigmoid"]

#: Floor of denominators, for `smooth=0` with nothing in reference and prediction.
FLOOR = 1e-8


@in_float32
def dice(  # noqa: PLR0913  # what a recipe may set is a keyword
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    activation: Activation = "softmax",
    squared: bool = False,
    batch: bool = False,
    background: bool = False,
    smooth: float = 1e-5,
) -> Tensor:
    """Soft Dice loss: 1 minus the mean over samples and channels of `(2 sum pg + s) / (sum p + sum g + s)`.

    One form seen in programs, `2 (sum pg + s) / (sum p^2 + sum g^2 + s)`, is refused: with the smoothing inside the
    factor 2 its loss falls to -1 where nothing is there and nothing predicted, below that of any structure found.

    Args:
        logits: `(B, C, ...)`.
        target: One-hot of the same shape.
        weight: `(B, 1, ...)`, 0 where ignored.
        activation: `softmax` for exclusive structures, `sigmoid` for overlapping ones.
        squared: Square p and g in the denominator (Milletari et al. 2016).
        batch: Sum over the batch before the ratio, which is steadier where structures are absent from many patches.
        background: Count channel 0 too; with sigmoid every channel is a structure and counts.
        smooth: s above; a channel that is empty in reference and prediction scores a Dice of 1.
    """
    scores = activate(logits, weight, activation)
    first = skipped(scores, activation, background)
    return soft_dice(scores[:, first:], target[:, first:], weight, squared=squared, batch=batch, smooth=smooth)


def soft_dice(
    scores: Tensor, target: Tensor, weight: Tensor | None, *, squared: bool, batch: bool, smooth: float
) -> Tensor:
    """Dice loss of scores from 0 to 1, over all channels given."""
    overlap = _total(scores * target, weight, batch)
    sizes = _total(scores.square() + target.square() if squared else scores + target, weight, batch)
    return 1 - ((2 * overlap + smooth) / (sizes + smooth).clamp_min(FLOOR)).mean()


@in_float32
def tversky(  # noqa: PLR0913  # what a recipe may set is a keyword
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    activation: Activation = "softmax",
    alpha: float = 0.3,
    beta: float = 0.7,
    batch: bool = False,
    background: bool = False,
    smooth: float = 1e-5,
) -> Tensor:
    """Tversky loss (Salehi et al. 2017): 1 minus the mean of `TP / (TP + alpha FP + beta FN)`.

    Args:
        logits: `(B, C, ...)`.
        target: One-hot of the same shape.
        weight: `(B, 1, ...)`, 0 where ignored.
        activation: `softmax` or `sigmoid`.
        alpha: Cost of false positives; with both costs 0.5 the loss is linear Dice.
        beta: Cost of false negatives.
        batch: Sum over the batch before the ratio.
        background: Count channel 0 too (softmax).
        smooth: Added to both sides of the ratio.
    """
    scores = activate(logits, weight, activation)
    first = skipped(scores, activation, background)
    return (
        1 - _tversky(scores[:, first:], target[:, first:], weight, costs=(alpha, beta), batch=batch, smooth=smooth)
    ).mean()


@in_float32
def focal_tversky(  # noqa: PLR0913  # what a recipe may set is a keyword
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    activation: Activation = "softmax",
    alpha: float = 0.3,
    beta: float = 0.7,
    gamma: float = 0.75,
    batch: bool = False,
    background: bool = False,
    smooth: float = 1e-5,
) -> Tensor:
    """Mean over samples and channels of `(1 - Tversky)^gamma` (Abraham and Khan 2019); other arguments as `tversky`.

    Args:
        gamma: Below 1 it dwells on structures that are nearly right, above 1 on those still wrong.
    """
    scores = activate(logits, weight, activation)
    first = skipped(scores, activation, background)
    index = _tversky(scores[:, first:], target[:, first:], weight, costs=(alpha, beta), batch=batch, smooth=smooth)
    return ((1 - index).clamp_min(1e-6) ** gamma).mean()


def _tversky(
    scores: Tensor, target: Tensor, weight: Tensor | None, *, costs: tuple[float, float], batch: bool, smooth: float
) -> Tensor:
    """Tversky index `(B or 1, C)`."""
    hit = _total(scores * target, weight, batch)
    false_positive = _total(scores * (1 - target), weight, batch)
    false_negative = _total((1 - scores) * target, weight, batch)
    sizes = hit + costs[0] * false_positive + costs[1] * false_negative
    return (hit + smooth) / (sizes + smooth).clamp_min(FLOOR)


def activate(logits: Tensor, weight: Tensor | None, activation: str) -> Tensor:
    """Scores of logits `(B, C, ...)`, harmless where the weight is 0."""
    check_activation(activation)
    logits = quiet(logits, weight)
    return logits.softmax(dim=1) if activation == "softmax" else logits.sigmoid()


def check_activation(activation: str) -> None:
    """Refuse anything but `softmax` and `sigmoid`.

    Raises:
        RecipeError: Another word.
    """
    if activation not in ("softmax", "sigmoid"):
        raise RecipeError("Loss parameter 'activation' is not valid.", expected="softmax or sigmoid", got=activation)


def skipped(scores: Tensor, activation: str, background: bool) -> int:
    """Leading channels left out: the background of a softmax, unless it is wanted or alone."""
    return 1 if activation == "softmax" and not background and scores.shape[1] > 1 else 0


def _total(values: Tensor, weight: Tensor | None, batch: bool) -> Tensor:
    """Weighted sum over space, and over samples if asked; `(B or 1, C)`."""
    if weight is not None:
        values = values * weight
    total = values.flatten(2).sum(dim=2)
    return torch.sum(total, dim=0, keepdim=True) if batch else total
