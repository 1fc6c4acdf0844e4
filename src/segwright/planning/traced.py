"""Forecasts for networks that no formula knows: from their traced graphs to bytes, and to settings that would fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from segwright.core.plan import NetSpec, Triple
from segwright.planning.memory import LOSS_COPIES, SLACK

#: Shares of the widths that are tried, from wide to narrow.
NARROWER = (0.75, 0.5, 0.375, 0.25, 0.125)


class Traced(Protocol):
    """Costs of a network on one batch, in float32; see `segwright.nets.forecast`."""

    @property
    def parameters(self) -> int: ...

    @property
    def flops(self) -> float: ...

    @property
    def kept(self) -> int: ...

    @property
    def widest(self) -> int: ...

    @property
    def peak(self) -> int: ...


Trace = Callable[[NetSpec, Triple, int], Traced]


def training_bytes(
    found: Traced, spec: NetSpec, patch: Triple, batch: int, precision_bytes: int, optimiser_slots: int = 2
) -> int:
    """Bytes held for tensors at the peak of a training step with a running average of the weights.

    Recomputed activations (`checkpointing`) are seen by the trace itself.
    """
    weights = 4 * found.parameters * (3 + optimiser_slots) + (2 * found.parameters if precision_bytes < 4 else 0)
    activations = found.kept * precision_bytes // 4 + found.widest
    loss = 4 * LOSS_COPIES * spec.out_channels * batch * math.prod(patch)
    return weights + int((1 + SLACK) * (activations + loss))


def prediction_bytes(found: Traced, spec: NetSpec, window: Triple, batch: int, members: int = 1) -> int:
    """Bytes of tensors at the peak of predicting a batch of windows, logits and scores in float32 included."""
    return 4 * found.parameters * members + found.peak + 8 * spec.out_channels * batch * math.prod(window)


def narrower(spec: NetSpec, fits: Callable[[NetSpec], bool]) -> str:
    """The override that narrows a published network until it fits, `width=16`, or other settings to try.

    Widths that begin with one channel belong to dense stacks, which have a `growth` of their own.
    """
    first = spec.widths[0]
    if first > 1:
        for share in NARROWER:
            widths = tuple(max(1, round(width * share)) for width in spec.widths)
            if widths[0] >= 2 and fits(spec.model_copy(update={"widths": widths})):
                return f"width={widths[0]} (of {first})"
    return "a smaller patch= or size=, fewer levels=" + (", or a smaller net.growth=" if first == 1 else "")
