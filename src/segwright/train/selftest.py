"""Checks every distinct convolution of a network in bfloat16 against float32, forward and backward.

Convolutions have returned wrong bfloat16 results on some processors for small inner sizes and strides above one
(pytorch issues 163347 and 169688), and a U-Net's deepest levels meet both.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

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
