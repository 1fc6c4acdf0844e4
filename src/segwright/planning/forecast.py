"""What a plan takes of memory, foreseen when everything that matters for it is decided."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from segwright.core.errors import PlanError
from segwright.core.plan import NetSpec, Plan, Triple, WindowPlan
from segwright.core.words import amount
from segwright.planning import memory as formula
from segwright.planning import traced
from segwright.planning.fingerprint import Fingerprint, prepared_shape
from segwright.planning.limits import Limits
from segwright.planning.machine import Machine

#: Numbers that optimisers keep a weight; others are taken for AdamW.
SLOTS = {"sgd": 1}


@dataclass(frozen=True)
class Costs:
    """Bytes that networks take on a machine in one precision.

    Args:
        machine: What there is.
        precision: `float32`, `bfloat16`, or `auto`: what is usual on the machine.
        optimiser: Row of the optimisers table.
        trace: Costs of a network as its source describes it; by the U-Net's formula where `None`.
        limits: Share of memory that a step may take.
    """

    machine: Machine
    precision: str
    optimiser: str = "adamw"
    trace: traced.Trace | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def bytes_each(self) -> int:
        """Bytes of an activation."""
        if self.precision == "auto":
            return 2 if self.machine.bfloat16 or self.machine.has_gpu else 4
        return 2 if self.precision == "bfloat16" else 4

    @property
    def budget(self) -> float:
        """Bytes that a training step may take."""
        return self.limits.step_memory * (self.machine.gpu_memory or self.machine.memory)

    def of_step(self, net: NetSpec, patch: Triple, batch: int) -> int:
        """Forecast of a training step."""
        slots = SLOTS.get(self.optimiser, 2)
        if self.trace is not None:
            found = self.trace(net, patch, batch)
            return traced.training_bytes(found, net, patch, batch, self.bytes_each, slots)
        return formula.training_bytes(net, patch, batch, precision_bytes=self.bytes_each, optimiser_slots=slots)

    def of_window(self, net: NetSpec, window: WindowPlan, members: int) -> int:
        """Forecast of predicting a batch of windows with so many networks at hand."""
        size, batch = window.size, window.batch
        if self.trace is not None:
            return traced.prediction_bytes(self.trace(net, size, batch), net, size, batch, members)
        return formula.prediction_bytes(net, size, batch, precision_bytes=self.bytes_each, members=members)


def memory(plan: Plan, facts: Fingerprint, machine: Machine, trace: traced.Trace | None) -> tuple[dict[str, int], str]:
    """What a plan takes in bytes, for a training step and for predicting a large scan with all its networks; and why.

    Raises:
        PlanError: A training step would not fit.
    """
    costs = _costs(plan, machine, plan.train.precision, trace)
    patch, extent = _largest(plan), prepared_shape(facts, plan.prepare)
    train = costs.of_step(plan.net, patch, plan.train.batch)
    members = max(plan.folds, 1) * plan.train.members
    scan = formula.scan_bytes(plan.net, plan.window.size, extent)
    predict = scan + costs.of_window(plan.net, plan.window, members)
    if train > costs.budget:
        raise PlanError(
            "A training step would not fit in memory.",
            expected=f"at most {costs.budget / 2**30:.1f} GB",
            got=f"{train / 2**30:.1f} GB forecast",
            where="plan",
            hint=_lighter(costs, plan.net, patch, plan.train.batch),
        )
    reason = (
        f"forecast: a training step in {_precision(costs)}, and a scan of "
        f"{extent[0]:.0f} x {extent[1]:.0f} x {extent[2]:.0f} with {amount(members, 'network')}"
    )
    return {"train": int(train), "predict": int(predict)}, reason


def fitting_precisions(plan: Plan, machine: Machine, trace: traced.Trace | None) -> tuple[str, ...]:
    """Precisions in which a training step fits the memory."""
    asked: Sequence[str] = ("bfloat16", "float32") if plan.train.precision == "auto" else (plan.train.precision,)
    every = {one: _costs(plan, machine, one, trace) for one in asked}
    patch, batch = _largest(plan), plan.train.batch
    return tuple(one for one, costs in every.items() if costs.of_step(plan.net, patch, batch) <= costs.budget)


def _costs(plan: Plan, machine: Machine, precision: str, trace: traced.Trace | None) -> Costs:
    return Costs(machine, precision, plan.train.optimiser.name, trace, Limits.of(plan.asked.get("limits", {})))


def _largest(plan: Plan) -> Triple:
    """The largest patch that is trained on."""
    return max((plan.sample.patch, *(size for _, size in plan.sample.stages)), key=math.prod)


def _precision(costs: Costs) -> str:
    return {2: "bfloat16", 4: "float32"}[costs.bytes_each]


def _lighter(costs: Costs, net: NetSpec, patch: Triple, batch: int) -> str:
    """What would bring a step into memory."""
    usual = "Lower batch=, patch= or width=, or set checkpointing=true."
    if costs.trace is None:
        return usual
    hint = traced.narrower(net, lambda one: costs.of_step(one, patch, batch) <= costs.budget)
    return f"{usual} It would fit with {hint}."
