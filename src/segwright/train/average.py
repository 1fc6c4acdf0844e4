"""The moving average of weights (EMA) that is evaluated and saved."""

from __future__ import annotations

import copy

import torch
from torch import nn


class WeightAverage:
    """A shadow network whose weights follow the trained ones.

    Args:
        net: Network to follow.
        share: Averaging window as a share of all steps; 0 makes the shadow a plain copy.
    """

    def __init__(self, net: nn.Module, share: float) -> None:
        self.share = share
        self.net = copy.deepcopy(net).eval().requires_grad_(False)

    def decay(self, step: int, planned: float) -> float:
        """Decay at `step` of about `planned`: `1 - 1 / (share * planned)` within 0.98-0.9995, smaller early on."""
        if self.share <= 0:
            return 0.0
        settled = min(max(1 - 1 / max(self.share * planned, 1.0), 0.98), 0.9995)
        return min(settled, (1 + step) / (10 + step))

    @torch.no_grad()
    def update(self, net: nn.Module, step: int, planned: float) -> None:
        """Move the shadow towards `net`."""
        keep = self.decay(step, planned)
        mine = self.net.state_dict()
        pairs = [(mine[name], tensor) for name, tensor in net.state_dict().items()]
        floats = [(a, b) for a, b in pairs if a.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1 - keep)
        for a, b in pairs:
            if not a.is_floating_point():
                a.copy_(b)
