"""From recipe, fingerprint and machine to a plan, with a reason for each number."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

from segwright.core.errors import PlanError
from segwright.core.plan import AugmentPlan, NetSpec, Plan, PreparePlan, SamplePlan, TrainPlan, Triple, WindowPlan
from segwright.core.recipe import PartChoice, Recipe
from segwright.core.words import amount
from segwright.planning import cost, forecast, memory, traced
from segwright.planning.extent import patches_held, prepared_shape, prepared_steps
from segwright.planning.fingerprint import Fingerprint
from segwright.planning.machine import Machine
from segwright.planning.pace import StepTimer, budget_seconds
from segwright.planning.rules import growth, large, network, order, sides, space, training
from segwright.planning.rules.crops import crops
from segwright.planning.rules.sections import faults
from segwright.planning.rules.seek import sought

#: Share of the budget for training; the rest is measuring, out-of-fold prediction and the report.
TRAINING_SHARE = 0.85
#: Base widths from wide to narrow, with the steps a fold must hold for one to be taken. On hippocampus volumes and 80 s
#: of training, width 16 beat both 8 (with 1.6 times the steps) and 24 (with half of them).
ENOUGH_STEPS = {32: 4000, 24: 2500, 16: 300, 12: 150, 8: 0}

T = TypeVar("T")

Shape = tuple[tuple[Triple, ...], tuple[Triple, ...]]
Augmentations = Callable[..., tuple[PartChoice, ...]]


@dataclass
class Planner:
    """Collects decisions and their reasons.

    Args:
        recipe: What is asked.
        facts: What was measured.
        machine: What there is.
        target: Row of the targets table.
        augmentations: Function from a level's name to augmentation steps.
        folds_trained: Folds this run will train (all, or those asked for).
        timer: Seconds of one training step; by formula where `None`.
        known: The recipe's network as its source describes it, if its levels follow from there and not from the data.
        trace: Costs of such a network, counted on its own graph; by the U-Net's formula where `None`.
    """

    recipe: Recipe
    facts: Fingerprint
    machine: Machine
    target: str
    augmentations: Augmentations
    folds_trained: int
    timer: StepTimer | None = None
    known: network.Published | None = None
    trace: traced.Trace | None = None
    why: dict[str, str] = field(default_factory=dict)
    surround: dict[str, Any] = field(default_factory=dict)
    accumulate: int = 1
    members: int = 1

    def __post_init__(self) -> None:
        self.members = self.recipe.members or 1

    def plan(self) -> Plan:
        """Decide everything.

        Raises:
            PlanError: No network fits into memory or time.
        """
        prepare = self._prepare()
        slab = self._note("net.slab", space.slab(self.recipe, self.facts, self.machine))
        net, patch, batch = self._network(prepare, slab)
        devices = self.machine.devices
        held = patches_held(self.facts, prepare, patch, self._folds())
        steps = self._steps(net, patch, batch)
        samples = steps * batch * devices
        count = training.members(self.recipe, steps, samples, held, target=self.target)
        self.members = self._note("train.members", count)
        if self.members != (self.recipe.members or 1):
            net, patch, batch = self._network(prepare, slab)  # for a network's share of the time
        steps = self._steps(net, patch, batch)
        self._tell_few_steps(net, patch, batch, steps)
        samples = steps * batch * devices
        level = self._note("augment.steps", training.augmentation(self.recipe, self.facts, samples, held))
        flips = training.mirror(self.recipe, self.facts, prepare.orientation, samples, level)
        mirror, exchange = self._note("augment.mirror", flips)
        self.why |= sides.measured(self.facts)
        train = self._train(net, patch, batch)
        plan = Plan(
            recipe=self.recipe.name,
            channels=self.facts.channels,
            upright=self.facts.upright,
            modality=self.facts.modality,
            labels=self.facts.labels,
            prepare=prepare,
            net=net,
            target=self.target,
            sample=SamplePlan(
                policy=PartChoice(name=self.recipe.policy or "foreground"),
                patch=patch,
                foreground=self._note("sample.foreground", training.foreground(self.recipe, self.facts)),
                seek=self._note("sample.seek", sought(self.recipe, self.facts.labels)),
                stages=self._stages(net, patch),
                zooms=large.zooms(self.recipe, any(net.surround)),
                crops=crops(self.recipe, self.facts.labels),
            ),
            augment=AugmentPlan(steps=self._augment(level, net, patch, samples), mirror=mirror),
            exchange=exchange,
            train=train,
            window=self._window(net, patch, prepare, mirror),
            folds=self._folds(),
            postprocess=self.recipe.postprocess,
            restore_sections=self._restores(),
            tolerance=self.recipe.tolerance,
            seed=self.recipe.seed,
            why=self.why,
        )
        return forecast.with_memory(plan, self.facts, self.machine, self.trace)

    def _note(self, name: str, decision: tuple[T, str]) -> T:
        """Keep the reason and return the value."""
        value, self.why[name] = decision
        return value

    def _prepare(self) -> PreparePlan:
        self.why["prepare.orientation"] = "slices first, growing to the patient's superior, anterior and right"
        scale = self._note("prepare.spacing", space.scale(self.recipe, self.facts, self.machine))
        return PreparePlan(
            orientation=self.facts.orientation,
            crop=self._note("prepare.crop", space.crop(self.facts)),
            spacing=scale.spacing,
            kept=scale.kept,
            voxel=self.facts.voxel,
            fit=self._note("prepare.fit", space.fit(self.recipe, self.facts, self.machine)),
            normalise=self._note("prepare.normalise", space.normalise(self.recipe, self.facts)),
        )

    def _network(self, prepare: PreparePlan, slab: int) -> tuple[NetSpec, Triple, int]:
        extent = prepared_shape(self.facts, prepare)
        steps = prepared_steps(self.facts, prepare)
        patch = self._note("sample.patch", self._patch(extent, steps, slab))
        shape = self._levels(patch, steps, slab)
        patch = self._divisible(patch, shape[0], slab)
        batch = self._note("train.batch", training.batch(self.recipe, self.machine, math.prod(patch)))
        norm = self._note("net.norm", network.norm(self.recipe, batch, slab, self.machine))
        if self.known is not None and self.recipe.norm is None:
            norm = self._note("net.norm", (self.known.spec.norm, "as in the network's source"))
        (around, factor), reason = large.surround(self.recipe, patch, extent, slab)
        self.why["net.surround"], self.surround = reason, {"surround": around, "reduction": factor}
        net = self._widest(shape, slab, patch, batch)
        update = {"in_channels": len(self.facts.channels), "out_channels": self._outputs, "norm": norm}
        net, batch, self.accumulate = self._thrifty(net.model_copy(update=update), patch, batch)
        return net, patch, batch

    def _patch(self, extent: network.Steps, steps: network.Steps, slab: int) -> tuple[Triple, str]:
        """The last size trained on, and why."""
        if not self.recipe.growth or self.recipe.patch is not None:
            row = order.axis(self.recipe, self.facts)
            return network.patch(self.recipe, extent, steps, slab=slab, machine=self.machine, row=row)
        size = growth.source(self.recipe, extent, slab)
        most = math.inf if self.machine.has_gpu and self.known else float(network.most_voxels(self.machine))
        return growth.patch(self.recipe, size, steps, most=most, room=self._room(slab))

    def _room(self, slab: int) -> growth.Room:
        """The share of memory for a step that a published network takes on a patch; others are narrowed to fit."""
        if self.known is None:
            return lambda patch: 0.0
        spec, _ = network.published(self.recipe, self.known, slab)
        spec = spec.model_copy(update={"in_channels": len(self.facts.channels), "out_channels": self._outputs})
        budget = large.COMFORT * (self.machine.gpu_memory or self.machine.memory)

        def taken(patch: Triple) -> float:
            patch = self._divisible(patch, spec.strides, slab)
            batch, _ = training.batch(self.recipe, self.machine, math.prod(patch))
            return self._costs.of_step(spec, patch, batch) / budget

        return taken

    @property
    def _outputs(self) -> int:
        """Network outputs that the target needs."""
        return order.channels(self.target, self.facts.labels)

    def _thrifty(self, net: NetSpec, patch: Triple, batch: int) -> tuple[NetSpec, int, int]:
        """The network and batch, reduced to the memory there is unless the recipe names them."""
        if self.recipe.batch is not None:
            return net, batch, self.recipe.accumulate
        net, batch, times, self.why["train.accumulate"] = large.thrift(
            net, patch, batch, budget=self.machine.gpu_memory or self.machine.memory, needs=self._costs.of_step
        )
        return net, batch, times * self.recipe.accumulate

    @property
    def _costs(self) -> forecast.Costs:
        """Memory that networks take, in the precision asked for or usual."""
        optimiser = self.recipe.optimiser.name if self.recipe.optimiser else "adamw"
        return forecast.Costs(self.machine, self.recipe.precision, optimiser, self.trace)

    def _stages(self, net: NetSpec, patch: Triple) -> tuple[tuple[float, Triple], ...]:
        """Patches before the last one, rounded up to what the network takes.

        Raises:
            PlanError: Their shares do not rise from 0 to below 1.
        """
        stages = growth.stages(self.recipe, patch)
        if stages:
            asked = bool(self.recipe.stages)
            self.why["sample.stages"] = "asked for in the recipe" if asked else "in proportion, as at their source"
        if any(a >= b for a, b in pairwise([0.0, *(share for share, _ in stages), 1.0])):
            hint = "Write e.g. stages=[[0.6,[32,64,64]]]: until 60 % of the budget, patches of that size."
            got = str([share for share, _ in stages])
            raise PlanError("Shares of stages rise from 0 to below 1.", got=got, where="stages", hint=hint)
        return tuple((share, self._divisible(size, net.strides, net.slab)) for share, size in stages)

    def _restores(self) -> bool:
        """Whether spoiled sections are mended first (a fit tells which); single planes have no neighbours for that."""
        deep = self.facts.dims == 3
        if self.recipe.restore_sections:
            self.why["restore_sections"] = "asked for in the recipe" if deep else "single planes have no neighbours"
        return self.recipe.restore_sections and deep

    def _levels(self, patch: Triple, steps: tuple[float, float, float], slab: int) -> Shape:
        """Strides and kernels, from the data or from the network's source."""
        if self.known is not None:
            spec, _ = network.published(self.recipe, self.known, slab)
            self.why["net.strides"] = "as in the network's source"
            return spec.strides, spec.kernels
        most = self.recipe.levels or (6 if self.machine.has_gpu or slab else 5)
        self.why["net.strides"] = f"pooled while {network.DEEPEST} voxels stay; coarse axes wait until spacing is even"
        return network.levels(patch, steps, slab, most)

    def _divisible(self, patch: Triple, strides: tuple[Triple, ...], slab: int) -> Triple:
        total = [math.prod(stride[axis] for stride in strides) for axis in range(3)]
        if slab:
            total[0] = 1
        z, y, x = (math.ceil(n / d) * d for n, d in zip(patch, total, strict=True))
        return z, y, x

    def _widest(self, shape: Shape, slab: int, patch: Triple, batch: int) -> NetSpec:
        """The widest base whose steps fit the time, or the widths of the network's source."""
        if self.known is not None:
            published = self._note("net.widths", network.published(self.recipe, self.known, slab))
            return published.model_copy(update=self.surround)
        if self.recipe.width:
            self.why["net.widths"] = "asked for in the recipe"
            asked = network.spec(self.recipe, shape, base=self.recipe.width, slab=slab, machine=self.machine)
            return asked.model_copy(update=self.surround)
        chosen: NetSpec | None = None
        for base, enough in reversed(ENOUGH_STEPS.items()):  # from narrow to wide, for steps of wide ones take long
            spec = network.spec(self.recipe, shape, base=base, slab=slab, machine=self.machine)
            spec = spec.model_copy(update=self.surround)
            steps = self._steps(spec, patch, batch)
            if chosen is not None and steps < enough:
                break
            chosen = spec
            self.why["net.widths"] = f"widest whose steps fit: about {steps:.0f} a fold, {enough} wanted for {base}"
        assert chosen is not None
        return chosen

    def _tell_few_steps(self, net: NetSpec, patch: Triple, batch: int, steps: float) -> None:
        """Add to the reason of a published network's widths that few steps fit the time, and what would hold more."""
        if self.trace is None or self.recipe.steps or steps >= traced.FEW_STEPS:
            return
        work = self.trace(net, patch, batch).flops * steps
        trace = self.trace
        hint = traced.narrower(net, lambda one: work / trace(one, patch, batch).flops >= traced.FEW_STEPS)
        self.why["net.widths"] += f". Only about {steps:.0f} steps fit a fold; for {traced.FEW_STEPS} ask for {hint}"

    def _seconds(self) -> float:
        """Training seconds a network."""
        budget = budget_seconds(self.recipe, gpu=self.machine.has_gpu)
        return budget * TRAINING_SHARE / max(self.folds_trained, 1) / self.members

    def _steps(self, spec: NetSpec, patch: Triple, batch: int) -> float:
        if self.recipe.steps:
            return float(self.recipe.steps)
        return self._seconds() / self.step_seconds(spec, patch, batch)

    def step_seconds(self, spec: NetSpec, patch: Triple, batch: int) -> float:
        """Seconds of a training step: measured where a timer is given, else by operations over useful GFLOP/s."""
        if self.timer is not None:
            return self.timer(spec, patch, batch)
        if self.trace is not None:
            return 3 * self.trace(spec, patch, batch).flops / (self.machine.gflops * 1e9)
        return cost.step_flops(spec, patch, batch) / (self.machine.gflops * 1e9)

    def _train(self, net: NetSpec, patch: Triple, batch: int) -> TrainPlan:
        choice, lr, decay = self._note("train.optimiser", training.optimiser(self.recipe))
        by_steps = self.recipe.steps is not None
        seconds = None if by_steps else self._seconds()
        if by_steps:
            self.why["train.steps"] = "asked for in the recipe; such a run can be repeated exactly"
        else:
            self.why["train.seconds"] = (
                f"{TRAINING_SHARE * 100:.0f} % of the time budget, shared by {amount(self.folds_trained, 'fold')}"
            )
        return TrainPlan(
            batch=batch,
            accumulate=self.accumulate,
            seconds=seconds,
            steps=self.recipe.steps,
            members=self.members,
            devices=self.machine.devices,
            loss=self._note("train.loss", training.loss(self.recipe, self.facts, self.target, net.slab)),
            optimiser=choice,
            schedule=self.recipe.schedule or PartChoice(name="cosine", params={"floor": 0.01}),
            lr=lr,
            weight_decay=decay,
            warmup=self._note("train.warmup", training.warmup(self.recipe)),
            ema=0.03 if self.recipe.ema else 0.0,
            keep=self._note("train.keep", training.keep(self.recipe)),
            precision=self.recipe.precision,
            compile=self.recipe.compile,
            start=self._note("train.start", training.start(self.recipe, self.target, self.facts)),
        )

    def _augment(self, level: str, net: NetSpec, patch: Triple, samples: float) -> tuple[PartChoice, ...]:
        if level == training.LISTED:
            return order.listed(self.recipe, self.target)
        spoiled, reason = faults(self.recipe, self.facts, level, samples)
        self.why["augment.steps"] += f"; {reason}" if reason else ""
        return self.augmentations(
            level,
            dims=2 if net.slab else 3,
            anisotropic=space.in_plane(self.facts, patch),
            modality=self.facts.modality,
            sections=patch[0] + 2 * net.context[0] if spoiled else 0,
        )

    def _window(self, net: NetSpec, patch: Triple, prepare: PreparePlan, mirror: tuple[int, ...]) -> WindowPlan:
        tta = self.recipe.tta if self.recipe.tta is not None else True
        self.why["window.mirror"] = (
            "the training mirrors, averaged at prediction" if tta else "switched off in the recipe"
        )
        overlap = self.recipe.overlap if self.recipe.overlap is not None else 0.5
        blend = self.recipe.blend or "gaussian"
        self.why["window.overlap"] = (
            "windows that overlap, blended with Gaussian weights, leave no seams"
            if blend == "gaussian"
            else "slices of windows that overlap count alike, as asked for in the recipe"
        )
        extent = prepared_shape(self.facts, prepare)
        size = self._note("window.size", network.window(patch, extent, net.divisor))
        while memory.scan_bytes(net, size, extent) > 0.5 * self.machine.memory and size[0] > net.divisor[0]:
            size = (size[0] - net.divisor[0], size[1], size[2])
            self.why["window.size"] = "as in training, but lower: scores of a window's slices must fit in memory"
        return WindowPlan(size=size, overlap=overlap, mirror=mirror if tta else (), batch=1, blend=blend)

    def _folds(self) -> int:
        folds = min(self.recipe.folds, self.facts.groups)
        folds = folds if folds > 1 else 0
        short = f"only {amount(self.facts.groups, 'group')} to keep apart"
        one = "one fold would validate on what it trains on, so all cases train and none validates"
        self.why["folds"] = (
            "asked for in the recipe" if folds == self.recipe.folds else short if self.recipe.folds > 1 else one
        )
        return folds
