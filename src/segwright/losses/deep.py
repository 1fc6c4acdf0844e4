"""A loss over several resolutions of the same answer, computed in float32."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor
from torch.nn import functional as F

from segwright.losses.combine import current
from segwright.losses.protocol import BoundLoss


class DeepSupervision:
    """Sum a loss over logits of several sizes; targets shrink to each by nearest neighbour, so they stay one-hot.

    Args:
        loss: Loss at one size.
        weights: One an output, finest first, scaled to sum to 1; `None` halves from each size to the next, and gives
            outputs of one size (progressive heads) the same weight.
    """

    def __init__(self, loss: BoundLoss, weights: Sequence[float] | None = None) -> None:
        self.loss, self.weights = loss, weights

    def __call__(self, logits: Tensor | Sequence[Tensor], target: Tensor, *, weight: Tensor | None = None) -> Tensor:
        """Logits `(B, C, ...)`, or several of them finest first, and a target of the finest size, to a scalar."""
        if isinstance(logits, Tensor):
            return self.loss(logits, target, weight=weight)
        factors = self.weights or _halving(logits)
        total = sum(factors)
        terms = [
            factor / total * self.loss(part, _shrink(target, part), weight=_shrink_weight(weight, part))
            for factor, part in zip(factors, logits, strict=True)
        ]
        result = terms[0]
        for term in terms[1:]:
            result = result + term
        return result

    def at(self, progress: float, step: int) -> DeepSupervision:
        """The same with the loss in force at a moment of training."""
        return DeepSupervision(current(self.loss, progress, step), self.weights)


def _halving(logits: Sequence[Tensor]) -> list[float]:
    factors = [1.0]
    for finer, part in pairwise(logits):
        factors.append(factors[-1] * (1.0 if part.shape[2:] == finer.shape[2:] else 0.5))
    return factors


def _shrink(target: Tensor, like: Tensor) -> Tensor:
    if target.shape[2:] == like.shape[2:]:
        return target
    return F.interpolate(target, size=like.shape[2:], mode="nearest-exact")


def _shrink_weight(weight: Tensor | None, like: Tensor) -> Tensor | None:
    return None if weight is None else _shrink(weight, like)
