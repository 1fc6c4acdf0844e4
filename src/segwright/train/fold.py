"""One network of a fold from start to end: steps, log, checkpoints, and a fresh start after a collapse."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
import torch._dynamo
from lightning_fabric import Fabric
from torch import Tensor, nn

from segwright.core.disk import atomic_path
from segwright.core.errors import TrainingError
from segwright.core.events import End, ListenTraining, Note, Restart, Step, TrainEvent, silent
from segwright.core.model import EARLIER, earlier_files
from segwright.core.plan import Plan
from segwright.core.seed import derive, derive_seed
from segwright.losses.combine import current
from segwright.nets import build
from segwright.nets.execution import keep_float32
from segwright.nets.pretrained import read
from segwright.nets.transfer import start_logits, take_over
from segwright.nets.weights import save_weights
from segwright.sample.prefetch import EveryNth
from segwright.sample.zoom import Zoomed
from segwright.train import OPTIMISERS
from segwright.train.collapse import verdict
from segwright.train.fabric import make_fabric
from segwright.train.log import EventLog, NoLog
from segwright.train.memory import memory_guard
from segwright.train.optim import Clock
from segwright.train.parts import Ahead, FoldData, Frozen, Parts, parts_of, patches_of, timeline
from segwright.train.pseudo import PseudoDice
from segwright.train.state import BEFORE, TrainState, WeightAverage

#: Seconds between checkpoints: what a kill can cost.
CHECKPOINT_EVERY = 30.0
#: Fresh starts that a member gets at most.
RESTARTS = 1
#: Pseudo-Dice is taken this many times over a fold.
CHECKS = 20
#: Consecutive steps with a loss that is not finite before training gives up.
PATIENCE = 20


def train_step(state: TrainState, parts: Parts, clock: Clock, fabric: Fabric, progress: float) -> Step:
    """Take one optimiser step: forward and backward over the accumulated batches, then the update.

    Batches, augmentation and step counts depend on `parts.seed`, the attempt and the step only, so a run resumed
    from a checkpoint repeats what an unbroken run would have done. Processes that train together take the same steps
    on batches of their own.

    Args:
        state: Advanced by a step; weights stay where the loss or its gradient is not finite.
        parts: What training is made of.
        clock: Of the budget.
        fabric: The process, or the group it belongs to.
        progress: Share of the budget that is spent.
    """
    lr = parts.lr * state.lr_scale * parts.schedule(progress, state.step)
    for group in state.optimiser.param_groups:
        group["lr"] = lr
    criterion, total, waited = current(parts.loss, progress, state.step), 0.0, 0.0
    state.net.train()
    for part in range(parts.accumulate):
        start = time.perf_counter()
        image, target, weight = _batch(state, parts, fabric, state.step * parts.accumulate + part)
        waited += time.perf_counter() - start
        last = part == parts.accumulate - 1
        with fabric.no_backward_sync(state.net, enabled=not last):  # type: ignore[arg-type]  # Fabric's own wrapper
            loss = criterion(state.net(image), target, weight=weight)
            fabric.backward(loss / parts.accumulate)
        mean = fabric.all_reduce(loss.detach(), reduce_op="mean")
        assert isinstance(mean, Tensor)
        total += float(mean)
    total /= parts.accumulate
    norm = float(nn.utils.clip_grad_norm_(state.net.parameters(), parts.clip))
    healthy = math.isfinite(total) and math.isfinite(norm)
    if healthy:
        state.optimiser.step()
    state.optimiser.zero_grad(set_to_none=True)
    state.step += 1
    if healthy:
        state.average.update(_bare(state.net), state.step, clock.planned_steps(state.step))
    clock.tick()
    state.elapsed, progress = clock.elapsed, clock.progress(state.step)
    return Step(parts.fold, state.step, progress, state.elapsed, total, lr, norm, waited, skipped=not healthy)


@dataclass
class Phase:
    """A part of the budget with patches of one size.

    Attributes:
        parts: What it is made of.
        clock: Of the budget.
        judge: Looks at a few patches now and then.
        until: Share of the budget at which it ends.
        progress: Share that is spent.
        next_check: Share at which to look again.
        saved: When the last checkpoint was written.
        bad: Steps in a row whose loss was not finite.
    """

    parts: Parts
    clock: Clock
    judge: PseudoDice
    until: float
    progress: float
    next_check: float
    saved: float
    bad: int = 0


@dataclass
class FoldRun:
    """A fold being trained.

    Attributes:
        plan: Resolved plan.
        fold: Fold number.
        folder: Where log, checkpoint and weights go.
        device: Torch device.
        resume: Continue from the last checkpoint if there is one.
        listen: Told of every event, after the log.
        initial: Weights to start from, if any.
        group: Of processes that train together, in each of them; the first logs and saves for all.
        seconds: At most, where the plan's are no longer there.
    """

    plan: Plan
    fold: int
    folder: Path
    device: torch.device
    resume: bool = False
    listen: ListenTraining = silent
    initial: Path | None = None
    group: Fabric | None = None
    seconds: float | None = None
    losses: list[float] = field(default_factory=list, init=False)
    state: TrainState = field(init=False)
    frozen: Frozen = field(init=False)
    log: EventLog | NoLog = field(init=False)

    @cached_property
    def fabric(self) -> Fabric:
        """What trains: the group of processes this one belongs to, or this one alone."""
        return self.group or make_fabric(self.device, self.plan.train.precision)

    @property
    def leads(self) -> bool:
        """Whether this process logs and saves."""
        return bool(self.fabric.is_global_zero)

    def run(self, data: FoldData) -> End:
        """Train to the end of the budget; returns the closing event.

        Files: `log.jsonl`, `last.ckpt` (to resume), `weights.safetensors` (the average at the end), and
        `best.safetensors` (the average at its best pseudo-Dice, or pseudo-AP of objects), which `weights.safetensors`
        equals if the plan keeps the best; `weights-at-70.safetensors` and such, the average at these shares of the
        budget, small.

        Raises:
            TrainingError: The loss stayed infinite or NaN for many steps in a row.
            OutOfMemoryError: Main or GPU memory ran out.
        """
        with closing(self._begin()), memory_guard(self.plan), closing(self._phases(data)) as phases:
            for phase in phases:
                restart = None
                while phase.progress < phase.until and restart is None:
                    step = train_step(self.state, phase.parts, phase.clock, self.fabric, phase.progress)
                    restart = self._after(step, phase)
                if restart is not None:
                    self._tell(restart)
                    self.state = self._start(attempt=restart.attempt, spent=self.state.elapsed, rate=restart.rate)
                    self._save()
            return self._finish()

    def _begin(self) -> EventLog | NoLog:
        """State and log of a fresh start, or of the last checkpoint."""
        self.folder.mkdir(parents=True, exist_ok=True)
        checkpoint = self.folder / "last.ckpt"
        self.state, told = self._start(attempt=0), ""
        if self.resume and (checkpoint.exists() or checkpoint.with_name(BEFORE).exists()):
            told = self.state.restore_last(checkpoint)
        self.fabric.barrier()  # all have read it before the first overwrites it
        step = self.state.step if self.resume else None
        self.log = EventLog(self.folder, resume_step=step) if self.leads else NoLog()
        if told:
            self._tell(Note(f"Fold {self.fold}: {told}", self.fold))
        if self.plan.train.compile:
            self._tell(Note("torch.compile is on; parts that fail run eagerly.", self.fold))
        return self.log

    def _tell(self, event: TrainEvent) -> None:
        """The log is what others follow; this process hears at once."""
        if self.leads:
            self.log.write(event)
            self.listen(event)

    def _save(self) -> None:
        """Write the checkpoint."""
        if self.leads:
            self.state.save(self.folder / "last.ckpt")

    def _start(self, *, attempt: int, spent: float = 0.0, rate: float = 1.0) -> TrainState:
        """A fresh member; each attempt has its own initial weights; `rate` is a share of the plan's learning rate."""
        plan, self.losses = self.plan, []
        for file in earlier_files(self.folder / "weights.safetensors") if attempt and self.leads else ():
            file.unlink(missing_ok=True)
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
            torch._dynamo.config.suppress_errors = True  # what cannot be compiled runs as it is
            net.compile()
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

    def _phases(self, data: FoldData) -> Generator[Phase]:
        """What is trained on, one part of the budget after another, and all of it anew after a fresh start."""
        plan, attempt = self.plan, -1
        together = self.fabric.world_size > 1
        while attempt != self.state.attempt:
            attempt = self.state.attempt
            seconds = plan.train.seconds if self.seconds is None else self.seconds
            shared = self.fabric.broadcast if together else None
            clock = Clock(steps=plan.train.steps, seconds=seconds, spent=self.state.elapsed, shared=shared)
            judge = PseudoDice(plan, data.validation or data.train, self.fold, self.device)
            for stretch in timeline(plan.sample):
                clock.tick()
                progress = clock.progress(self.state.step)
                if progress >= stretch.until or attempt != self.state.attempt:
                    continue
                patches = Zoomed(patches_of(plan, data.train, self.fold, stretch.patch, attempt), stretch.zoom)
                own = EveryNth(patches, self.fabric.global_rank, self.fabric.world_size) if together else patches
                self.frozen.at(progress)
                with Ahead(own, self.device) as source:
                    parts, now = parts_of(plan, self.fold, source), time.perf_counter()
                    yield Phase(parts, clock, judge, stretch.until, progress, progress + 1 / CHECKS, now)

    def _after(self, step: Step, phase: Phase) -> Restart | None:
        """Judge, log and save after a step; a fresh start where the network has stopped learning."""
        phase.progress, phase.bad = step.progress, phase.bad + 1 if step.skipped else 0
        if phase.bad >= PATIENCE:
            raise TrainingError(
                f"The loss was not finite for {PATIENCE} steps in a row.",
                got=f"step {step.step}, learning rate {step.lr:.2g}",
                hint="Lower the rate (lr=...) or use precision=float32.",
            )
        self.frozen.at(step.progress)
        self.losses.append(step.loss or 0.0)
        if step.progress >= min(phase.next_check, 1.0):
            phase.next_check = step.progress + 1 / CHECKS
            found = self.fabric.broadcast(phase.judge.check(self.state.average.net) if self.leads else {})
            step = replace(step, **found)
            if (restart := self._restart(step)) is not None:
                return restart
            self._keep_best(step)
        self._keep_earlier(step)
        self._tell(_rounded(step, phase.clock.remaining(step.step)))
        if time.perf_counter() - phase.saved > CHECKPOINT_EVERY:
            self._save()
            phase.saved = time.perf_counter()
        return None

    def _restart(self, step: Step) -> Restart | None:
        """A fresh start, where the network has stopped learning; one that is slow is told of and goes on.

        Only a loss that rose is a sign of too high a rate, which is then halved.
        """
        state, pseudo = self.state, step.pseudo_dice
        found = verdict(self.losses, step.progress, max(state.best, *pseudo.values()) if pseudo else 1.0)
        if found == "slow" and not state.extra.get("told_slow"):
            state.extra["told_slow"] = 1
            text = f"Fold {self.fold} finds no structure after {step.step} steps; its loss still falls, so it goes on."
            self._tell(Note(text, self.fold))
        if found in {"sound", "slow"} or state.attempt >= RESTARTS:
            return None
        rose = found == "diverged"
        why = "no structure was found and the loss " + ("rose" if rose else "stayed flat")
        rate = state.lr_scale * (0.5 if rose else 1.0)
        return Restart(self.fold, step.step, round(step.elapsed, 3), state.attempt + 1, rate, why)

    def _keep_best(self, step: Step) -> None:
        """Remember the weights if they are the best so far: by objects where these are learnt, else by structures."""
        dice, state = step.pseudo_dice, self.state
        value = sum(dice.values()) / len(dice) if dice else None
        value = step.pseudo_ap if self.plan.labels.instances else value
        if value is not None and value > state.best:
            state.best = value
            state.extra["best_step"] = state.step
            if self.leads:
                save_weights(state.average.net, self.folder / "best.safetensors")

    def _keep_earlier(self, step: Step) -> None:
        """Remember the weights at shares of the budget."""
        for share, file in zip(EARLIER, earlier_files(self.folder / "weights.safetensors"), strict=True):
            if self.leads and step.progress >= share and not file.exists():
                save_weights(self.state.average.net, file, small=True)

    def _finish(self) -> End:
        state = self.state
        self._save()
        if self.leads:
            self._save_final()
            (self.folder / BEFORE).unlink(missing_ok=True)
        objects = self.plan.labels.instances
        end = End(
            self.fold,
            state.step,
            state.elapsed,
            state.attempt,
            best_pseudo_dice=None if objects else state.best,
            best_pseudo_ap=state.best if objects else None,
            best_step=state.extra.get("best_step"),
            kept=self.plan.train.keep,
        )
        self._tell(end)
        return end

    def _save_final(self) -> None:
        """Write the weights that count: the average at the end, or the best one where the plan asks for it."""
        best, final = self.folder / "best.safetensors", self.folder / "weights.safetensors"
        if self.plan.train.keep == "best" and self.state.best >= 0:
            with atomic_path(final) as partial:
                shutil.copyfile(best, partial)
        else:
            save_weights(self.state.average.net, final)


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


def _rounded(step: Step, remaining: float) -> Step:
    """A step as it is told and logged: times without digits that say nothing."""
    progress, elapsed, waited = round(step.progress, 5), round(step.elapsed, 3), round(step.waited, 4)
    left = round(remaining, 1) if math.isfinite(remaining) else None
    return replace(step, progress=progress, elapsed=elapsed, waited=waited, remaining=left)
