"""Keeps the encoder still at the start of a fold, so that a fresh head does not wash away what came over."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from segwright.core.errors import PlanError
from segwright.nets.transfer import encoder_names


class Frozen:
    """Parameters that get no gradient until a share of the budget is spent.

    Statistics of batch norm still follow the new images; weights do not move.

    Args:
        net: Network whose parameters are meant.
        until: Share of the budget.
        names: Parameters that may be frozen, such as those that were taken over; only those of the encoder are.

    Raises:
        PlanError: There is something to wait for, but nothing to freeze.
    """

    def __init__(self, net: nn.Module, until: float, names: Iterable[str]) -> None:
        self.until = until
        wanted = encoder_names(net) & set(names) if until > 0 else set()
        if until > 0 and not wanted:
            raise PlanError(
                "There is no encoder that could be frozen.",
                expected="a network with a part named encoder, whose weights were taken over",
                hint="Leave out freeze.",
            )
        self.parameters = [parameter for name, parameter in net.named_parameters() if name in wanted]
        self.still = False

    def at(self, progress: float) -> None:
        """Freeze or thaw as the progress asks."""
        still = progress < self.until
        if still != self.still:
            self.still = still
            for parameter in self.parameters:
                parameter.requires_grad_(not still)
                parameter.grad = None
