"""Keeps chosen layers in float32 under autocast."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn


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
