"""The training loop, top to bottom: it yields events and the caller logs, saves and stops."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from segwright.core.errors import TrainingError
from segwright.core.seed import derive
from segwright.losses.combine import current
from segwright.losses.protocol import BoundLoss
from segwright.train.clock import Clock
from segwright.train.schedule import Schedule
from segwright.train.state import TrainState

#: Consecutive steps with a loss that is not finite before training gives up.
PATIENCE = 20


class PatchSource(Protocol):
    """Batches by number: the same number always gives the same batch."""

    def at(self, step: int) -> Any:
        """The batch of a step: `image` (B, C, z, y, x), `label` (B, P, z, y, x) and `spacing` (B, 3)."""


@dataclass(frozen=True)
class Parts:
    """What the loop is made of; each part is handed in.

    Attributes:
        patches: Source of batches.
        augment: `(image, label, generator, spacing) -> (image, label)` on the device.
        encode: Label tensor to `(one-hot target, weight or None)`.
        loss: `(logits, target, *, weight) -> scalar`; one with a method `at(progress, step)` is asked at every step.
        schedule: `(progress, step) -> factor` on the learning rate.
        lr: Peak learning rate.
        clip: Largest gradient norm.
        accumulate: Batches a step.
        seed: Of the augmentation.
        fold: Names the random stream.
    """

    patches: PatchSource
    augment: Callable[..., tuple[Tensor, Tensor]]
    encode: Callable[[Tensor], tuple[Tensor, Tensor | None]]
    loss: Callable[..., Tensor]
    schedule: Schedule
    lr: float
    clip: float
    accumulate: int = 1
    seed: int = 0
    fold: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One optimiser step that was done or, when `skipped`, refused because its loss or gradient was not finite."""

    step: int
    progress: float
    elapsed: float
    loss: float
    lr: float
    grad_norm: float
    waited: float
    skipped: bool


def train(state: TrainState, parts: Parts, clock: Clock, fabric: Fabric, *, until: float = 1.0) -> Iterator[Step]:
    """Advance `state` until the clock ends, or shows the progress `until`, and report each step.

    Batches, augmentation and step counts depend on `parts.seed`, the attempt and the step only, so a run resumed
    from a checkpoint repeats what an unbroken run would have done. Processes that train together take the same steps
    on batches of their own.

    Raises:
        TrainingError: The loss stayed infinite or NaN for many steps in a row.
    """
    bad = 0
    clock.tick()
    progress = clock.progress(state.step)
    while progress < until:
        lr = parts.lr * state.lr_scale * parts.schedule(progress, state.step)
        for group in state.optimiser.param_groups:
            group["lr"] = lr
        loss, waited = _gradients(state, parts, fabric, current(parts.loss, progress, state.step))
        norm = float(nn.utils.clip_grad_norm_(state.net.parameters(), parts.clip))
        healthy = math.isfinite(loss) and math.isfinite(norm)
        if healthy:
            state.optimiser.step()
        state.optimiser.zero_grad(set_to_none=True)
        state.step += 1
        if healthy:
            state.average.update(_bare(state.net), state.step, clock.planned_steps(state.step))
        clock.tick()
        state.elapsed, progress = clock.elapsed, clock.progress(state.step)
        bad = 0 if healthy else bad + 1
        if bad >= PATIENCE:
            raise TrainingError(
                f"The loss was not finite for {PATIENCE} steps in a row.",
                got=f"step {state.step}, learning rate {lr:.2g}",
                hint="Lower the rate (lr=...) or use precision=float32.",
            )
        yield Step(state.step, progress, state.elapsed, loss, lr, norm, waited, not healthy)


def _gradients(state: TrainState, parts: Parts, fabric: Fabric, criterion: BoundLoss) -> tuple[float, float]:
    """Forward and backward over the accumulated batches; returns mean loss and seconds spent getting the data."""
    state.net.train()
    total, waited = 0.0, 0.0
    for part in range(parts.accumulate):
        number = state.step * parts.accumulate + part
        start = time.perf_counter()
        image, target, weight = _batch(state, parts, fabric, number)
        waited += time.perf_counter() - start
        last = part == parts.accumulate - 1
        with fabric.no_backward_sync(state.net, enabled=not last):  # type: ignore[arg-type]  # Fabric's own wrapper
            loss = criterion(state.net(image), target, weight=weight)
            fabric.backward(loss / parts.accumulate)
        mean = fabric.all_reduce(loss.detach(), reduce_op="mean")
        assert isinstance(mean, Tensor)
        total += float(mean)
    return total / parts.accumulate, waited


def _batch(state: TrainState, parts: Parts, fabric: Fabric, number: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """One augmented and encoded batch on the device."""
    batch = parts.patches.at(number)
    number = number * fabric.world_size + fabric.global_rank  # every process changes its patches in its own way
    image, label = fabric.to_device((batch.image, batch.label))
    rng = derive(parts.seed, "augment", parts.fold, state.attempt, number)
    with torch.no_grad():
        image, label = parts.augment(image, label, rng, batch.spacing)
        target, weight = parts.encode(label)
    return image, target, weight


def _bare(net: nn.Module) -> nn.Module:
    """The network without Fabric's wrapper, so that names match the average's."""
    return getattr(net, "_original_module", net)
