"""Layers kept in float32: exact under autocast, with weights of their own after a copy."""

from __future__ import annotations

import copy

import torch
from torch import nn

from segwright.nets.execution import keep_float32


def test_a_kept_layer_computes_in_float32_under_autocast() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3))
    image = torch.randn(1, 1, 8, 8)
    keep_float32(net, ("0",))
    with torch.autocast("cpu", torch.bfloat16):
        kept = net[0](image)
        rough = net(image)
    assert kept.dtype == torch.float32
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(kept, nn.functional.conv2d(image, net[0].weight, net[0].bias))


def test_a_copy_has_its_own_weights_and_stays_kept() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False))
    keep_float32(net, ("0",))
    keep_float32(net, ("0",))
    shadow = copy.deepcopy(net)
    nn.init.constant_(net[0].weight, 0.0)
    nn.init.constant_(shadow[0].weight, 2.0)
    with torch.autocast("cpu", torch.bfloat16):
        result = shadow(torch.ones(1, 1, 2, 2))
    assert result.dtype == torch.float32
    assert result.unique().tolist() == [2.0]
    assert list(net.state_dict()) == ["0.weight"]
