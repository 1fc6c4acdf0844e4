"""Losses made of losses: sums of two, and a change from one to another in the course of training."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from segwright.core.errors import RecipeError
from segwright.core.recipe import PartChoice
from segwright.losses import LOSSES, bind_loss
from segwright.losses.dice import skipped, soft_dice
from segwright.losses.protocol import BoundLoss, in_float32, quiet, voxel_mean


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


#: Of a liver tumour study: Dice with squares for 30,000 of 40,000 steps, then the hard cases.
SHARE = 0.75


class Switch:
    """Two losses, and when the second takes over; without a moment given it is three quarters of the budget.

    Args:
        before: Row of the losses and its parameters, as a recipe writes them.
        after: The same, from the switch on.
        share: Share of the budget at which to switch.
        step: Optimiser step at which to switch, instead of a share.
        activation: `softmax` or `sigmoid`, handed to those of the two that take it and do not say.

    Raises:
        RecipeError: Both moments are given, the share is outside 0 to 1, or a loss is not valid.

    Example:
        >>> import torch
        >>> loss = Switch(before="dice", after="cross_entropy", step=30)
        >>> target = torch.eye(2).reshape(1, 2, 1, 1, 2)
        >>> round(loss.at(0.5, 29)(0 * target, target).item(), 3), round(loss.at(0.5, 30)(0 * target, target).item(), 3)
        (0.5, 0.693)
    """

    def __init__(
        self,
        *,
        before: Any = None,
        after: Any = None,
        share: float | None = None,
        step: int | None = None,
        activation: str = "softmax",
    ) -> None:
        if share is not None and (step is not None or not 0 <= share <= 1):
            got = f"share={share}, step={step}"
            raise RecipeError("A loss switches at a share from 0 to 1, or at a step.", got=got, hint="Give one.")
        self.share, self.step = (SHARE if step is None and share is None else share), step
        self.before = _bind(before or {"name": "dice", "squared": True, "smooth": 1.0}, activation)
        self.after = _bind(after or {"name": "lrdehl"}, activation)

    def at(self, progress: float, step: int) -> BoundLoss:
        """The loss in force after `step` steps and `progress` of the budget."""
        late = step >= self.step if self.step is not None else progress >= (self.share or 0.0)
        return self.after if late else self.before

    def __call__(self, logits: Tensor, target: Tensor, *, weight: Tensor | None = None) -> Tensor:
        """The first loss, for callers that know no progress."""
        return self.before(logits, target, weight=weight)


def current(loss: BoundLoss, progress: float, step: int) -> BoundLoss:
    """What a loss is at a moment of training: most are always themselves."""
    at = getattr(loss, "at", None)
    return loss if at is None else at(progress, step)


def _bind(choice: Any, activation: str) -> BoundLoss:
    if not isinstance(choice, PartChoice):
        choice = PartChoice.model_validate(PartChoice.parse(choice))
    if "activation" in inspect.signature(LOSSES.load(choice.name)).parameters:
        choice = choice.model_copy(update={"params": {"activation": activation, **choice.params}})
    return bind_loss(choice)
