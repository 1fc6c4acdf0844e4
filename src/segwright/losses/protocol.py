"""What a loss must promise, so that training need not know which one it is."""

from __future__ import annotations

from typing import Protocol

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
