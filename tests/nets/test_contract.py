"""What every row of the nets table promises, over slabs, norms and sizes.

A row says what it cannot do (a dimension, a norm, a number of levels, deep supervision) by a `PlanError` with a hint;
the suite checks that message, shows it as the reason of a skip, and goes on with a setting that the row accepts. What
the catalogue says of a row (its dimensions, its own norm) may not be refused.
"""

from __future__ import annotations

import itertools
from functools import cache

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from segwright.core.errors import GeometryError, PlanError, RecipeError, UnknownNameError
from segwright.core.plan import NetSpec
from segwright.nets import NETS, build, net_info
from segwright.nets.describe import count_parameters
from segwright.nets.execution import fused
from segwright.nets.transfer import start_logits, tensors_along

NORMS = ("instance", "batch", "group")
#: Fields that make a row small enough for this suite, where neither three levels nor a thin copy of its own do.
SMALL: dict[str, dict[str, object]] = {
    "smp": {"params": {"encoder": "resnet18", "options": {"decoder_channels": [32, 16, 8, 8, 8]}}},
    "swinunetr": {"params": {"depths": (1, 1, 1, 1), "heads": (1, 1, 1, 1), "window": 2}, "widths": (12,) * 6},
}
#: Rows that `torch.export` cannot take, and why.
NOT_EXPORTED: dict[str, str] = {}
#: How far bfloat16 may move logits, instead of 0.05, where norms see a handful of voxels and so magnify rounding.
ROUGH: dict[str, float] = {"smp": 0.1, "swinunetr": 0.1, "dynunet": 0.1, "monai-attention-unet": 0.1}


def dims_of(name: str) -> tuple[int, ...]:
    return net_info(name).dims


def slabs_of(name: str) -> tuple[int, ...]:
    return tuple(slab for slab in (0, 1, 3) if (3 if slab == 0 else 2) in dims_of(name))


def wanted(name: str, slab: int, norm: str) -> bool:
    """Every combination for the defaults; for others their own norm in each dimension, and every norm in one."""
    if name in ("unet", "resenc"):
        return True
    slabs = slabs_of(name)
    return slab != 3 and (slab == (1 if 1 in slabs else 0) or norm == net_info(name).spec.norm)


SLABBED = [(name, slab) for name in NETS for slab in slabs_of(name)]
ROWS = [(name, slab, norm) for name, slab in SLABBED for norm in NORMS if wanted(name, slab, norm)]
each_row = pytest.mark.parametrize(("name", "slab", "norm"), ROWS)


def spec_of(name: str = "unet", slab: int = 0, norm: str = "batch", **rest: object) -> NetSpec:
    fields = {
        "in_channels": 2, "out_channels": 3, "widths": (6, 8, 12), "kernels": ((1, 3, 3), (3, 3, 3), (3, 3, 3)),
        "strides": ((1, 1, 1), (1, 2, 2), (2, 2, 2)), "encoder_blocks": (1, 2, 1), "decoder_blocks": (1, 1),
    }  # fmt: skip
    return NetSpec(name=name, slab=slab, norm=norm, **(fields | rest))


def explained(error: PlanError) -> str:
    """The refusal as a reader sees it; it must say what to do."""
    assert error.hint, f"a refusal without a hint: {error}"
    return str(error)


@cache
def small(name: str, slab: int) -> NetSpec:
    """A small setting that the row accepts: the suite's three levels, else its own with thin or full widths."""
    own = net_info(name).spec
    thin = tuple(max(6, 6 * width // own.widths[0] // 2 * 2) for width in own.widths)
    shared = {"in_channels": 2, "out_channels": 3, "slab": slab}
    given = SMALL.get(name)
    wishes = [own.model_copy(update=shared | given)] if given else [
        spec_of(name, slab, own.norm), own.model_copy(update=shared | {"widths": thin}), own.model_copy(update=shared),
    ]  # fmt: skip
    refusals = []
    for spec in wishes:
        try:
            with torch.device("meta"):
                build(spec)
        except PlanError as error:
            refusals.append(explained(error))
            continue
        return spec
    raise AssertionError(f"{name} accepts nothing at slab {slab}: {refusals}")


def fitting(name: str, slab: int, norm: str, **rest: object) -> NetSpec:
    """The row's small setting with wishes; skips the test where the row refuses them with a reason."""
    reason = refusal(name, slab, norm, tuple(rest.items()))
    if reason:
        pytest.skip(f"refused: {reason}")
    return small(name, slab).model_copy(update={"norm": norm, **rest})


@cache
def refusal(name: str, slab: int, norm: str, wishes: tuple[tuple[str, object], ...]) -> str:
    """What the row says against these wishes; nothing if it takes them."""
    try:
        with torch.device("meta"):
            build(small(name, slab).model_copy(update={"norm": norm, **dict(wishes)}))
    except PlanError as error:
        return explained(error)
    return ""


def image(spec: NetSpec, size: tuple[int, int, int] = (4, 8, 12), batch: int = 2, seed: int = 0) -> Tensor:
    """Noise with the context that the slab needs."""
    z, y, x = size
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, spec.in_channels, z + 2 * spec.context[0], y, x, generator=generator)


def made(spec: NetSpec) -> torch.nn.Module:
    """A network of fixed weights that drops nothing at random."""
    torch.manual_seed(0)
    net = build(spec)
    for module in net.modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            module.p = 0.0
        if hasattr(module, "drop_prob"):
            module.drop_prob = 0.0
    return net


@pytest.mark.parametrize("name", NETS)
def test_every_network_says_what_it_is(name):
    row = net_info(name)
    assert row.spec.name == name and row.spec.spatial_dims in row.dims and set(row.dims) <= {2, 3}
    assert row.about.endswith(".") and row.source
    assert row.size[0] == 1 or row.spec.slab != 1


@pytest.mark.parametrize("name", NETS)
def test_parameters_at_the_setting_of_the_source(name):
    row = net_info(name)
    with torch.device("meta"):
        count = count_parameters(build(row.spec))
    assert count == (row.parameters or count) and count > 0


@pytest.mark.parametrize("slab", [0, 1])
@pytest.mark.parametrize("name", NETS)
def test_other_dimensions_are_refused(name, slab):
    if (3 if slab == 0 else 2) in dims_of(name):
        small(name, slab)
        return
    with pytest.raises(PlanError) as refused, torch.device("meta"):
        build(net_info(name).spec.model_copy(update={"slab": slab}))
    explained(refused.value)


@each_row
@pytest.mark.parametrize("size", [(4, 8, 12), (1, 1, 1), (3, 5, 9), (1, 17, 4)])
def test_no_size_is_refused(name, slab, norm, size):
    spec = fitting(name, slab, norm)
    net = made(spec)
    for mode in (True, False):
        result = net.train(mode)(image(spec, size))
        assert result.shape == (2, 3, *size) and result.isfinite().all()


@pytest.mark.parametrize("size", [(4, 8, 12), (1, 1, 1)])
@each_row
def test_gradients_reach_all_parameters(name, slab, norm, size):
    spec = fitting(name, slab, norm)
    net = made(spec).train()
    net(image(spec, size, batch=2)).square().mean().backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


@pytest.mark.parametrize("size", [(4, 8, 12), (1, 1, 1)])
@each_row
def test_gradients_reach_all_heads(name, slab, norm, size):
    spec = fitting(name, slab, norm, deep_supervision=True)
    net = made(spec).train()
    sum(part.square().mean() for part in net(image(spec, size, batch=1))).backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key
    # residual blocks start as their short cuts, so what lies inside them moves from the second step on
    assert all(p.grad.abs().sum() > 0 for k, p in net.named_parameters() if "heads" in k)


@each_row
def test_evaluation_repeats_itself_and_survives_saving(name, slab, norm):
    spec = fitting(name, slab, norm)
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
@each_row
def test_bfloat16_and_layout_give_nearly_the_same(name, slab, norm, last):
    spec = fitting(name, slab, norm)
    net = made(spec).train()
    x = image(spec, (8, 16, 16))
    plain = net(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = net.channels_last(last)(x)
    assert half.isfinite().all()
    assert (half.float() - plain).norm() / plain.norm() < ROUGH.get(name, 0.05)
    exact = net.channels_last(last)(x)
    assert (exact - plain).norm() / plain.norm() < (0.01 if name in ROUGH else 1e-4)


def gradient_agreement(spec: NetSpec, spoil: str = "") -> float:
    """Cosine of a loss's gradient in bfloat16 and in float32; one convolution's may be `spoil`ed.

    Eight images for the SegMRI networks, whose norms over the few voxels that two images leave at the coarsest level
    magnify rounding to 0.012; without processor support for bfloat16 each image takes long.
    """
    x, gradients = image(spec, (4, 8, 8), batch=8 if spec.name.startswith("segmri") else 2), []
    for half in (False, True):
        net = made(spec).channels_last().train()
        if half and spoil:
            weight = net.get_submodule(spoil).weight
            weight.register_hook(lambda grad: grad.flip(tuple(range(2, grad.ndim))))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            result = net(x)
        (result.float() ** 3).mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    return float(torch.cosine_similarity(gradients[0], gradients[1], dim=0))


def wide_enough(name: str, slab: int) -> NetSpec:
    """The row's small setting, where it has the suite's widths with some more channels."""
    spec = small(name, slab)
    return fitting(name, slab, spec.norm, widths=(16, 16, 32)) if len(spec.widths) == 3 else spec


@pytest.mark.parametrize(("name", "slab"), SLABBED)
def test_bfloat16_gradients_point_the_same_way(name, slab):
    """Guards against the wrong bfloat16 kernels for tiny inner sizes that some torch releases had."""
    assert gradient_agreement(wide_enough(name, slab)) > 0.99 - ROUGH.get(name, 0.0)


@pytest.mark.parametrize("name", ["unet", "segmri-unet"])
def test_a_wrong_kernel_would_be_noticed(name):
    """The same measure falls far below its bound where one convolution in the middle returns a wrong gradient."""
    spec = wide_enough(name, 0)
    layers = [key for key, part in made(spec).named_modules() if isinstance(part, torch.nn.modules.conv._ConvNd)]
    assert gradient_agreement(spec, spoil=layers[1]) < 0.95


@each_row
def test_deep_supervision_only_while_training(name, slab, norm):
    spec = fitting(name, slab, norm, deep_supervision=True)
    net = made(spec)
    for size in ((4, 8, 12), (3, 5, 9)):
        parts = net.train()(image(spec, size))
        assert isinstance(parts, list) and parts[0].shape == (2, 3, *size)
        shapes = [tuple(part.shape[2:]) for part in parts]
        assert all(part.shape[:2] == (2, 3) for part in parts)
        assert all(coarse[i] <= fine[i] for fine, coarse in itertools.pairwise(shapes) for i in range(3))
    assert isinstance(net.eval()(image(spec)), Tensor)


@pytest.mark.parametrize("slab", [0, 1, 3])
@pytest.mark.parametrize("name", ["unet", "resenc"])
def test_coarser_logits_cover_the_image(name, slab):
    net = made(spec_of(name, slab, deep_supervision=True)).train()
    fine, coarse = net(image(net.spec))
    assert fine.shape == (2, 3, 4, 8, 12) and coarse.shape == (2, 3, 4, 4, 6)
    odd, coarse = net(image(net.spec, (3, 5, 9)))
    assert odd.shape == (2, 3, 3, 5, 9) and coarse.shape == (2, 3, 3, 3, 5)


@each_row
def test_checkpointing_changes_nothing(name, slab, norm):
    nets = [made(fitting(name, slab, norm, checkpointing=on)).train() for on in (False, True)]
    for net in nets:
        net(image(net.spec)).square().mean().backward()
    for (key, a), b in zip(nets[0].named_parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=key)
    for (key, a), b in zip(nets[0].named_buffers(), nets[1].buffers(), strict=True):
        assert torch.equal(a, b), key


@pytest.mark.parametrize(("name", "slab"), SLABBED)
def test_folding_batch_norm_away_changes_no_prediction(name, slab):
    spec = fitting(name, slab, "batch")
    net, x = made(spec), image(spec)
    for part in net.modules():  # statistics and scales as after training, residual branches awake
        if isinstance(part, torch.nn.modules.batchnorm._NormBase) and part.affine:
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
    net.train()(3 * x + 1)
    with torch.no_grad():
        torch.testing.assert_close(fused(net)(x), net.eval()(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NETS)
def test_export_gives_the_same_logits(name):
    if name in NOT_EXPORTED:
        pytest.skip(NOT_EXPORTED[name])
    spec = small(name, slabs_of(name)[0])
    net, x = made(spec).eval(), image(spec, (4, 16, 16), batch=1)
    with torch.no_grad():
        program = torch.export.export(net, (x,))
        torch.testing.assert_close(program.module()(x), net(x), rtol=1e-4, atol=1e-4)


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


@pytest.mark.parametrize(
    ("name", "slab"), [row for row in SLABBED if row[0] != "res-unet-h"]
)  # two decoders, two heads
def test_a_fresh_network_starts_at_the_logits_it_is_given(name, slab):
    spec = fitting(name, slab, "batch")
    net, logits = made(spec).eval(), (-6.0, -0.5, 1.5)
    heads = tensors_along(spec, "out_channels")
    with torch.no_grad():
        assert start_logits(net, spec, logits)
        for key, value in net.named_parameters():
            if key in heads and value.ndim > 1:
                value.zero_()
        found = net(image(spec)).flatten(2).mean(-1)
    assert torch.allclose(found, torch.tensor(logits).expand_as(found), atol=1e-5)
