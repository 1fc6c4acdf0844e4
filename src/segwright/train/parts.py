"""What the training of a network is made of, from its plan: cases, patches, loss, schedule, and when each applies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from segwright.augment.compose import Augmenter
from segwright.core.errors import PlanError
from segwright.core.plan import Plan, SamplePlan, Triple
from segwright.core.registry import Registry
from segwright.core.seed import derive_seed
from segwright.losses import bind_loss
from segwright.nets.transfer import encoder_names
from segwright.sample.case import SampleCase
from segwright.sample.patches import Batch, Patches
from segwright.sample.prefetch import Prefetch, Source, prefetch
from segwright.targets import build_target
from segwright.train import SCHEDULES
from segwright.train.optim import Schedule, with_warmup


@dataclass(frozen=True)
class FoldData:
    """Prepared cases of a fold.

    Attributes:
        train: Cases to learn from.
        validation: Cases for the pseudo-Dice; may be empty.
    """

    train: Sequence[SampleCase]
    validation: Sequence[SampleCase]


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


def patches_of(plan: Plan, cases: Sequence[SampleCase], fold: int, patch: Triple, attempt: int) -> Patches:
    """Where a fold's batches come from; each attempt draws others."""
    return Patches(
        cases,
        patch=patch,
        context=plan.net.context,
        policy=plan.sample.policy.name,
        foreground=plan.sample.foreground,
        seek=plan.sample.seek,
        batch=plan.train.batch,
        seed=derive_seed(plan.seed, "sample", attempt),
        fold=fold,
        crops=plan.sample.crops,
    )


def parts_of(plan: Plan, fold: int, source: PatchSource) -> Parts:
    """The parts that a plan names, around a source of batches."""
    target, train = build_target(plan.target, plan.labels), plan.train
    return Parts(
        patches=source,
        augment=Augmenter(
            plan.augment.steps, plan.augment.mirror, in_plane_only=plan.net.slab != 0, exchange=plan.exchange
        ),
        encode=lambda label: target.encode(inner(label, plan.net.context)),
        loss=bind_loss(train.loss, deep_supervision=plan.net.deep_supervision),
        schedule=with_warmup(loaded(SCHEDULES, train.schedule), train.warmup),
        lr=train.lr,
        clip=train.clip,
        accumulate=train.accumulate,
        seed=plan.seed,
        fold=fold,
    )


def loaded(table: Registry, choice: Any) -> Any:
    """A row of a table with the parameters that were chosen."""
    return table.load(choice.name)(**choice.params)


class Stretch(NamedTuple):
    """A part of the budget: it ends at the share `until`."""

    until: float
    patch: Triple
    zoom: int


def timeline(sample: SamplePlan) -> tuple[Stretch, ...]:
    """Stretches in order; the last ends at 1.

    Example:
        >>> from segwright.core.recipe import PartChoice
        >>> plan = SamplePlan(policy=PartChoice(name="uniform"), patch=(1, 64, 64), zooms=((0.5, 2),))
        >>> timeline(plan)
        (Stretch(until=0.5, patch=(1, 64, 64), zoom=2), Stretch(until=1.0, patch=(1, 64, 64), zoom=1))
    """
    patches = (*sample.stages, (1.0, sample.patch))
    zooms = (*sample.zooms, (1.0, 1))
    ends = sorted({share for share, _ in (*patches, *zooms)})
    return tuple(
        Stretch(
            end,
            next(p for share, p in patches if share >= end),
            next(factor for share, factor in zooms if share >= end),
        )
        for end in ends
    )


def inner(label: Tensor, context: Triple) -> Tensor:
    """`(B, P, z, y, x)` without `context` voxels at either end of each axis."""
    for axis, side in enumerate(context, start=2):
        label = label.narrow(axis, side, label.shape[axis] - 2 * side)
    return label


class Ahead:
    """The same batches as `patches.at`, asked for in order, with the next two cut ahead where `device` is not a CPU.

    Use as a context manager, so that the background thread ends with the training.
    """

    def __init__(self, patches: Source, device: torch.device) -> None:
        self.patches = patches
        self.device = device
        self._running: Prefetch | None = None
        self._next = -1

    def at(self, step: int) -> Batch:
        """The batch of a step; out of order, the thread starts anew from there."""
        if self.device.type == "cpu":
            return self.patches.at(step)
        if self._running is None or step != self._next:
            self.close()
            self._running = prefetch(self.patches, step, then=Batch.pin if self.device.type == "cuda" else None)
        number, batch = next(self._running)
        self._next = number + 1
        return batch

    def close(self) -> None:
        """End the background thread."""
        if self._running is not None:
            self._running.close()
            self._running = None

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


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
