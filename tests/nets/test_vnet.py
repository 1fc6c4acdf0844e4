"""V-Net in its three forms: counts, shapes at the source's size, sums restated directly, and MONAI as an oracle."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segwright.core.errors import PlanError, RecipeError
from segwright.core.plan import NetSpec
from segwright.nets import build, net_info
from segwright.nets.catalogue import pyramid
from segwright.nets.describe import count_parameters
from segwright.nets.vnet import STAGES, Entry, Parts, Stage, vnet

ROW = net_info("vnet")


def small(dims: int = 3, **rest: object) -> NetSpec:
    fields = {"name": "vnet", "dims": dims, "inputs": 1, "outputs": 3} | rest
    return pyramid((4, 6, 8, 10, 12), **fields)


def awake(net: nn.Module) -> nn.Module:
    """In evaluation, with biases, slopes and norms that are not their neutral selves."""
    generator = torch.Generator().manual_seed(1)
    for tensor in net.state_dict().values():
        if tensor.ndim == 1:
            tensor.copy_(0.1 + torch.rand(tensor.shape, generator=generator))
    return net.eval()


def test_parameters_of_all_three():
    with torch.device("meta"):
        counts = {stages: count_parameters(vnet(ROW.spec, stages=stages, norm="none")) for stages in STAGES}
        ported = count_parameters(vnet(ROW.spec, stages="mattmacy"))
    cubes = 1 * 16 + 1 * 32**2 + 2 * 64**2 + 3 * 128**2 + 3 * 256**2  # down, 5 x 5 x 5
    cubes += 3 * 256**2 + 2 * 128**2 + 64**2 + 32**2 + 32 * 2  # up and head
    cells = 16 * 32 + 32 * 64 + 64 * 128 + 128 * 256 + 256 * 128 + 256 * 64 + 128 * 32 + 64 * 16
    stages = [16, *(n * c for n, c in zip((1, 2, 3, 3, 3, 2, 1, 1), (32, 64, 128, 256, 256, 128, 64, 32), strict=True))]
    biases = sum(stages) + (32 + 64 + 128 + 256) + (128 + 64 + 32 + 16) + 2 + 2
    slopes = biases - 2  # every convolution but the very last is activated, with or without its sum
    assert counts["official"] == 125 * cubes + 8 * cells + 2 * 2 + biases + slopes == ROW.parameters
    assert round(counts["deep"] / 1e6, 1) == 65.2
    assert ported == 45_603_934


def test_shapes_at_the_size_of_the_source():
    """128 x 128 x 64, the last being depth; widths and sizes written down from the released plan."""
    seen: list[tuple[int, ...]] = []
    with torch.device("meta"):
        net = vnet(ROW.spec, norm="none")
        for module in [*net.encoder, *reversed(net.decoders[0].stages)]:
            module.register_forward_hook(lambda module, args, y: seen.append(tuple(y.shape[1:])))
        result = net(torch.zeros(1, 1, *ROW.size))
    assert seen == [
        (16, 64, 128, 128), (32, 32, 64, 64), (64, 16, 32, 32), (128, 8, 16, 16), (256, 4, 8, 8),
        (256, 8, 16, 16), (128, 16, 32, 32), (64, 32, 64, 64), (32, 64, 128, 128),
    ]  # fmt: skip
    assert result.shape == (1, 2, 64, 128, 128)
    assert ROW.spec.divisor == (16, 16, 16)


def weights_of(net: nn.Module) -> Iterator[Tensor]:
    return iter(list(net.parameters()))


def restated_stage(x: Tensor, weights: Iterator[Tensor], count: int, inner: bool) -> Tensor:
    y = x
    for index in range(count):
        y = F.conv3d(y, next(weights), next(weights), padding=2)
        if inner or index + 1 < count:
            y = F.prelu(y, next(weights))
    return F.prelu(x + y, next(weights))


def restated(net: nn.Module, stages: str, x: Tensor) -> Tensor:
    """V-Net as a plain list of operations on the parameters of `net`."""
    down = {"official": (1, 2, 3, 3), "deep": (2, 3, 3, 3), "mattmacy": (1, 2, 3, 2)}[stages]
    up = {"official": (3, 2, 1, 1), "deep": (3, 3, 2, 1), "mattmacy": (2, 2, 1, 1)}[stages]
    inner = stages == "mattmacy"
    weights = weights_of(net.encoder)
    first = F.conv3d(x, next(weights), next(weights), padding=2)
    levels = [F.prelu(first + x.repeat(1, 4, 1, 1, 1), next(weights))]
    for count in down:
        y = F.prelu(F.conv3d(levels[-1], next(weights), next(weights), stride=2), next(weights))
        levels.append(restated_stage(y, weights, count, inner))
    y = levels.pop()
    decoder = net.decoders[0]
    for count, join, stage in zip(up, reversed(decoder.joins), reversed(decoder.stages), strict=True):
        weights = weights_of(join)
        raised = F.prelu(F.conv_transpose3d(y, next(weights), next(weights), stride=2), next(weights))
        y = restated_stage(torch.cat((raised, levels.pop()), dim=1), weights_of(stage), count, inner)
    weights = weights_of(decoder.heads)
    if stages != "deep":
        y = F.prelu(F.conv3d(y, next(weights), next(weights), padding=2), next(weights))
    return F.conv3d(y, next(weights), next(weights))


@pytest.mark.parametrize("stages", STAGES)
def test_same_as_a_direct_restatement(stages):
    torch.manual_seed(0)
    net = awake(vnet(small(), stages=stages, norm="none"))
    x = torch.randn(2, 1, 16, 16, 32)
    with torch.no_grad():
        result = net(x)
        torch.testing.assert_close(result, restated(net, stages, x), rtol=1e-4, atol=1e-4 * result.abs().max().item())


def test_stage_without_weights_is_its_short_cut():
    stage = Stage(Parts(3, "none", "prelu", 5), 4, (3, 3, 3), count=3, inner=False)
    for parameter in stage.convolutions.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(1, 4, 3, 4, 5)
    torch.testing.assert_close(stage(x), F.prelu(x, torch.full((4,), 0.25)))


@pytest.mark.parametrize(("inputs", "expected"), [(1, "aaaaa"), (2, "ababa"), (3, "abcab"), (5, "abcde")])
def test_input_channels_are_repeated_in_turn(inputs, expected):
    """Along channels, not along the batch as the PyTorch port does."""
    entry = Entry(Parts(2, "none", "prelu", 5), inputs, 5, (1, 3, 3))
    for parameter in entry.convolution.parameters():
        nn.init.zeros_(parameter)
    x = torch.arange(1.0, inputs + 1).reshape(1, inputs, 1, 1).expand(2, -1, 3, 4)
    numbers = [1.0 + "abcde".index(letter) for letter in expected]
    torch.testing.assert_close(entry(x), torch.tensor(numbers).reshape(1, 5, 1, 1).expand(2, -1, 3, 4))


def in_order_of_monai(net: nn.Module) -> list[nn.Module]:
    decoder = net.decoders[0]
    pairs = zip(reversed(decoder.joins), reversed(decoder.stages), strict=True)
    return [net.encoder, *(module for pair in pairs for module in pair), decoder.heads]


def test_same_logits_as_monai():
    """MONAI's VNet is the PyTorch port without biases in its convolutions and with ELU; weights carry over in order."""
    oracle = pytest.importorskip("monai.networks.nets").VNet(
        spatial_dims=2, in_channels=2, out_channels=3, dropout_prob_down=None, dropout_prob_up=(None, 0.0)
    )
    torch.manual_seed(0)
    spec = pyramid((16, 32, 64, 128, 256), dims=2, inputs=2, outputs=3, name="vnet")
    net = vnet(spec, stages="mattmacy", activation="elu").eval()
    awake(oracle)
    ours = [module for part in in_order_of_monai(net) for module in part.modules() if not list(module.children())]
    theirs = [module for module in oracle.modules() if not list(module.children())]
    learned = [[m for m in modules if m.state_dict()] for modules in (ours, theirs)]
    assert [type(m) for m in learned[0]] == [type(m) for m in learned[1]]
    for mine, its in zip(*learned, strict=True):
        missing = mine.load_state_dict(its.state_dict(), strict=False)
        assert not missing.unexpected_keys and set(missing.missing_keys) <= {"bias"}
    x = torch.randn(1, 2, 32, 48)
    with torch.no_grad():
        torch.testing.assert_close(net(x), oracle(x), rtol=1e-4, atol=1e-4)


def test_parameters_against_monai():
    """With biases and slopes MONAI still leaves the biases of the decoder's convolutions out, nothing else."""
    nets = pytest.importorskip("monai.networks.nets")
    with torch.device("meta"):
        theirs = count_parameters(nets.VNet(in_channels=1, out_channels=2, act="prelu", bias=True))
    assert theirs + 2 * 256 + 2 * 128 + 64 + 32 == 45_603_934


@pytest.mark.parametrize("slab", [0, 1, 3])
def test_cells_follow_the_strides_of_the_plan(slab):
    """Levels that a planner finds for thick slices; flat kernels stay flat, others become 5 wide."""
    spec = NetSpec(
        name="vnet", slab=slab, in_channels=1, out_channels=2, widths=(4, 8, 8),
        strides=((1, 1, 1), (1, 2, 2), (2, 2, 2)), kernels=((1, 3, 3), (3, 3, 3), (3, 3, 3)),
        encoder_blocks=(2, 2, 2), decoder_blocks=(1, 1),
    )  # fmt: skip
    net = build(spec)
    shapes = {tuple(m.kernel_size) for m in net.modules() if isinstance(m, nn.Conv2d | nn.Conv3d)}
    shapes |= {tuple(m.kernel_size) for m in net.modules() if isinstance(m, nn.ConvTranspose2d | nn.ConvTranspose3d)}
    deep = {(1, 5, 5), (5, 5, 5), (1, 2, 2), (2, 2, 2), (1, 1, 1)}
    assert shapes == ({(5, 5), (2, 2), (1, 1)} if slab else deep)
    assert net(torch.zeros(1, 1, 3 + 2 * spec.context[0], 7, 9)).shape == (1, 2, 3, 7, 9)


def test_further_levels_repeat_the_last_number_of_convolutions():
    spec = pyramid((2,) * 7, dims=2, inputs=1, outputs=2, name="vnet", deep_supervision=True)
    net = vnet(spec)
    count = [sum(isinstance(m, nn.Conv2d) for m in stage.modules()) for stage in net.encoder]
    assert count == [1, 2, 3, 4, 4, 4, 4]  # each but the first with its step down
    assert [sum(isinstance(m, nn.Conv2d) for m in stage.modules()) for stage in net.decoders[0].stages] == [
        1, 1, 2, 3, 3, 3,
    ]  # fmt: skip
    with torch.no_grad():
        assert [part.shape[-1] for part in net(torch.zeros(2, 1, 128, 128))] == [128, 64, 32, 16, 8]


@pytest.mark.parametrize("norm", ["instance", "group", "batch"])
def test_norms_over_single_images_stay_out_of_the_head(norm):
    """They would give the logits of every patch the same mean."""
    head = vnet(small(norm=norm)).decoders[0].heads[0]
    assert any(isinstance(m, nn.BatchNorm3d) for m in head.modules()) == (norm == "batch")
    assert not [m for m in head.modules() if isinstance(m, nn.InstanceNorm3d | nn.GroupNorm)]


def test_no_norm_where_none_is_wanted():
    names = {type(m).__name__ for m in vnet(ROW.spec.model_copy(update={"widths": (2,) * 5}), norm="none").modules()}
    assert not {name for name in names if "Norm" in name}


def test_wrong_wishes_are_named():
    with pytest.raises(RecipeError, match="official or deep or mattmacy"):
        build(small(params={"stages": "shallow"}))
    with pytest.raises(RecipeError, match="plan or none"):
        build(small(params={"norm": "batch"}))
    with pytest.raises(RecipeError, match="odd"):
        build(small(params={"kernel": 4}))
    with pytest.raises(PlanError, match="Set width to 16") as refused:
        build(small(inputs=5))
    assert refused.value.got == "4"
