"""A short measurement that chooses precision, memory layout and normalisation for this machine and this network.

What is compared is processor time, in turns, so that a busy machine chooses as a quiet one would. What is usual stays
unless something else is clearly quicker in every round: on CPUs instance norm was once chosen over batch norm by noise,
which cost 5 points of Dice.
"""

from __future__ import annotations

import copy
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from segwright.core.plan import NetSpec, Plan, Triple
from segwright.nets import build
from segwright.nets.execution import fused, supports_bfloat16
from segwright.nets.framing import SlabNet, SurroundNet
from segwright.train import OPTIMISERS

#: A candidate replaces what is usual only if it takes less than this share of its time in each of so many rounds.
QUICKER, ROUNDS = 0.85, 3
#: Seconds of steps a turn, so that the clock's grain and a single interruption do not count; one step at least.
TURN = 0.05
#: Shares of the measuring time after which no further candidate is tried, and no further pass is timed.
TRYING = 0.7


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step costs: seconds by the clock, and seconds that it would take if nothing else ran.

    On a CPU the latter is the processor time over the threads; elsewhere both are the clock's.
    """

    wall: float
    quiet: float


@dataclass(frozen=True)
class Candidate:
    """One way to run a network."""

    precision: str
    channels_last: bool
    norm: str

    def __str__(self) -> str:
        layout = "channels last" if self.channels_last else "contiguous"
        return f"{self.precision}, {layout}, {self.norm} norm"


@dataclass(frozen=True)
class Load:
    """The work a step does: a network on a batch of patches, on a device."""

    spec: NetSpec
    patch: Triple
    batch: int
    device: torch.device

    def image(self, count: int | None = None) -> Tensor:
        """Random patches `(B, C, z, y, x)`, context included."""
        seen = [n + 2 * side for n, side in zip(self.patch, self.spec.context, strict=True)]
        shape = (count or self.batch, self.spec.in_channels, *seen)
        return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(self.device)

    def network(self, candidate: Candidate) -> SlabNet | SurroundNet:
        """The network as the candidate wants it."""
        spec = self.spec.model_copy(update={"norm": candidate.norm})
        return build(spec).channels_last(candidate.channels_last).to(self.device)


@dataclass(frozen=True)
class Measurement:
    """What was measured and chosen.

    Attributes:
        chosen: What is usual on this kind of machine, or a candidate that was clearly quicker.
        step_seconds: Forward, backward and update of one batch, by the clock.
        forward_seconds: Forward of one window without gradients, by the clock.
        float32_layers: Convolutions whose bfloat16 result was off.
        table: Seconds a step of every candidate tried, as they would be on a quiet machine.
        seconds: What measuring cost.
        why: The reason in words, for the plan.
    """

    chosen: Candidate
    step_seconds: float
    forward_seconds: float
    float32_layers: tuple[str, ...] = ()
    table: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    why: str = ""


def measure(
    plan: Plan,
    device: torch.device,
    *,
    seconds: float = 60.0,
    norms: tuple[str, ...] = (),
    precisions: Sequence[str] = (),
) -> Measurement:
    """Time training steps of the plan's network as is usual, then other ways against it, until `seconds` are spent.

    Runs of counted steps can be repeated exactly, so there what is usual is taken whatever the timing says.

    Args:
        plan: Plan whose `train.precision` may be `auto` and `train.channels_last` `None`.
        device: Where training will run.
        seconds: Budget; what is usual is always measured.
        norms: Normalisations that may be chosen, the usual one first; the plan's own if empty.
        precisions: Those that fit the memory; all if empty.
    """
    start = time.perf_counter()
    load = Load(plan.net, plan.sample.patch, plan.train.batch, device)
    usual, *others = _candidates(plan, device, norms, precisions)
    others = [] if plan.train.steps else others
    race = Race(load, usual, until=start + TRYING * seconds)
    for candidate in others:
        race.try_out(candidate)
    chosen = race.winner
    kept: tuple[str, ...] = ()
    if chosen.precision == "bfloat16":
        kept = failing_convolutions(load.network(chosen), load.image(1), device)
    return Measurement(
        chosen,
        race.wall(chosen),
        forward_seconds(load, chosen, until=start + seconds),
        kept,
        {str(candidate): round(value, 4) for candidate, value in race.table.items()},
        time.perf_counter() - start,
        race.why(others),
    )


def usual_candidate(spec: NetSpec, device: torch.device) -> Candidate:
    """What is usual on this kind of machine, for sizing a plan before anything is measured."""
    precision = "bfloat16" if supports_bfloat16(device) else "float32"
    return Candidate(precision, device.type == "cpu" or spec.norm != "instance", spec.norm)


def _candidates(
    plan: Plan, device: torch.device, norms: tuple[str, ...], precisions: Sequence[str] = ()
) -> list[Candidate]:
    """All that may be chosen, what is usual first."""
    usual = usual_candidate(plan.net, device)
    kinds = [usual.precision, "float32"] if plan.train.precision == "auto" else [plan.train.precision]
    kinds = [kind for kind in dict.fromkeys(kinds) if kind in precisions or not precisions] or kinds[:1]
    layouts = [usual.channels_last, not usual.channels_last]
    layouts = layouts if plan.train.channels_last is None else [plan.train.channels_last]
    found = itertools.product(kinds, norms or (plan.net.norm,), layouts)
    return [Candidate(precision, layout, norm) for precision, norm, layout in found]


class Race:
    """Candidates against what is usual, in turns on the same minutes of the machine.

    Args:
        load: The work.
        usual: What is usual; timed at once.
        until: Time (`perf_counter`) after which nothing new is tried.
    """

    def __init__(self, load: Load, usual: Candidate, *, until: float) -> None:
        self.load, self.usual, self.until = load, usual, until
        self.stand: Callable[[], Cost] = stepper(load, usual)
        self.costs: dict[Candidate, list[Cost]] = {usual: [self.stand()]}
        self.shares: dict[Candidate, list[float]] = {}

    def try_out(self, candidate: Candidate) -> None:
        """Let a candidate run beside what is usual until it is not clearly quicker, or has been in every round."""
        if time.perf_counter() > self.until:
            return
        step = stepper(self.load, candidate)
        for _ in range(ROUNDS):
            stand, own = self.stand(), step()
            self.costs[self.usual].append(stand)
            self.costs.setdefault(candidate, []).append(own)
            self.shares.setdefault(candidate, []).append(own.quiet / stand.quiet)
            if self.shares[candidate][-1] >= QUICKER or time.perf_counter() > self.until:
                return

    @property
    def table(self) -> dict[Candidate, float]:
        """Median seconds a step of each candidate, as on a quiet machine."""
        return {one: statistics.median(cost.quiet for cost in costs) for one, costs in self.costs.items()}

    def wall(self, candidate: Candidate) -> float:
        """Median seconds a step by the clock."""
        return statistics.median(cost.wall for cost in self.costs[candidate])

    @property
    def winner(self) -> Candidate:
        """What is usual, or the quickest of those that were clearly quicker in every round."""
        quicker = {one: max(shares) for one, shares in self.shares.items() if _wins(shares)}
        return min(quicker, key=lambda one: quicker[one], default=self.usual)

    def why(self, offered: Sequence[Candidate]) -> str:
        """The reason for the winner in words."""
        rows = "; ".join(f"{name}: {value * 1e3:.0f} ms" for name, value in self.table.items())
        left = len([one for one in offered if one not in self.costs])
        skipped = f"; {left} more were not tried, for the time to measure was spent" if left else ""
        if not offered:
            return f"usual on this kind of machine ({rows})"
        clear = f"{(1 - QUICKER) * 100:.0f} %"
        if self.winner == self.usual:
            return f"usual, and nothing else was more than {clear} quicker in every round (a step: {rows}{skipped})"
        least = (1 - max(self.shares[self.winner])) * 100
        return f"in each of {ROUNDS} rounds at least {least:.0f} % quicker than the usual (a step: {rows}{skipped})"


def _wins(shares: Sequence[float]) -> bool:
    return len(shares) == ROUNDS and max(shares) < QUICKER


def stepper(load: Load, candidate: Candidate) -> Callable[[], Cost]:
    """A function that trains for a turn and tells what a step of it cost; warmed up by a step that does not count."""
    net = load.network(candidate).train()
    optimiser = OPTIMISERS.load("adamw")(net, lr=1e-4, weight_decay=0.0)
    image = load.image()

    def step() -> None:
        with _autocast(load.device, candidate):
            out = net(image)
        heads = out if isinstance(out, list) else [out]
        torch.stack([head.float().square().mean() for head in heads]).sum().backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    step()
    return lambda: timed(step, load.device)


def step_seconds(load: Load, candidate: Candidate) -> float:
    """Seconds of a training step as it would be on a quiet machine."""
    return stepper(load, candidate)().quiet


@torch.inference_mode()
def forward_seconds(load: Load, candidate: Candidate, *, until: float) -> float:
    """Median seconds by the clock of up to three passes of one window forward, the last begun before `until`."""
    net = fused(load.network(candidate)).channels_last(candidate.channels_last)
    image = load.image(1)
    passes: list[float] = []
    with _autocast(load.device, candidate):
        net(image)
        while len(passes) < ROUNDS and (not passes or time.perf_counter() < until):
            passes.append(timed(lambda: net(image), load.device, turn=0.0).wall)
    return statistics.median(passes)


def _autocast(device: torch.device, candidate: Candidate) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=candidate.precision == "bfloat16")


def timed(action: Callable[[], object], device: torch.device, *, turn: float = TURN) -> Cost:
    """Cost of an action, as a mean over as many as fill a turn."""
    count, start, used = 0, time.perf_counter(), time.process_time()
    while not count or time.perf_counter() - start < turn:
        action()
        count += 1
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    wall = (time.perf_counter() - start) / count
    if device.type != "cpu":
        return Cost(wall, wall)
    return Cost(wall, (time.process_time() - used) / count / torch.get_num_threads())


#: Largest relative error (Frobenius norm) accepted; bfloat16 itself keeps 8 significant bits.
TOLERANCE = 3e-2

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def failing_convolutions(net: nn.Module, image: Tensor, device: torch.device) -> tuple[str, ...]:
    """Names of the convolutions of `net` whose bfloat16 result or gradient is off for the shapes `image` leads to."""
    shapes: dict[str, tuple[int, ...]] = {}
    handles = [
        module.register_forward_pre_hook(_recorder(shapes, name))
        for name, module in net.named_modules()
        if isinstance(module, _CONVOLUTIONS)
    ]
    with torch.no_grad():
        net.to(device).eval()(image)
    for handle in handles:
        handle.remove()
    verdicts: dict[Any, bool] = {}
    failing = []
    for name, shape in shapes.items():
        module = net.get_submodule(name)
        key = (type(module), shape, tuple(module.weight.shape), module.stride, module.padding)  # type: ignore[arg-type]
        if key not in verdicts:
            verdicts[key] = _agrees(module, shape, device)
        if not verdicts[key]:
            failing.append(name)
    return tuple(failing)


def _recorder(shapes: dict[str, tuple[int, ...]], name: str) -> Any:
    def record(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        shapes[name] = tuple(inputs[0].shape)

    return record


def _agrees(module: nn.Module, shape: tuple[int, ...], device: torch.device) -> bool:
    """Whether output and both gradients agree between the precisions."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(shape, generator=generator).to(device)
    exact = _passes(copy.deepcopy(module).float(), image, bfloat16=False)
    rough = _passes(copy.deepcopy(module).float(), image, bfloat16=True)
    return all(_error(a, b) < TOLERANCE for a, b in zip(exact, rough, strict=True))


def _passes(module: nn.Module, image: Tensor, *, bfloat16: bool) -> list[Tensor]:
    image = image.clone().requires_grad_(True)
    with torch.autocast(image.device.type, torch.bfloat16, enabled=bfloat16):
        out = module(image)
    weights = torch.linspace(-1, 1, out.numel(), device=image.device).reshape(out.shape)
    (out.float() * weights).sum().backward()
    gradients = [image.grad, *(parameter.grad for parameter in module.parameters())]
    return [out.detach().float(), *(gradient.float() for gradient in gradients if gradient is not None)]


def _error(exact: Tensor, rough: Tensor) -> float:
    return float((exact - rough).norm() / exact.norm().clamp_min(1e-12))
