"""One loss at first and another later: the easy goal to start with, the hard cases once it is reached."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor

from segwright.core.errors import RecipeError
from segwright.core.recipe import PartChoice
from segwright.losses import LOSSES, bind_loss
from segwright.losses.protocol import BoundLoss

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
