"""A short measurement that chooses precision, memory layout and normalisation for this machine and this network."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from segwright.core.plan import NetSpec, Plan, Triple
from segwright.nets import build
from segwright.nets.device import supports_bfloat16
from segwright.nets.fuse import fused
from segwright.nets.slab import SlabNet
from segwright.train import OPTIMISERS
from segwright.train.selftest import failing_convolutions


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

    def network(self, candidate: Candidate) -> SlabNet:
        """The network as the candidate wants it."""
        spec = self.spec.model_copy(update={"norm": candidate.norm})
        return build(spec).channels_last(candidate.channels_last).to(self.device)


@dataclass(frozen=True)
class Measurement:
    """What was measured and chosen.

    Attributes:
        chosen: The fastest candidate.
        step_seconds: Forward, backward and update of one batch.
        forward_seconds: Forward of one window without gradients.
        float32_layers: Convolutions whose bfloat16 result was off.
        table: Seconds a step of every candidate tried.
        seconds: What measuring cost.
    """

    chosen: Candidate
    step_seconds: float
    forward_seconds: float
    float32_layers: tuple[str, ...] = ()
    table: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def why(self) -> str:
        """The reason in words, for the plan."""
        rows = "; ".join(f"{name}: {value * 1e3:.0f} ms" for name, value in self.table.items())
        if len(self.table) == 1:
            return f"usual on this kind of machine ({rows})"
        return f"fastest step measured on this machine ({rows})"


def measure(plan: Plan, device: torch.device, *, seconds: float = 60.0, norms: tuple[str, ...] = ()) -> Measurement:
    """Time training steps of the plan's network, best expectation first, until `seconds` are spent.

    Runs of counted steps can be repeated exactly, so there the best expectation is taken whatever the timing says.

    Args:
        plan: Plan whose `train.precision` may be `auto` and `train.channels_last` `None`.
        device: Where training will run.
        seconds: Budget; at least one candidate is always measured.
        norms: Normalisations that may be chosen; the plan's own if empty.
    """
    start = time.perf_counter()
    load = Load(plan.net, plan.sample.patch, plan.train.batch, device)
    table: dict[Candidate, float] = {}
    offered = _candidates(plan, device, norms)
    for candidate in itertools.islice(offered, 1) if plan.train.steps else offered:
        if table and time.perf_counter() - start > seconds * 0.6:
            break
        table[candidate] = step_seconds(load, candidate, best=min(table.values(), default=float("inf")))
    chosen = min(table, key=lambda candidate: table[candidate])
    kept: tuple[str, ...] = ()
    if chosen.precision == "bfloat16":
        kept = failing_convolutions(load.network(chosen), load.image(1), device)
    return Measurement(
        chosen,
        table[chosen],
        forward_seconds(load, chosen),
        kept,
        {str(candidate): round(value, 4) for candidate, value in table.items()},
        time.perf_counter() - start,
    )


def usual_candidate(spec: NetSpec, device: torch.device) -> Candidate:
    """What measuring would most likely choose, for sizing a plan before anything is measured."""
    precision = "bfloat16" if supports_bfloat16(device) else "float32"
    return Candidate(precision, device.type == "cpu" or spec.norm != "instance", spec.norm)


def _candidates(plan: Plan, device: torch.device, norms: tuple[str, ...]) -> Iterator[Candidate]:
    asked = plan.train.precision
    offered = ["bfloat16", "float32"] if supports_bfloat16(device) else ["float32"]
    layouts = [True, False] if plan.train.channels_last is None else [plan.train.channels_last]
    precisions = offered if asked == "auto" else [asked]
    for precision, norm, layout in itertools.product(precisions, norms or (plan.net.norm,), layouts):
        yield Candidate(precision, layout, norm)


def step_seconds(load: Load, candidate: Candidate, *, repeats: int = 3, best: float = float("inf")) -> float:
    """Fastest of a few training steps; gives up early on a candidate that is clearly slower than `best`."""
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

    first = _timed(step, load.device)
    if first > 3 * best:
        return first
    return min(_timed(step, load.device) for _ in range(repeats))


@torch.inference_mode()
def forward_seconds(load: Load, candidate: Candidate) -> float:
    """Fastest of three forward passes of one window."""
    net = fused(load.network(candidate)).channels_last(candidate.channels_last)
    image = load.image(1)
    with _autocast(load.device, candidate):
        return min(_timed(lambda: net(image), load.device) for _ in range(3))


def _autocast(device: torch.device, candidate: Candidate) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=candidate.precision == "bfloat16")


def _timed(action: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    action()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
