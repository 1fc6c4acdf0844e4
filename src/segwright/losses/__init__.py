"""Losses: a table of functions on logits and one-hot targets, and the binding of a recipe's parameters to one."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from segwright.core.errors import RecipeError, UnknownNameError
from segwright.core.recipe import PartChoice
from segwright.core.registry import LossInfo, Registry

if TYPE_CHECKING:
    from segwright.losses.protocol import BoundLoss

__all__ = ["LOSSES", "bind_loss", "loss_info"]

LOSSES = Registry(
    "segwright.losses",
    {
        "cross_entropy": LossInfo("segwright.losses.entropy:cross_entropy", "softmax"),
        "binary_cross_entropy": LossInfo("segwright.losses.entropy:binary_cross_entropy", "sigmoid"),
        "focal": LossInfo("segwright.losses.entropy:focal", "any"),
        "dice": LossInfo("segwright.losses.dice:dice", "any"),
        "tversky": LossInfo("segwright.losses.dice:tversky", "any"),
        "focal_tversky": LossInfo("segwright.losses.dice:focal_tversky", "any"),
        "dice_ce": LossInfo("segwright.losses.combine:dice_ce", "softmax"),
        "dice_bce": LossInfo("segwright.losses.combine:dice_bce", "sigmoid"),
        "weighted_bce": LossInfo("segwright.losses.entropy:weighted_bce", "any"),
        "lrdehl": LossInfo("segwright.losses.mined:lrdehl", "any"),
        "switch": LossInfo("segwright.losses.combine:Switch", "any", parts=("before", "after")),
        "chain": LossInfo("segwright.losses.chain:chain", ordered=True),
    },
)

#: Parameters of earlier versions, which recipes of their runs still hold: both are the two ends of one now.
ENDS = {"weighted_bce": ("limits", ("low", "high"), (0.05, 0.99))}


def loss_info(name: str) -> LossInfo:
    """What the loss of that row says of itself; its code is not loaded.

    Raises:
        UnknownNameError: No such loss.
    """
    return LOSSES.info(name, LossInfo)


def bind_loss(choice: PartChoice, *, deep_supervision: bool = False) -> BoundLoss:
    """A loss with its parameters set: `loss(logits, target, weight=None) -> scalar`.

    Args:
        choice: Row of `LOSSES` and its parameters, checked against its signature. A row is a function, or a class
            whose objects are losses; those with a method `at(progress, step)` change as training goes on.
        deep_supervision: Accept a list of logits, finest first, as well.

    Raises:
        UnknownNameError: No such loss.
        RecipeError: A parameter that the loss does not take; the nearest is suggested.

    Example:
        >>> import torch
        >>> loss = bind_loss(PartChoice(name="dice", params={"smooth": 1.0}))
        >>> target = torch.eye(2).reshape(1, 2, 1, 1, 2)
        >>> round(loss(20 * target, target).item(), 3)
        0.0
    """
    function = LOSSES.load(choice.name)
    known = [name for name in inspect.signature(function).parameters if name not in {"logits", "target", "weight"}]
    given = _renamed(choice)
    for name in given:
        if name not in known:
            unknown = UnknownNameError.among("parameter", name, known)
            expected = unknown.expected or "no parameters"
            raise RecipeError(
                f"Loss {choice.name!r} takes no parameter {name!r}.", expected=expected, hint=unknown.hint
            )
    stateful = inspect.isclass(function)
    bound: BoundLoss = function(**given) if stateful else functools.partial(function, **given)
    if not deep_supervision:
        return bound
    from segwright.losses.deep import DeepSupervision

    return DeepSupervision(bound)


def _renamed(choice: PartChoice) -> dict[str, Any]:
    """The parameters by today's names."""
    given = dict(choice.params)
    pair, ends, usual = ENDS.get(choice.name, ("", (), ()))
    if any(end in given for end in ends):
        given[pair] = tuple(given.pop(end, value) for end, value in zip(ends, usual, strict=True))
    return given
