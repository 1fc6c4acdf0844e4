"""Folding batch norm away changes no prediction and leaves no batch norm; the contract suite asks it of every row."""

from __future__ import annotations

import pytest
import torch

from segwright.core.plan import NetSpec
from segwright.nets import build
from segwright.nets.execution import fused


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("slab", [0, 1, 3])
@pytest.mark.parametrize("name", ["unet", "resenc"])
def test_fused_network_predicts_the_same(name, slab, norm):
    torch.manual_seed(0)
    spec = NetSpec(
        name=name, slab=slab, norm=norm, in_channels=1, out_channels=2, widths=(4, 8), kernels=((3, 3, 3),) * 2,
        strides=((1, 1, 1), (2, 2, 2)), encoder_blocks=(2, 2), decoder_blocks=(2,),
    )  # fmt: skip
    net, x = build(spec), torch.randn(2, 1, 4 + 2 * spec.context[0], 8, 8)
    for part in net.modules():  # statistics and scales as after training, residual branches awake
        if isinstance(part, torch.nn.modules.batchnorm._NormBase):
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
    net.train()(3 * x + 1)
    expected = net.eval()(x)
    torch.testing.assert_close(fused(net)(x), expected, rtol=1e-4, atol=1e-4)
    assert any(isinstance(m, torch.nn.Identity) for m in fused(net).modules()) == (norm == "batch")
