"""One fold from start to end: wires the plan's parts, drives the loop, logs, checkpoints, restarts a collapse."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from segwright.augment.compose import Augmenter
from segwright.core.disk import atomic_path
from segwright.core.plan import Plan, Triple
from segwright.core.registry import Registry
from segwright.core.seed import derive_seed
from segwright.losses import bind_loss
from segwright.nets import build
from segwright.nets.execution import keep_float32
from segwright.nets.pretrained import read
from segwright.nets.transfer import start_logits, take_over
from segwright.nets.weights import save_weights
from segwright.sample.case import SampleCase
from segwright.sample.patches import Patches
from segwright.sample.prefetch import EveryNth
from segwright.sample.zoom import Zoomed
from segwright.targets import build_target
from segwright.train import OPTIMISERS, SCHEDULES
from segwright.train.ahead import Ahead
from segwright.train.average import WeightAverage
from segwright.train.clock import Clock
from segwright.train.collapse import verdict
from segwright.train.fabric import make_fabric
from segwright.train.frozen import Frozen
from segwright.train.inner import inner
from segwright.train.log import EventLog, NoLog
from segwright.train.loop import Parts, Step, train
from segwright.train.memory import memory_guard
from segwright.train.pseudo import PseudoDice
from segwright.train.schedule import with_warmup
from segwright.train.state import BEFORE, TrainState
from segwright.train.timeline import timeline

#: Seconds between checkpoints: what a kill can cost.
CHECKPOINT_EVERY = 30.0
#: Fresh starts that a member gets at most.
RESTARTS = 1
#: Pseudo-Dice is taken this many times over a fold.
CHECKS = 20

Event = dict[str, Any]


@dataclass(frozen=True)
class FoldData:
    """Prepared cases of a fold.

    Attributes:
        train: Cases to learn from.
        validation: Cases for the pseudo-Dice; may be empty.
    """

    train: Sequence[SampleCase]
    validation: Sequence[SampleCase]


@dataclass
class FoldRun:
    """A fold being trained.

    Attributes:
        plan: Resolved plan.
        fold: Fold number.
        folder: Where log, checkpoint and weights go.
        device: Torch device.
        resume: Continue from the last checkpoint if there is one.
        listen: Called with every event (step events are thinned to a few a second).
        initial: Weights to start from, if any.
        group: Of processes that train together, in each of them; the first logs and saves for all.
        seconds: At most, where the plan's are no longer there.
    """

    plan: Plan
    fold: int
    folder: Path
    device: torch.device
    resume: bool = False
    listen: Callable[[Event], None] = field(default=lambda event: None)
    initial: Path | None = None
    group: Fabric | None = None
    seconds: float | None = None
    losses: list[float] = field(default_factory=list, init=False)

    @cached_property
    def fabric(self) -> Fabric:
        """What trains: the group of processes this one belongs to, or this one alone."""
        return self.group or make_fabric(self.device, self.plan.train.precision)

    @property
    def leads(self) -> bool:
        """Whether this process logs and saves."""
        return bool(self.fabric.is_global_zero)

    def run(self, data: FoldData) -> Event:
        """Train to the end of the budget; returns the closing event.

        Files: `log.jsonl`, `last.ckpt` (to resume), `weights.safetensors` (the average at the end), and
        `best.safetensors` (the average at its best pseudo-Dice, or pseudo-AP of objects), which `weights.safetensors`
        equals if the plan keeps the best.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        checkpoint = self.folder / "last.ckpt"
        state = self._start(attempt=0)
        if self.resume and (checkpoint.exists() or checkpoint.with_name(BEFORE).exists()):
            told = state.restore_last(checkpoint)
            if told and self.leads:
                self.listen({"kind": "note", "fold": self.fold, "text": f"Fold {self.fold}: {told}"})
        self.fabric.barrier()  # all have read it before the first overwrites it
        log = EventLog(self.folder, resume_step=state.step if self.resume else None) if self.leads else NoLog()
        try:
            while True:
                with memory_guard(self.plan):
                    outcome = self._attempt(state, data, log)
                if outcome is None:
                    break
                log.write(outcome)
                self.listen(outcome)
                state = self._start(attempt=outcome["attempt"], spent=state.elapsed, rate=outcome["rate"])
                self._save(state)
            return self._finish(state, log)
        finally:
            log.close()

    def _save(self, state: TrainState) -> None:
        """Write the checkpoint."""
        if self.leads:
            state.save(self.folder / "last.ckpt")

    def _start(self, *, attempt: int, spent: float = 0.0, rate: float = 1.0) -> TrainState:
        """A fresh member; each attempt has its own initial weights; `rate` is a share of the plan's learning rate."""
        plan, self.losses = self.plan, []
        torch.manual_seed(derive_seed(plan.seed, "weights", self.fold, attempt) % 2**63)
        net = build(plan.net)
        if plan.train.start:
            start_logits(net, plan.net, plan.train.start)
        self.frozen = self._initialise(net)
        keep_float32(net, plan.train.float32_layers)
        net = net.channels_last(bool(plan.train.channels_last)).to(self.device)
        average = WeightAverage(net, plan.train.ema)
        choice = plan.train.optimiser
        settings = {"lr": plan.train.lr, "weight_decay": plan.train.weight_decay, **choice.params}
        optimiser = OPTIMISERS.load(choice.name)(net, **settings)
        if plan.train.compile:
            self._compile(net)
        net, optimiser = self.fabric.setup(net, optimiser)
        return TrainState(net, optimiser, average, attempt=attempt, lr_scale=rate, elapsed=spent)

    def _initialise(self, net: nn.Module) -> Frozen:
        """Take over the initial weights; says which parameters keep still at first."""
        if self.initial is None:
            given = [name for name, _ in net.named_parameters()] if "weights" in self.plan.net.params else []
            return Frozen(net, self.plan.train.freeze, given)
        beside = self.initial.parent / Plan.filename
        source = Plan.load(beside) if beside.exists() else None
        return Frozen(net, self.plan.train.freeze, take_over(net, read(self.initial), self.plan, source).names)

    def _compile(self, net: nn.Module) -> None:
        """Compile in place; torch falls back to eager by itself when compilation fails, and says so here."""
        import torch._dynamo

        torch._dynamo.config.suppress_errors = True
        net.compile()
        self.listen({"kind": "note", "fold": self.fold, "text": "torch.compile is on; parts that fail run eagerly."})

    def _attempt(self, state: TrainState, data: FoldData, log: EventLog | NoLog) -> Event | None:
        """Train until the budget ends (`None`) or a collapse is seen (the restart event)."""
        plan = self.plan.train
        together = self.fabric.world_size > 1
        shared = self.fabric.broadcast if together else None
        seconds = plan.seconds if self.seconds is None else self.seconds
        clock = Clock(steps=plan.steps, seconds=seconds, spent=state.elapsed, shared=shared)
        judge = PseudoDice(self.plan, data.validation or data.train, self.fold, self.device)
        for stretch in timeline(self.plan.sample):
            clock.tick()
            if clock.progress(state.step) >= stretch.until:
                continue
            patches = Zoomed(self._patches(data, state, stretch.patch), stretch.zoom)
            own = EveryNth(patches, self.fabric.global_rank, self.fabric.world_size) if together else patches
            with Ahead(own, self.device) as source:
                steps = train(state, self._parts(source), clock, self.fabric, until=stretch.until)
                restart = self._steps(steps, state, clock, judge, log)
            if restart is not None:
                return restart
        return None

    def _steps(
        self, steps: Iterator[Step], state: TrainState, clock: Clock, judge: PseudoDice, log: EventLog | NoLog
    ) -> Event | None:
        """Log, judge and save while stepping."""
        self.frozen.at(clock.progress(state.step))
        saved, next_check = time.perf_counter(), clock.progress(state.step) + 1 / CHECKS
        for step in steps:
            self.frozen.at(step.progress)
            event = _step_event(step, self.fold)
            self.losses.append(step.loss)
            if step.progress >= min(next_check, 1.0):
                next_check = step.progress + 1 / CHECKS
                event |= self.fabric.broadcast(judge.check(state.average.net) if self.leads else {})
                restart = self._restart(step, event["pseudo_dice"], state)
                if restart is not None:
                    return restart
                self._keep_best(state, event)
            log.write(event)
            self.listen({**event, "remaining": clock.remaining(step.step)})
            if time.perf_counter() - saved > CHECKPOINT_EVERY:
                self._save(state)
                saved = time.perf_counter()
        return None

    def _patches(self, data: FoldData, state: TrainState, patch: Triple) -> Patches:
        plan = self.plan
        return Patches(
            data.train,
            patch=patch,
            context=plan.net.context,
            policy=plan.sample.policy.name,
            foreground=plan.sample.foreground,
            seek=plan.sample.seek,
            batch=plan.train.batch,
            seed=derive_seed(plan.seed, "sample", state.attempt),
            fold=self.fold,
            crops=plan.sample.crops,
        )

    def _parts(self, source: Ahead) -> Parts:
        plan, train_plan = self.plan, self.plan.train
        target = build_target(plan.target, plan.labels)
        return Parts(
            patches=source,
            augment=Augmenter(
                plan.augment.steps, plan.augment.mirror, in_plane_only=plan.net.slab != 0, exchange=plan.exchange
            ),
            encode=lambda label: target.encode(inner(label, plan.net.context)),
            loss=bind_loss(train_plan.loss, deep_supervision=plan.net.deep_supervision),
            schedule=with_warmup(_load(SCHEDULES, train_plan.schedule), train_plan.warmup),
            lr=train_plan.lr,
            clip=train_plan.clip,
            accumulate=train_plan.accumulate,
            seed=plan.seed,
            fold=self.fold,
        )

    def _restart(self, step: Step, pseudo: dict[str, float], state: TrainState) -> Event | None:
        """The event of a fresh start, where the network has stopped learning; one that is slow is told of and goes on.

        Only a loss that rose is a sign of too high a rate, which is then halved.
        """
        found = verdict(self.losses, step.progress, max(state.best, *pseudo.values()) if pseudo else 1.0)
        if found == "slow" and not state.extra.get("told_slow"):
            state.extra["told_slow"] = 1
            text = f"Fold {self.fold} finds no structure after {step.step} steps; its loss still falls, so it goes on."
            self.listen({"kind": "note", "fold": self.fold, "text": text})
        if found in {"sound", "slow"} or state.attempt >= RESTARTS:
            return None
        return {
            "kind": "restart",
            "fold": self.fold,
            "step": step.step,
            "elapsed": round(step.elapsed, 3),
            "attempt": state.attempt + 1,
            "rate": state.lr_scale * (0.5 if found == "diverged" else 1.0),
            "restarted": "no structure was found and the loss " + ("rose" if found == "diverged" else "stayed flat"),
        }

    def _keep_best(self, state: TrainState, event: Event) -> None:
        """Remember the weights if they are the best so far: by objects where these are learnt, else by structures."""
        dice, objects = event["pseudo_dice"], event.get("pseudo_ap")
        value = objects if "pseudo_ap" in event else sum(dice.values()) / len(dice) if dice else None
        if value is not None and value > state.best:
            state.best = value
            state.extra["best_step"] = state.step
            if self.leads:
                save_weights(state.average.net, self.folder / "best.safetensors")

    def _finish(self, state: TrainState, log: EventLog | NoLog) -> Event:
        self._save(state)
        if self.leads:
            self._save_final(state)
            (self.folder / BEFORE).unlink(missing_ok=True)
        event = {
            "kind": "end",
            "fold": self.fold,
            "step": state.step,
            "elapsed": state.elapsed,
            "restarts": state.attempt,
            "best_pseudo_ap" if self.plan.labels.instances else "best_pseudo_dice": state.best,
            "best_step": state.extra.get("best_step"),
            "kept": self.plan.train.keep,
        }
        log.write(event)
        self.listen(event)
        return event

    def _save_final(self, state: TrainState) -> None:
        """Write the weights that count: the average at the end, or the best one where the plan asks for it."""
        best, final = self.folder / "best.safetensors", self.folder / "weights.safetensors"
        if self.plan.train.keep == "best" and state.best >= 0:
            with atomic_path(final) as partial:
                shutil.copyfile(best, partial)
        else:
            save_weights(state.average.net, final)


def _load(table: Registry, choice: Any) -> Any:
    return table.load(choice.name)(**choice.params)


def _step_event(step: Step, fold: int) -> Event:
    return {
        "kind": "step",
        "fold": fold,
        "step": step.step,
        "progress": round(step.progress, 5),
        "elapsed": round(step.elapsed, 3),
        "loss": step.loss,
        "lr": step.lr,
        "grad_norm": step.grad_norm,
        "waited": round(step.waited, 4),
        **({"skipped": True} if step.skipped else {}),
    }
