"""A short measurement that chooses precision, memory layout and normalisation for this machine and this network."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from segwright.core.plan import Plan
from segwright.nets import build
from segwright.train import OPTIMISERS
from segwright.train.device import supports_bfloat16
from segwright.train.keep import keep_float32
from segwright.train.loop import to_channels_last
from segwright.train.selftest import failing_convolutions


@dataclass(frozen=True)
class Candidate:
    """One way to run the planned network."""

    precision: str
    channels_last: bool
    norm: str

    def __str__(self) -> str:
        layout = "channels last" if self.channels_last else "contiguous"
        return f"{self.precision}, {layout}, {self.norm} norm"


@dataclass(frozen=True)
class Measurement:
    """What was measured and chosen.

    Attributes:
        chosen: The fastest candidate that passed.
        step_seconds: Forward, backward and update of one batch.
        forward_seconds: Forward of one window batch without gradients.
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
        return f"fastest step measured on this machine ({rows})"


def measure(
    plan: Plan, device: torch.device, *, seconds: float = 60.0, norms: tuple[str, ...] = (), repeats: int = 3
) -> Measurement:
    """Time training steps of the plan's network, best expectation first, until `seconds` are spent.

    Args:
        plan: Plan whose `train.precision` may be `auto` and `train.channels_last` `None`.
        device: Where training will run.
        seconds: Budget; at least one candidate is always measured.
        norms: Normalisations that may be chosen; the plan's own if empty.
        repeats: Timed steps a candidate; the fastest counts.
    """
    start = time.perf_counter()
    table: dict[Candidate, float] = {}
    for candidate in _candidates(plan, device, norms):
        if table and time.perf_counter() - start > seconds * 0.7:
            break
        table[candidate] = _step_seconds(plan, candidate, device, repeats, min(table.values(), default=float("inf")))
    chosen = min(table, key=lambda candidate: table[candidate])
    kept: tuple[str, ...] = ()
    if chosen.precision == "bfloat16":
        kept = failing_convolutions(build(_spec(plan, chosen)), _image(plan, chosen, device)[:1], device)
    return Measurement(
        chosen,
        table[chosen],
        _forward_seconds(plan, chosen, device),
        kept,
        {str(candidate): round(value, 4) for candidate, value in table.items()},
        time.perf_counter() - start,
    )


def _candidates(plan: Plan, device: torch.device, norms: tuple[str, ...]) -> Iterator[Candidate]:
    asked = plan.train.precision
    bfloat16 = supports_bfloat16(device)
    precisions = [asked] if asked != "auto" else ["bfloat16", "float32"] if bfloat16 else ["float32"]
    layouts = [True, False] if plan.train.channels_last is None else [plan.train.channels_last]
    for precision, norm, layout in itertools.product(precisions, norms or (plan.net.norm,), layouts):
        yield Candidate(precision, layout, norm)


def _spec(plan: Plan, candidate: Candidate) -> object:
    return plan.net.model_copy(update={"norm": candidate.norm})


def _image(plan: Plan, candidate: Candidate, device: torch.device) -> Tensor:
    z, y, x = plan.sample.patch
    depth = z + 2 * plan.net.context[0]
    generator = torch.Generator().manual_seed(0)
    image = torch.randn((plan.train.batch, plan.net.in_channels, depth, y, x), generator=generator).to(device)
    return to_channels_last(image) if candidate.channels_last else image


def _network(plan: Plan, candidate: Candidate, device: torch.device) -> nn.Module:
    net: nn.Module = build(_spec(plan, candidate))
    keep_float32(net, plan.train.float32_layers)
    return with_layout(net, candidate.channels_last, plan.net.spatial_dims).to(device)


def with_layout(net: nn.Module, channels_last: bool, dims: int) -> nn.Module:
    """The network with its weights in the planned memory layout."""
    if not channels_last:
        return net
    return net.to(memory_format=torch.channels_last_3d if dims == 3 else torch.channels_last)


def _step_seconds(plan: Plan, candidate: Candidate, device: torch.device, repeats: int, best: float) -> float:
    """Fastest of a few steps; gives up on a candidate that is clearly slower than `best`."""
    net = _network(plan, candidate, device).train()
    optimiser = OPTIMISERS.load("adamw")(net, lr=1e-4, weight_decay=0.0)
    image = _image(plan, candidate, device)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=candidate.precision == "bfloat16"):
            out = net(image)
        heads = out if isinstance(out, list | tuple) else [out]
        sum(head.float().square().mean() for head in heads).backward()  # type: ignore[union-attr]
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    first = _timed(step, device)
    if first > 3 * best:
        return first
    return min(_timed(step, device) for _ in range(repeats))


@torch.inference_mode()
def _forward_seconds(plan: Plan, candidate: Candidate, device: torch.device) -> float:
    net = _network(plan, candidate, device).eval()
    image = _image(plan, candidate, device)[:1]
    with torch.autocast(device.type, torch.bfloat16, enabled=candidate.precision == "bfloat16"):
        net(image)
        return min(_timed(lambda: net(image), device) for _ in range(2))


def _timed(action: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    action()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
