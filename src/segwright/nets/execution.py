"""How a built network is run: layers in float32, recomputed activations, folded norms, and where it lies."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils.checkpoint import checkpoint

from segwright.core.errors import UsageError


class _InFloat32:
    """Put before a layer's own class, so that copies of the layer keep the behaviour with their own weights."""

    def forward(self, x: Tensor) -> Tensor:
        """The layer's forward on float32 input, outside autocast."""
        with torch.autocast(x.device.type, enabled=False):
            result: Tensor = super().forward(x.float())  # type: ignore[misc]
        return result


def keep_float32(net: nn.Module, names: Sequence[str]) -> None:
    """Run the named layers of `net` in float32 even where autocast would use bfloat16."""
    for name in names:
        layer = net.get_submodule(name)
        if not isinstance(layer, _InFloat32):
            layer.__class__ = _kept(type(layer))  # type: ignore[arg-type]  # a class is hashable


@cache
def _kept(layer: Any) -> Any:
    return type(f"Float32{layer.__name__}", (_InFloat32, layer), {})


def recomputed(stage: nn.Module, x: Tensor) -> Tensor:
    """`stage(x)` without its inner activations; where nothing is learned, `stage(x)` as it is.

    Running statistics count the batch once, as they would without recomputation.
    """
    if not (stage.training and torch.is_grad_enabled()):
        plain: Tensor = stage(x)
        return plain

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _frozen_statistics(stage)

    result: Tensor = checkpoint(stage, x, use_reentrant=False, context_fn=contexts)
    return result


@contextmanager
def _frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Undo what the second run does to the buffers of batch norms."""
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    kept = [(norm, name, buffer) for norm in norms for name, buffer in norm.named_buffers()]
    for norm, name, buffer in kept:
        setattr(norm, name, buffer.clone())
    try:
        yield
    finally:
        for norm, name, buffer in kept:
            setattr(norm, name, buffer)


Net = TypeVar("Net", bound=nn.Module)

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


def fused(net: Net) -> Net:
    """A copy of `net` for inference in which every convolution directly followed by batch norm absorbed it.

    Only pairs that are neighbours in an `nn.Sequential` are touched, as those are certain to follow one another.
    """
    net = copy.deepcopy(net).eval()
    for parent in list(net.modules()):
        if isinstance(parent, nn.Sequential):
            _fuse_neighbours(parent)
    return net


def _fuse_neighbours(parent: nn.Sequential) -> None:
    children = list(parent.named_children())
    for (name, convolution), (next_name, norm) in itertools.pairwise(children):
        if isinstance(convolution, _CONVOLUTIONS) and isinstance(norm, _NORMS):
            assert norm.running_mean is not None and norm.running_var is not None
            weight, bias = fuse_conv_bn_weights(
                convolution.weight,
                convolution.bias,
                norm.running_mean,
                norm.running_var,
                norm.eps,
                norm.weight,
                norm.bias,
            )
            convolution.weight, convolution.bias = weight, bias
            setattr(parent, name, convolution)
            setattr(parent, next_name, nn.Identity())


class Conv3d(nn.Conv3d):
    """As `torch.nn.Conv3d`, but inputs of fewer slices than the kernel has are padded in depth beforehand.

    The result is the same. Left to itself, torch 2.13 on CPUs with AVX512-BF16 fills part of the weight gradient from
    uninitialised memory whenever the front and the back padding meet (1 < z < kernel depth), which shows as NaN now
    and then and as a wrong gradient always.
    """

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, z, y, x)` to `(B, outputs, ...)`."""
        if not 1 < x.shape[2] < self.kernel_size[0]:
            return super().forward(x)
        depth, *plane = map(int, self.padding)
        padded = F.pad(x, (0, 0, 0, 0, depth, depth))
        return F.conv3d(padded, self.weight, self.bias, self.stride, (0, *plane), self.dilation, self.groups)


def resolve_device(name: str = "auto") -> torch.device:
    """The torch device for `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.

    Raises:
        UsageError: The device is not on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"Unknown device {name!r}.", expected="auto, cpu, cuda, cuda:N, mps", got=name) from error
    absent = (device.type == "cuda" and not torch.cuda.is_available()) or (
        device.type == "mps" and not torch.backends.mps.is_available()
    )
    if absent:
        raise UsageError(f"There is no {device.type} device on this machine.", hint="Use --device cpu or auto.")
    return device


def supports_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is native, so that it can be faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
