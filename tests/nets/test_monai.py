"""MONAI's networks behind segwright's specification: the same networks, any size, safe to copy and to store."""

from __future__ import annotations

import builtins
import copy
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from segwright.core.errors import PlanError, UsageError
from segwright.core.plan import NetSpec
from segwright.nets import build, net_info
from segwright.nets.describe import count_parameters
from segwright.nets.execution import Conv3d

ROWS = ("segresnet", "swinunetr", "mednext", "dynunet", "monai-attention-unet")
installed = pytest.mark.skipif(
    find_spec("monai") is None or find_spec("einops") is None, reason="MONAI or einops is not installed"
)
#: Trainable parameters at the catalogue's setting, in 3-D and in 2-D.
COUNTS = {
    "segresnet": (18_798_627, 6_299_427),
    "swinunetr": (62_191_941, 25_140_045),
    "mednext": (5_550_914, 5_472_002),
    "dynunet": (31_189_410, 10_704_738),
    "monai-attention-unet": (5_909_130, 1_987_434),
}


def spec_of(name: str, slab: int = 0, **rest: Any) -> NetSpec:
    own = net_info(name).spec
    fields = {
        "name": name, "in_channels": 2, "out_channels": 3, "widths": (6, 8, 12), "norm": own.norm, "slab": slab,
        "strides": ((1, 1, 1), (1, 2, 2), (2, 2, 2)), "kernels": ((1, 3, 3), (3, 3, 3), (3, 3, 3)),
        "encoder_blocks": (1, 2, 1), "decoder_blocks": (1, 1),
    }  # fmt: skip
    if name == "swinunetr":
        fields["params"] = {"depths": (1, 1, 1, 1), "window": 2}
    return NetSpec(**(fields | rest))


def made(spec: NetSpec) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(spec)


@installed
@pytest.mark.parametrize("slab", [0, 1])
@pytest.mark.parametrize("name", ROWS)
def test_counts_at_the_setting_of_the_source(name, slab):
    spec = net_info(name).spec.model_copy(update={"slab": slab})
    with torch.device("meta"):
        net = build(spec)
        result = net.eval()(torch.zeros(1, spec.in_channels, 3, 70, 50))
    assert result.shape == (1, spec.out_channels, 3, 70, 50)
    assert all(parameter.is_meta for parameter in net.parameters())
    assert count_parameters(net) == COUNTS[name][slab]


@installed
def test_mednext_sizes_of_the_paper():
    """Roy et al. 2023, table 1, kernel 3: S 5.6, B 10.5, M 17.6, L 61.8 million parameters."""
    ratios = ((2,) * 5, (2, 3, 4, 4, 4), (2, 3, 4, 4, 4), (3, 4, 8, 8, 8))
    blocks = ((2,) * 5, (2,) * 5, (3, 4, 4, 4, 4), (3, 4, 8, 8, 8))
    published = (5.6, 10.5, 17.6, 61.8)
    own = net_info("mednext").spec
    for ratio, block, millions in zip(ratios, blocks, published, strict=True):
        fields = {"encoder_blocks": block, "decoder_blocks": block[:-1], "params": {"expansion": ratio}}
        with torch.device("meta"):
            count = count_parameters(build(own.model_copy(update=fields)))
        assert count / 1e6 == pytest.approx(millions, abs=0.1)


@installed
@pytest.mark.parametrize("slab", [0, 1, 3])
@pytest.mark.parametrize("name", ROWS)
def test_odd_sizes_train_and_survive_storing(name, slab):
    spec = spec_of(name, slab)
    net = made(spec).train()
    logits = net(torch.randn(1, 2, 3 + 2 * spec.context[0], 9, 5))
    assert logits.shape == (1, 3, 3, 9, 5)
    logits.square().mean().backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key
    twin = build(spec)
    twin.load_state_dict(load(save(net.state_dict())))
    x = torch.randn(1, 2, 3 + 2 * spec.context[0], 9, 5)
    with torch.no_grad():
        assert torch.equal(net.eval()(x), twin.eval()(x))


@installed
@pytest.mark.parametrize("name", ["mednext", "dynunet"])
@pytest.mark.parametrize("slab", [0, 1])
def test_deep_supervision_leaves_a_network_that_can_be_copied(name, slab):
    levels = {"widths": (8,) * 4, "strides": ((1, 1, 1), *((1, 2, 2),) * 3), "kernels": ((3, 3, 3),) * 4}
    blocks = {"encoder_blocks": (1,) * 4, "decoder_blocks": (1,) * 3, "deep_supervision": True}
    net = made(spec_of(name, slab, **levels, **blocks)).train()
    parts = net(torch.randn(1, 2, 3, 17, 9))
    assert isinstance(parts, list) and len(parts) >= 2 and parts[0].shape == (1, 3, 3, 17, 9)
    sum(part.square().mean() for part in parts).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    assert len(save(copy.deepcopy(net).state_dict())) > 0
    assert isinstance(net.eval()(torch.randn(1, 2, 3, 17, 9)), torch.Tensor)


@installed
@pytest.mark.parametrize("norm", ["instance", "batch", "group"])
def test_dynunet_is_monais_own(norm):
    """The specification arrives unchanged: same weights, same logits as MONAI's network built by hand."""
    from monai.networks.nets import DynUNet

    spec = spec_of("dynunet", norm=norm, params={"residual": True})
    net = made(spec).eval()
    torch.manual_seed(0)
    words = {"group": ("GROUP", {"num_groups": 2})}.get(norm, (norm.upper(), {"affine": True}))
    oracle = DynUNet(
        spatial_dims=3, in_channels=2, out_channels=3, kernel_size=[[1, 3, 3], 3, 3], strides=[1, [1, 2, 2], 2],
        upsample_kernel_size=[[1, 2, 2], 2], filters=[6, 8, 12], norm_name=words, res_block=True,
    ).eval()  # fmt: skip
    x = torch.randn(1, 2, 4, 8, 8)
    torch.testing.assert_close(net(x), oracle(x))


@installed
def test_segresnet_is_monais_own():
    from monai.networks.nets import SegResNet

    spec = spec_of("segresnet", widths=(8, 16, 32), encoder_blocks=(1, 2, 3), decoder_blocks=(1, 2))
    net = made(spec).eval()
    torch.manual_seed(0)
    oracle = SegResNet(3, 8, 2, 3, blocks_down=(1, 2, 3), blocks_up=(2, 1)).eval()
    x = torch.randn(1, 2, 8, 8, 8)
    torch.testing.assert_close(net(x), oracle(x))


@installed
def test_swinunetr_takes_widths_that_its_heads_can_share():
    with torch.device("meta"):
        net = build(spec_of("swinunetr", widths=(32, 64, 128))).net.net
    assert net.swinViT.patch_embed.embed_dim == 36


@installed
@pytest.mark.parametrize("name", ["segresnet", "dynunet", "monai-attention-unet"])
def test_convolutions_are_the_trusted_ones(name):
    convolutions = [m for m in made(spec_of(name)).modules() if isinstance(m, torch.nn.Conv3d)]
    assert convolutions and all(isinstance(m, Conv3d) for m in convolutions)


@pytest.mark.parametrize(
    ("name", "wish", "hint"),
    [
        ("segresnet", {"deep_supervision": True}, "deep_supervision=false"),
        ("segresnet", {"checkpointing": True}, "checkpointing=false"),
        ("swinunetr", {"norm": "group"}, "norm=instance"),
        ("mednext", {"norm": "batch"}, "norm=instance"),
        ("monai-attention-unet", {"norm": "instance"}, "norm=batch"),
        ("dynunet", {"widths": (4, 8)}, "larger patches"),
    ],
)
def test_what_cannot_be_is_refused_with_a_hint(name, wish, hint):
    with pytest.raises(PlanError, match=f"Hint: .*{hint}"):
        build(spec_of(name, **wish))


@installed
def test_missing_library_is_named(monkeypatch):
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("monai"):
            raise ModuleNotFoundError("No module named 'monai'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r'pip install "monai>=1.5" einops'):
        build(spec_of("segresnet"))
