"""What a network costs, counted on its own graph: tensors without storage pass through it, nothing is computed.

Formulas exist for the U-Nets that the planner makes to measure; every other network is traced once on torch's meta
device, which works for any code that torch can run and takes well below a second.
"""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from segwright.core.errors import SegwrightError
from segwright.core.plan import NetSpec, Triple
from segwright.nets import build
from segwright.nets.pretrained import untrained


@dataclass(frozen=True, slots=True)
class Traced:
    """Costs of a network on one batch, in float32.

    Attributes:
        parameters: Trainable numbers.
        flops: Operations (two a multiply-add) of a forward pass over the batch.
        kept: Bytes that the forward pass keeps for the backward pass, weights apart.
        widest: Bytes of the largest single tensor that is kept.
        peak: Bytes of live tensors at the worst moment of a forward pass without gradients, weights apart.
    """

    parameters: int
    flops: float
    kept: int
    widest: int
    peak: int


def trace(spec: NetSpec, patch: Triple, batch: int) -> Traced:
    """Costs of a network on `batch` patches `(z, y, x)`; what a network sees around them is added.

    Raises:
        SegwrightError: The network cannot be built.

    Example:
        >>> levels = dict(widths=(4,), strides=((1, 1, 1),), kernels=((3, 3, 3),), decoder_blocks=())
        >>> spec = NetSpec(in_channels=1, out_channels=2, encoder_blocks=(1,), **levels)
        >>> trace(spec, (4, 8, 8), 1).flops == 2 * 256 * (27 * 4 + 4 * 2)
        True
    """
    return _trace(spec.model_dump_json(), patch, batch)


@cache
def _trace(spec_json: str, patch: Triple, batch: int) -> Traced:
    spec = NetSpec.model_validate_json(spec_json)
    try:
        return _pass(spec, patch, batch, torch.device("meta"))
    except SegwrightError:
        raise
    except Exception:  # a library's network may ask for values, which tensors without storage do not have
        return _scaled(spec, patch, batch)


def _pass(spec: NetSpec, patch: Triple, batch: int, device: torch.device) -> Traced:
    """Forward passes with and without gradients on a device."""
    with device, torch.inference_mode(False):
        net = build(untrained(spec))
        seen = (length + 2 * side for length, side in zip(patch, spec.context, strict=True))
        image = torch.zeros(batch, spec.in_channels, *seen)
        kept = _kept(net, image)
        with torch.no_grad(), _Live() as live, FlopCounterMode(display=False) as counter:
            net.eval()(image)
    parameters = sum(p.numel() for p in net.parameters() if p.requires_grad)
    return Traced(parameters, float(counter.get_total_flops()), sum(kept), max(kept, default=0), live.top)


def _scaled(spec: NetSpec, patch: Triple, batch: int) -> Traced:
    """Costs of a small patch that is really computed, times how much larger the patch is."""
    small = tuple(min(n, max(4 * d, 16)) for n, d in zip(patch, spec.divisor, strict=True))
    state = torch.get_rng_state()
    found = _pass(spec, (small[0], small[1], small[2]), 1, torch.device("cpu"))
    torch.set_rng_state(state)  # planning draws nothing that training would draw
    more = batch * math.prod(patch) / math.prod(small)
    kept, widest, peak = (int(value * more) for value in (found.kept, found.widest, found.peak))
    return Traced(found.parameters, found.flops * more, kept, widest, peak)


def _kept(net: nn.Module, image: Tensor) -> list[int]:
    """Bytes of each distinct storage that a backward pass would read, weights apart."""
    weights = {p.untyped_storage()._cdata for p in net.parameters()}
    sizes: dict[int, tuple[int, Tensor]] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            sizes[storage._cdata] = (storage.nbytes(), tensor)  # the tensor keeps its address from being used again
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = net.train()(image)
    del result
    return [size for size, _ in sizes.values()]


class _Live(TorchDispatchMode):
    """Counts the bytes of all tensors that operations returned and nobody has let go."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.top = 0
        self.seen: dict[int, int] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for part in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(part, Tensor):
                self._watch(part.untyped_storage())
        return result

    def _watch(self, storage: Any) -> None:
        key = storage._cdata
        if key in self.seen:
            return
        self.seen[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.top = max(self.top, self.now)
        weakref.finalize(storage, self._drop, key)

    def _drop(self, key: int) -> None:
        self.now -= self.seen.pop(key, 0)
