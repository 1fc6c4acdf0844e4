"""Losses: a table of functions on logits and one-hot targets, and the binding of a recipe's parameters to one."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from segwright.core.errors import RecipeError, UnknownNameError
from segwright.core.recipe import PartChoice
from segwright.core.registry import Registry

if TYPE_CHECKING:
    from segwright.losses.protocol import BoundLoss

__all__ = ["LOSSES", "bind_loss"]

LOSSES = Registry(
    "segwright.losses",
    {
        "cross_entropy": "segwright.losses.entropy:cross_entropy",
        "binary_cross_entropy": "segwright.losses.entropy:binary_cross_entropy",
        "focal": "segwright.losses.focal:focal",
        "dice": "segwright.losses.dice:dice",
        "tversky": "segwright.losses.dice:tversky",
        "focal_tversky": "segwright.losses.dice:focal_tversky",
        "dice_ce": "segwright.losses.combine:dice_ce",
        "dice_bce": "segwright.losses.combine:dice_bce",
        "weighted_bce": "segwright.losses.weighted:weighted_bce",
        "lrdehl": "segwright.losses.mined:lrdehl",
        "switch": "segwright.losses.switch:Switch",
        "chain": "segwright.losses.chain:chain",
    },
)

#: Parameters of earlier versions, which recipes of their runs still hold: both are the two ends of one now.
ENDS = {"weighted_bce": ("limits", ("low", "high"), (0.05, 0.99))}


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
            hint = UnknownNameError.among("parameter", name, known)
            expected = hint.expected or "no parameters"
            raise RecipeError(f"Loss {choice.name!r} takes no parameter {name!r}.", expected=expected, cure=hint.cure)
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
