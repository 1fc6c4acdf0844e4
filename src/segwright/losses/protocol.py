"""What every loss is: a function of logits and targets, computed in float32."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol

import torch
from torch import Tensor


class BoundLoss(Protocol):
    """A loss with its parameters set.

    Promises: a finite scalar in float32 whatever the precision of the logits; a finite gradient; a lower value for a
    perfect prediction than for a random one; nothing that lies under weight 0 changes value or gradient, and a
    target that is ignored throughout gives 0 gradient; two and three spatial axes alike.
    """

    def __call__(self, logits: Tensor, target: Tensor, *, weight: Tensor | None = None) -> Tensor:
        """Logits and one-hot target `(B, C, ...)` and weight `(B, 1, ...)` (0 where ignored) to a scalar."""
        ...


P = ParamSpec("P")


def in_float32(
    loss: Callable[Concatenate[Tensor, Tensor, P], Tensor],
) -> Callable[Concatenate[Tensor, Tensor, P], Tensor]:
    """Run `loss` on float32 logits and target with autocast off; both take the target's plain memory layout."""

    @functools.wraps(loss)
    def lifted(logits: Tensor, target: Tensor, /, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        with torch.autocast(logits.device.type, enabled=False):
            return loss(logits.float().contiguous(), target.float(), *args, **kwargs)

    return lifted


def voxel_mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean of `(B, 1 or C, ...)` values over voxels, and channels, that count; 0 if none does.

    Example:
        >>> voxel_mean(torch.tensor([[[1.0, 5.0]]]), torch.tensor([[[1.0, 0.0]]])).item()
        1.0
    """
    if weight is None:
        return values.mean()
    return (values * weight).sum() / (weight.sum() * values.shape[1]).clamp_min(1.0)


def quiet(logits: Tensor, weight: Tensor | None) -> Tensor:
    """Logits with 0 where nothing counts, so that even infinities there do no harm."""
    return logits if weight is None else torch.where(weight > 0, logits, 0.0)
