"""What every row of the nets table promises, over slabs, norms and sizes."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from segwright.core.errors import GeometryError, PlanError, RecipeError, UnknownNameError
from segwright.core.plan import NetSpec
from segwright.nets import NETS, build

SLABS = (0, 1, 3)
NORMS = ("instance", "batch", "group")
ROWS = [(name, slab, norm) for name in NETS for slab in SLABS for norm in NORMS]


def spec_of(name: str = "unet", slab: int = 0, norm: str = "batch", **rest: object) -> NetSpec:
    fields = {
        "in_channels": 2, "out_channels": 3, "widths": (6, 8, 12), "kernels": ((1, 3, 3), (3, 3, 3), (3, 3, 3)),
        "strides": ((1, 1, 1), (1, 2, 2), (2, 2, 2)), "encoder_blocks": (1, 2, 1), "decoder_blocks": (1, 1),
    }  # fmt: skip
    return NetSpec(name=name, slab=slab, norm=norm, **(fields | rest))


def image(spec: NetSpec, size: tuple[int, int, int] = (4, 8, 12), batch: int = 2, seed: int = 0) -> Tensor:
    """Noise with the context that the slab needs."""
    z, y, x = size
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, spec.in_channels, z + 2 * spec.context[0], y, x, generator=generator)


def made(spec: NetSpec) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(spec)


@pytest.mark.parametrize(("name", "slab", "norm"), ROWS)
@pytest.mark.parametrize("size", [(4, 8, 12), (1, 1, 1), (3, 5, 9), (1, 17, 4)])
def test_no_size_is_refused(name, slab, norm, size):
    spec = spec_of(name, slab, norm)
    net = made(spec)
    for mode in (True, False):
        result = net.train(mode)(image(spec, size))
        assert result.shape == (2, 3, *size) and result.isfinite().all()


@pytest.mark.parametrize("size", [(4, 8, 12), (1, 1, 1)])
@pytest.mark.parametrize(("name", "slab", "norm"), ROWS)
def test_gradients_reach_all_parameters(name, slab, norm, size):
    spec = spec_of(name, slab, norm, deep_supervision=True)
    net = made(spec).train()
    sum(part.square().mean() for part in net(image(spec, size, batch=1))).backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
    # residual blocks start as their short cuts, so what lies inside them moves from the second step on
    assert all(p.grad.abs().sum() > 0 for k, p in net.named_parameters() if "heads" in k)


@pytest.mark.parametrize(("name", "slab", "norm"), ROWS)
def test_evaluation_repeats_itself_and_survives_saving(name, slab, norm):
    spec = spec_of(name, slab, norm, deep_supervision=True)
    net = made(spec).train()
    net(image(spec, seed=1))
    net.eval()
    x = image(spec)
    expected = net(x)
    assert torch.equal(expected, net(x))
    twin = build(spec).eval()
    twin.load_state_dict(load(save(net.state_dict())))
    assert torch.equal(expected, twin(x))


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("name", "slab", "norm"), ROWS)
def test_bfloat16_and_layout_give_nearly_the_same(name, slab, norm, last):
    spec = spec_of(name, slab, norm)
    net = made(spec).train()
    x = image(spec, (8, 16, 16))
    plain = net(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = net.channels_last(last)(x)
    assert half.isfinite().all()
    assert (half.float() - plain).norm() / plain.norm() < 0.05
    exact = net.channels_last(last)(x)
    torch.testing.assert_close(exact, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("slab", SLABS)
@pytest.mark.parametrize("name", NETS)
def test_bfloat16_gradients_point_the_same_way(name, slab):
    """Guards against the wrong bfloat16 kernels for tiny inner sizes that some torch releases had."""
    spec = spec_of(name, slab, widths=(16, 16, 32))
    x, gradients = image(spec, (4, 8, 8)), []
    for half in (False, True):
        net = made(spec).channels_last().train()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            result = net(x)
        (result.float() ** 3).mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    assert torch.cosine_similarity(gradients[0], gradients[1], dim=0) > 0.99


@pytest.mark.parametrize(("name", "slab", "norm"), ROWS)
def test_deep_supervision_only_while_training(name, slab, norm):
    spec = spec_of(name, slab, norm, deep_supervision=True)
    net = made(spec)
    fine, coarse = net.train()(image(spec))
    assert fine.shape == (2, 3, 4, 8, 12) and coarse.shape == (2, 3, 4, 4, 6)
    odd, coarse = net(image(spec, (3, 5, 9)))
    assert odd.shape == (2, 3, 3, 5, 9) and coarse.shape == (2, 3, 3, 3, 5)
    assert isinstance(net.eval()(image(spec)), Tensor)


@pytest.mark.parametrize(("name", "slab", "norm"), ROWS)
def test_checkpointing_changes_nothing(name, slab, norm):
    nets = [made(spec_of(name, slab, norm, checkpointing=on)).train() for on in (False, True)]
    for net in nets:
        net(image(net.spec)).square().mean().backward()
    for (key, a), b in zip(nets[0].named_parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=key)
    for (key, a), b in zip(nets[0].named_buffers(), nets[1].buffers(), strict=True):
        assert torch.equal(a, b), key


@pytest.mark.parametrize("up", ["linear", "nearest", "transpose"])
@pytest.mark.parametrize("down", ["conv", "pool"])
@pytest.mark.parametrize("join", ["concat", "add"])
@pytest.mark.parametrize("name", ["unet", "resenc"])
def test_two_dimensions_are_thin_three(name, join, up, down):
    """With kernels and strides of 1 in depth, the 2-D network of each slice is the 3-D network."""
    flat = {
        "kernels": ((1, 3, 3),) * 3, "strides": ((1, 1, 1), (1, 2, 2), (1, 2, 2)),
        "params": {"up": up, "down": down, "join": join, "activation": "relu"},
    }  # fmt: skip
    thin = made(spec_of(name, 0, "batch", **flat)).eval()
    plane = build(spec_of(name, 1, "batch", **flat)).eval()
    with torch.no_grad():
        for a, b in zip(plane.state_dict().values(), thin.state_dict().values(), strict=True):
            a.copy_(b.reshape(a.shape))
    x = image(thin.spec)
    torch.testing.assert_close(plane(x), thin(x), rtol=1e-5, atol=1e-5)
    thin.train()(x).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in thin.parameters())


@pytest.mark.parametrize("slab", [1, 3, 5])
def test_each_slice_sees_its_own_slab(slab):
    """A result of many slices equals the results of each slab alone, and nothing else reaches it."""
    spec = spec_of(slab=slab)
    net = made(spec).eval()
    x = image(spec)
    whole = net(x)
    for z in range(4):
        torch.testing.assert_close(whole[:, :, z : z + 1], net(x[:, :, z : z + slab]), rtol=1e-5, atol=1e-5)


def test_slab_channels_keep_image_channels_together():
    """Folded channels are ordered image channel first, then slice."""
    net = made(spec_of(slab=3))
    x = torch.arange(2 * 5.0).reshape(1, 2, 5, 1, 1)
    assert net._fold(x)[:, :, 0, 0].tolist() == [[0, 1, 2, 5, 6, 7], [1, 2, 3, 6, 7, 8], [2, 3, 4, 7, 8, 9]]
    assert net._fold(x[:, :, :3]).flatten().tolist() == [0, 1, 2, 5, 6, 7]


@pytest.mark.parametrize("name", ["unet", "resenc"])
def test_single_level_and_many_levels(name):
    one = {"widths": (4,), "strides": ((1, 1, 1),), "kernels": ((3, 3, 3),), "encoder_blocks": (1,)}
    spec = spec_of(name, **one, decoder_blocks=(), deep_supervision=True)
    assert made(spec).eval()(image(spec)).shape == (2, 3, 4, 8, 12)
    logits = made(spec).train()(image(spec))
    assert [part.shape for part in logits] == [(2, 3, 4, 8, 12)]
    five = {"widths": (4,) * 5, "strides": ((1, 1, 1), *((2, 2, 2),) * 4), "kernels": ((3, 3, 3),) * 5}
    spec = spec_of(name, **five, encoder_blocks=(1,) * 5, decoder_blocks=(1,) * 4, deep_supervision=True)
    assert [part.shape[-1] for part in made(spec).train()(image(spec, (16, 32, 32)))] == [32, 16, 8]


def test_norm_groups_fit_odd_widths():
    spec = spec_of(norm="group", widths=(6, 9, 16))
    groups = [m.num_groups for m in made(spec).modules() if isinstance(m, torch.nn.GroupNorm)]
    assert set(groups) == {2, 1, 8}


def test_wrong_wishes_are_named():
    with pytest.raises(UnknownNameError, match="resenc"):
        build(spec_of("resnec"))
    with pytest.raises(RecipeError, match="Did you mean 'activation'"):
        build(spec_of(params={"activations": "relu"}))
    with pytest.raises(RecipeError, match="linear or nearest or transpose"):
        build(spec_of(params={"up": "cubic"}))
    with pytest.raises(PlanError, match="decoder_blocks"):
        build(spec_of(decoder_blocks=(1, 1, 1)))
    with pytest.raises(PlanError, match="odd"):
        build(spec_of(kernels=((2, 3, 3),) * 3))
    with pytest.raises(PlanError, match="full resolution"):
        build(spec_of(strides=((1, 2, 2),) * 3))
    with pytest.raises(PlanError, match="centre slice"):
        build(spec_of(slab=2))
    with pytest.raises(GeometryError, match="needs as many"):
        build(spec_of(slab=3))(torch.zeros(1, 2, 2, 8, 8))


def test_classic_unet_has_the_published_parameter_count():
    """Ronneberger et al. 2015 without norms has 31,030,593 parameters (one output, transposed convolutions)."""
    widths = (64, 128, 256, 512, 1024)
    spec = NetSpec(
        in_channels=1, out_channels=1, slab=1, widths=widths, kernels=((1, 3, 3),) * 5,
        strides=((1, 1, 1), *((1, 2, 2),) * 4), encoder_blocks=(2,) * 5, decoder_blocks=(2,) * 4, norm="batch",
        params={"up": "transpose", "down": "pool", "activation": "relu"},
    )  # fmt: skip
    count = sum(p.numel() for p in build(spec).parameters())
    normalised = 2 * (
        sum(widths) + sum(widths[:-1])
    )  # two convolutions a stage; each trades a bias for scale and shift
    assert count - normalised == 31_030_593


def test_parameter_count_agrees_with_monai():
    """The same plain U-Net out of MONAI's DynUNet, whose blocks carry no biases either."""
    nets = pytest.importorskip("monai.networks.nets")
    spec = spec_of(
        norm="instance", encoder_blocks=(2, 2, 2), decoder_blocks=(2, 2), params={"up": "transpose"},
        kernels=((3, 3, 3),) * 3, strides=((1, 1, 1), (1, 2, 2), (2, 2, 2)),
    )  # fmt: skip
    oracle = nets.DynUNet(
        spatial_dims=3, in_channels=2, out_channels=3, kernel_size=[3, 3, 3], strides=[1, [1, 2, 2], 2],
        upsample_kernel_size=[[1, 2, 2], 2], filters=[6, 8, 12], norm_name=("INSTANCE", {"affine": True}),
    )  # fmt: skip
    up_biases = 6 + 8  # ours has biases in its transposed convolutions, MONAI's has not
    ours = sum(p.numel() for p in build(spec).parameters())
    assert ours - up_biases == sum(p.numel() for p in oracle.parameters())
