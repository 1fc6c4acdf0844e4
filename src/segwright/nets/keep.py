"""Keeps chosen layers in float32 under autocast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def keep_float32(net: nn.Module, names: Sequence[str]) -> None:
    """Run the named modules of `net` in float32 even where autocast would use bfloat16."""
    modules = dict(net.named_modules())
    for name in names:
        module = modules[name]
        module.forward = _in_float32(module.forward, module)  # type: ignore[method-assign]


def _in_float32(forward: Any, module: nn.Module) -> Any:
    def call(x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            result: Tensor = forward(x.float())
        return result

    return call
