"""A plan is made once: rules in order, each a pure function from what is known to what it decides.

Rules run in three phases: before anything is measured, once speed and start are known, and once the time budget is
shared out. A rule sees what earlier ones decided. Within a phase a field has one rule; a later phase settles what an
earlier one left open. The plan is built from all decisions, and what it takes of memory is foreseen from it, last.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from segwright.core.plan import InitPlan, NetSpec, Plan, PreparePlan, Triple
from segwright.core.recipe import PartChoice, Recipe
from segwright.core.registry import NetInfo
from segwright.planning import forecast, memory, traced
from segwright.planning.fingerprint import Fingerprint
from segwright.planning.limits import Limits, limits_of
from segwright.planning.machine import Machine
from segwright.planning.pace import StepTimer

Phase = Literal["before measuring", "measured", "budget"]
Augmentations = Callable[..., tuple[PartChoice, ...]]
#: Parts of a plan that have fields of their own.
SECTIONS = ("prepare", "net", "sample", "augment", "train", "window")
#: What a plan says of itself, beside what is decided.
ABOUT = {"schema_number", "asked", "made", "why", "warnings", "memory"}


@dataclass(frozen=True)
class Decision:
    """What a rule decides.

    Attributes:
        field: Of the plan, as `net.widths`.
        value: What it gets.
        reason: In words; empty where there was nothing to weigh.
        warning: What a person should know at once; empty if all is well.
    """

    field: str
    value: Any
    reason: str = ""
    warning: str = ""


@dataclass(frozen=True)
class Measured:
    """What a machine showed of a draft, and what its networks start from.

    Attributes:
        precision, channels_last, norm, float32_layers: Fields of the plan.
        why: Of the precision, and of a norm that was chosen by speed.
        init: Weights that folds start from.
        taken: What was taken over from there.
    """

    precision: Literal["auto", "float32", "bfloat16"]
    channels_last: bool | None
    norm: Literal["instance", "batch", "group"]
    float32_layers: tuple[str, ...]
    why: str
    init: InitPlan | None = None
    taken: str = ""


@dataclass(frozen=True)
class Allotted:
    """Seconds of each network, why, and what a person should know; no seconds where steps are counted.

    `mirror` are the axes of mirrored copies that time allows at prediction, and why they are fewer than planned.
    """

    seconds: float | None = None
    reason: str = ""
    warning: str = ""
    mended: str = ""
    mirror: tuple[tuple[int, ...], str] = ((), "")


@dataclass(frozen=True)
class Context:
    """What rules may look at.

    Attributes:
        recipe: What is asked.
        facts: What was found in the data.
        machine: What there is.
        folds_trained: Folds one after another that this run will train.
        augmentations: Function from a level's name to augmentation steps.
        timer: Seconds of one training step; by operations where `None`.
        known: The recipe's network as its source describes it, if its levels follow from there and not from the data.
        trace: Costs of such a network, counted on its own graph; by the U-Net's formula where `None`.
        measured: Known from the second phase on.
        allotted: Known in the third.
        decided: By field, what earlier rules decided.
    """

    recipe: Recipe
    facts: Fingerprint
    machine: Machine
    folds_trained: int
    augmentations: Augmentations
    timer: StepTimer | None = None
    known: NetInfo | None = None
    trace: traced.Trace | None = None
    measured: Measured | None = None
    allotted: Allotted = Allotted()
    decided: Mapping[str, Decision] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        """The value that a field was given."""
        return self.decided[name].value

    def _part(self, name: str) -> dict[str, Any]:
        start = f"{name}."
        return {key.removeprefix(start): one.value for key, one in self.decided.items() if key.startswith(start)}

    @property
    def limits(self) -> Limits:
        """Numbers that rules compare with."""
        return limits_of(self.recipe)

    @cached_property
    def prepare(self) -> PreparePlan:
        """How scans are prepared, once decided."""
        return PreparePlan(**self._part("prepare"))

    @cached_property
    def net(self) -> NetSpec:
        """The network, once decided."""
        return NetSpec(**self._part("net"))

    @property
    def patch(self) -> Triple:
        """The last size trained on, once decided."""
        found: Triple = self["sample.patch"]
        return found

    @property
    def costs(self) -> forecast.Costs:
        """Memory that networks take, in the precision asked for or usual."""
        optimiser = self.recipe.optimiser.name if self.recipe.optimiser else "adamw"
        return forecast.Costs(self.machine, self.recipe.precision, optimiser, self.trace, self.limits)

    def step_seconds(self, spec: NetSpec, patch: Triple, batch: int) -> float:
        """Seconds of a training step: measured where a timer is given, else by operations over useful GFLOP/s."""
        if self.timer is not None:
            return self.timer(spec, patch, batch)
        useful = 1e9 * gflops(self.machine, self.limits)
        if self.trace is not None:
            return 3 * self.trace(spec, patch, batch).flops / useful
        return memory.step_flops(spec, patch, batch) / useful


def gflops(machine: Machine, limits: Limits) -> float:
    """Rough useful GFLOP/s in a training step, for forecasts before anything is measured."""
    if machine.has_gpu:
        return limits.gflops_gpu
    return machine.cores * (limits.gflops_core_bfloat16 if machine.bfloat16 else limits.gflops_core)


Decisions = Decision | tuple[Decision, ...]


@dataclass(frozen=True)
class Rule:
    """A function that decides one field, or several that are found together, and when it is asked."""

    decide: Callable[[Context], Decisions]
    phase: Phase = "before measuring"

    @property
    def name(self) -> str:
        """Of the function."""
        return self.decide.__name__

    def decisions(self, context: Context) -> tuple[Decision, ...]:
        """What it decides, always as a list."""
        found = self.decide(context)
        return (found,) if isinstance(found, Decision) else found


def advance(context: Context, rules: tuple[Rule, ...], phase: Phase) -> Context:
    """The context with what the rules of a phase decide, each knowing what those before it did.

    Raises:
        PlanError: A rule finds no way, or two rules of the phase decide one field.
    """
    here: set[str] = set()
    for rule in (one for one in rules if one.phase == phase):
        found = {one.field: one for one in rule.decisions(context)}
        assert not here & found.keys(), f"{rule.name} decides {here & found.keys()} a second time"
        here |= found.keys()
        context = replace(context, decided={**context.decided, **found})
    return context


def plan_of(context: Context) -> Plan:
    """The plan of all decisions so far, with the memory that it takes.

    Raises:
        PlanError: A training step would not fit in memory.
    """
    decided = context.decided.values()
    data: dict[str, Any] = {section: {} for section in SECTIONS}
    for one in decided:
        section, dot, name = one.field.partition(".")
        if dot:
            data[section][name] = one.value
        else:
            data[section] = one.value
    why = {one.field: one.reason for one in decided if one.reason}
    warnings = tuple(dict.fromkeys(one.warning for one in decided if one.warning))
    asked = context.recipe.model_dump(mode="json", exclude_defaults=True, exclude={"about", "schema_number"})
    plan = Plan(**data, why=why, warnings=warnings, asked=asked)
    memory, reason = forecast.memory(plan, context.facts, context.machine, context.trace)
    made = plan.made or dict(fields(plan))
    return plan.model_copy(update={"memory": memory, "why": {**why, "memory": reason}, "made": made})


def fields(plan: Plan) -> Iterator[tuple[str, str]]:
    """Every decided field and its value as JSON on one line.

    Labels and channels are those of the data, so a person has no choice there.
    """
    for name, value in plan.model_dump(mode="json", exclude=ABOUT | {"labels", "channels"}).items():
        if name in SECTIONS:
            yield from ((f"{name}.{key}", json.dumps(inner)) for key, inner in value.items())
        else:
            yield name, json.dumps(value)
