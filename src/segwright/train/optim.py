"""Optimisers by name, progress by steps or seconds, and learning rates as functions of progress."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from segwright.core.errors import RecipeError


def parameter_groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: weights with two or more dimensions decay, all others do not."""
    decayed = [p for p in net.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in net.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def adamw(
    net: nn.Module, *, lr: float, weight_decay: float, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019)."""
    return torch.optim.AdamW(parameter_groups(net, weight_decay), lr=lr, betas=(betas[0], betas[1]))


def sgd(
    net: nn.Module, *, lr: float, weight_decay: float, momentum: float = 0.99, nesterov: bool = True
) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, the choice for very long runs."""
    return torch.optim.SGD(parameter_groups(net, weight_decay), lr=lr, momentum=momentum, nesterov=nesterov)


Schedule = Callable[[float, int], float]


def cosine(*, floor: float = 0.0) -> Schedule:
    """Half a cosine from 1 to `floor` (Loshchilov & Hutter 2017, without restarts)."""
    return lambda progress, step: floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def poly(*, power: float = 0.9) -> Schedule:
    """`(1 - progress) ** power`, the usual choice of long segmentation runs."""
    return lambda progress, step: max(0.0, 1 - progress) ** power


def step(*, at: Sequence[float] = (0.6, 0.85), factor: float = 0.1) -> Schedule:
    """Multiply by `factor` at each share of the budget in `at`."""
    return lambda progress, step: factor ** sum(progress >= share for share in at)


def halve(*, every: int | None = None, share: float | None = None) -> Schedule:
    """Halve again and again, all at once each time: every `every` optimiser steps, or every `share` of the budget.

    Raises:
        RecipeError: Both are given, or one is not above 0. With neither it is every 1000 steps.

    Example:
        >>> [halve(share=0.25)(progress, 0) for progress in (0.2, 0.25, 0.6, 1.0)]
        [1.0, 0.5, 0.25, 0.0625]
    """
    if (
        (every is not None and share is not None)
        or (every is not None and every < 1)
        or (share is not None and share <= 0)
    ):
        got = f"every={every}, share={share}"
        raise RecipeError("The rate halves every so many steps or every share of the budget.", got=got)
    if share is not None:
        return lambda progress, step: 0.5 ** int(progress / share + 1e-9)
    steps = every or 1000
    return lambda progress, step: 0.5 ** (step // steps)


def constant() -> Schedule:
    """No decay: what remains is the rise of the first steps."""
    return lambda progress, step: 1.0


def with_warmup(schedule: Schedule, share: float) -> Schedule:
    """Rise linearly over the first `share` of the budget, then follow `schedule` over the rest.

    Example:
        >>> rate = with_warmup(cosine(), 0.1)
        >>> rate(0.05, 0), rate(0.1, 0), round(rate(1.0, 0), 6)
        (0.5, 1.0, 0.0)
    """
    if share <= 0:
        return schedule

    def rate(progress: float, step: int) -> float:
        if progress < share:
            return max(progress / share, 1e-3)
        return schedule((progress - share) / (1 - share), step)

    return rate


@dataclass
class Clock:
    """Counts what has been spent of a budget.

    Exactly one of `steps` and `seconds` is set. Time before a resume is carried in `spent`; time spent paused
    (validation outside the budget) is not counted. Processes that train together must agree on the rate and on the
    last step: they read one clock, whose time `shared` sends from the first of them to all.

    Example:
        >>> clock = Clock(steps=4)
        >>> clock.progress(1), clock.progress(4)
        (0.25, 1.0)
    """

    steps: int | None = None
    seconds: float | None = None
    spent: float = 0.0
    shared: Callable[[float], float] | None = None
    _since: float = field(default_factory=time.perf_counter)
    _told: float | None = None

    @property
    def elapsed(self) -> float:
        """Seconds spent on this fold, before and after a resume."""
        return self.spent + time.perf_counter() - self._since if self._told is None else self._told

    def tick(self) -> None:
        """Begin a step: a clock that is shared shows everybody the same time until the next."""
        if self.shared is not None:
            self._told = None
            self._told = self.shared(self.elapsed)

    def progress(self, step: int) -> float:
        """Share of the budget spent, within 0 and 1."""
        share = step / self.steps if self.steps else self.elapsed / (self.seconds or 1.0)
        return min(share, 1.0)

    def planned_steps(self, step: int) -> float:
        """Steps the whole budget is expected to hold."""
        return float(self.steps) if self.steps else max(step, 1) / max(self.progress(step), 1e-6)

    def remaining(self, step: int) -> float:
        """Seconds until the end, from the pace so far."""
        progress = self.progress(step)
        return self.elapsed * (1 - progress) / progress if progress > 0 else float("nan")
