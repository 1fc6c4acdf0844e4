"""Optimisers by name; weight decay never touches biases and normalisation weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def parameter_groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: weights with two or more dimensions decay, all others do not."""
    decayed = [p for p in net.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in net.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def adamw(
    net: nn.Module, *, lr: float, weight_decay: float, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019)."""
    return torch.optim.AdamW(parameter_groups(net, weight_decay), lr=lr, betas=(betas[0], betas[1]))


def sgd(
    net: nn.Module, *, lr: float, weight_decay: float, momentum: float = 0.99, nesterov: bool = True
) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, the choice for very long runs."""
    return torch.optim.SGD(parameter_groups(net, weight_decay), lr=lr, momentum=momentum, nesterov=nesterov)
