"""The four networks for liver tumours against their tables of layers, written out once more with functions alone."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segwright.core.errors import PlanError, RecipeError
from segwright.core.plan import NetSpec, WindowPlan
from segwright.core.registry import NetInfo
from segwright.nets import build, net_info
from segwright.nets.describe import count_parameters
from segwright.nets.hybridunet import Layers, PreActivated, segmri_simple, segmri_unet
from segwright.ops.windows import importance_profile
from segwright.prediction.window import predict_slabs

SEGMRI_HYBRID = net_info("segmri-hybrid")
SEGMRI_SIMPLE = net_info("segmri-simple")
SEGMRI_UNET = net_info("segmri-unet")
SEGMRI_UNET_2D = net_info("segmri-unet-2d")

ROWS = (SEGMRI_UNET, SEGMRI_SIMPLE, SEGMRI_UNET_2D, SEGMRI_HYBRID)
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.spec.name)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def thin(row: NetInfo, **rest: object) -> NetSpec:
    """The source's setting with an eighth of its channels."""
    widths = tuple(width // 8 for width in row.spec.widths)
    return row.spec.model_copy(update={"widths": widths, **rest})


def made(spec: NetSpec) -> nn.Module:
    """A network whose norms and biases matter, in evaluation."""
    torch.manual_seed(0)
    net = build(spec)
    for part in net.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
            nn.init.normal_(part.running_mean)
        elif getattr(part, "bias", None) is not None:
            nn.init.normal_(part.bias, std=0.1)
    return net.eval()


class Replay:
    """The layers of a network by kind, used up in the order in which they were made."""

    def __init__(self, net: nn.Module) -> None:
        modules = list(net.modules())
        self.convs = [m for m in modules if isinstance(m, nn.Conv2d | nn.Conv3d)]
        self.rises = [m for m in modules if isinstance(m, nn.ConvTranspose2d | nn.ConvTranspose3d)]
        self.norms = {id(m): m for m in modules if isinstance(m, nn.modules.batchnorm._BatchNorm)}

    def norm(self, x: Tensor, layer: nn.Module) -> Tensor:
        shape = (1, -1, *[1] * (x.ndim - 2))
        mean, var = layer.running_mean.reshape(shape), layer.running_var.reshape(shape)
        y = (x - mean) / (var + layer.eps).sqrt() * layer.weight.reshape(shape) + layer.bias.reshape(shape)
        return torch.where(y > 0, y, 0.1 * y)

    def conv(self, x: Tensor, layer: nn.Module, size: tuple[int, ...], stride: int | tuple[int, ...] = 1) -> Tensor:
        assert layer.kernel_size == size
        apply = F.conv3d if x.ndim == 5 else F.conv2d
        return apply(x, layer.weight, layer.bias, stride, tuple(edge // 2 for edge in size))


CUBE, SQUARE = (3, 3, 3), (3, 3)


def test_parameters_of_the_source():
    known = {"segmri-unet": 25_889_730, "segmri-simple": 2_936_898, "segmri-unet-2d": 1_164_354}
    for row in ROWS:
        with torch.device("meta"):
            count = count_parameters(build(row.spec))
        assert count == row.parameters == known.get(row.spec.name, 1_464_050)


def conv(taps: int, entry: int, exit_: int) -> int:
    return taps * entry * exit_ + exit_


def test_parameters_of_the_report():
    """29, 2 and 1 million in the report; layers as its figure draws them."""
    widths, convs = (32, 64, 128, 256, 512), conv(125, 1, 32) + conv(1, 32, 2)
    entries = (32, 32, 64, 128, 256)
    full = convs + sum(conv(27, a, b) + conv(27, b, b) + 4 * b for a, b in zip(entries, widths, strict=True))
    for fine, coarse in itertools.pairwise(widths):
        full += conv(27, coarse, coarse) + 2 * coarse + conv(1, fine + coarse, fine)
        full += 2 * conv(27, fine, fine) + 4 * fine
    simple = convs + sum(conv(27, a, b) + 2 * b for a, b in zip(entries[:4], widths[:4], strict=True))
    plane = conv(25, 1, 32) + conv(1, 32, 2)
    plane += sum(conv(9, a, b) + 2 * b for a, b in zip(entries[:4], widths[:4], strict=True))
    for fine, coarse in itertools.pairwise(widths[:4]):
        simple += conv(1, fine + coarse, fine) + conv(27, fine, fine) + 2 * fine
        plane += conv(9, fine + coarse, fine) + 2 * fine
    with torch.device("meta"):
        counts = [
            count_parameters(build(row.spec.model_copy(update={"params": {"plan": "report"}}))) for row in ROWS[:3]
        ]
    assert counts == [full, simple, plane] == [28_533_666, 1_840_418, 979_906]


@each_row
def test_shapes_at_the_size_of_the_source(row):
    shapes = []
    with torch.device("meta"):
        net = build(row.spec).eval()
        for stage in net.net.encoder:
            stage.register_forward_hook(lambda *args: shapes.append(tuple(args[2].shape)))
        result = net(torch.empty(1, 1, *row.size))
    assert result.shape == (1, 2, *row.size)
    size, expected = list(row.size), []
    for width, stride in zip(row.spec.widths, row.spec.strides, strict=True):
        size = [length // step for length, step in zip(size, stride, strict=True)]
        expected.append((1, width, *size[1 if row is SEGMRI_UNET_2D else 0 :]))
    assert shapes == expected


@pytest.mark.parametrize("dims", [2, 3])
def test_residual_block_is_its_formula(dims):
    torch.manual_seed(0)
    block = PreActivated(Layers(dims, "batch"), 4, (3, 3, 3)).eval()
    for part in block.branch:
        if hasattr(part, "running_mean"):
            nn.init.normal_(part.running_mean)
    replay, size = Replay(block), (3,) * dims
    x = noise(2, 4, *(5,) * dims)
    kept = x.clone()
    (c1, c2), (n1, n2) = replay.convs, replay.norms.values()
    expected = replay.conv(replay.norm(replay.conv(replay.norm(x, n1), c1, size), n2), c2, size) + x
    torch.testing.assert_close(block(x), expected)
    assert torch.equal(x, kept)


def test_hybrid_layer_by_layer():
    net = made(thin(SEGMRI_HYBRID))
    replay, x = Replay(net), noise(1, 1, 3, 16, 24)
    norms = list(replay.norms.values())
    down, fusions, up, head = replay.convs[:16], replay.convs[16:19], replay.convs[19:25], replay.convs[25:]

    def residual(y: Tensor, convs: list[nn.Module], pair: list[nn.Module]) -> Tensor:
        inner = replay.conv(replay.norm(y, pair[0]), convs[0], CUBE)
        return y + replay.conv(replay.norm(inner, pair[1]), convs[1], CUBE)

    assert [c.kernel_size for c in fusions + head] == [(3, 1, 1)] * 4
    y = residual(replay.conv(x, down[0], (3, 5, 5)), down[1:3], norms[:2])
    skips = [y]
    for level in (1, 2, 3):
        first = 3 * level
        y = replay.conv(y, down[first], CUBE, (1, 2, 2))
        y = residual(y, down[first + 1 : first + 3], norms[2 * level : 2 * level + 2])
        skips.append(y)
    y = residual(residual(y, down[12:14], norms[8:10]), down[14:16], norms[10:12])
    for level in (2, 1, 0):
        planes = F.interpolate(y.flatten(1, 2), scale_factor=2, mode="bilinear")  # slice by slice
        y = torch.cat((skips[level], planes.unflatten(1, (-1, 3))), dim=1)
        y = replay.conv(y, fusions[level], (3, 1, 1))
        y = residual(y, up[2 * level : 2 * level + 2], norms[12 + 2 * level : 14 + 2 * level])
    torch.testing.assert_close(net(x), replay.conv(y, head[0], (3, 1, 1)), rtol=1e-4, atol=1e-4)


def test_plane_network_layer_by_layer():
    net = made(thin(SEGMRI_UNET_2D))
    replay, x = Replay(net), noise(1, 1, 1, 16, 24)
    norms = list(replay.norms.values())
    y, skips = x[:, :, 0], []
    for level in range(4):
        y = F.max_pool2d(y, 2) if level else y
        y = replay.norm(replay.conv(y, replay.convs[level], SQUARE), norms[level])
        skips.append(y)
    for level in (2, 1, 0):
        rise = replay.rises[level]
        assert rise.kernel_size == SQUARE and rise.out_channels == skips[level].shape[1]
        y = F.conv_transpose2d(y, rise.weight, rise.bias, stride=2, padding=1, output_padding=1)
        y = torch.cat((skips[level], replay.norm(y, norms[4 + level])), dim=1)
        y = replay.norm(replay.conv(y, replay.convs[4 + level], SQUARE), norms[7 + level])
    expected = replay.conv(y, replay.convs[7], (1, 1))
    torch.testing.assert_close(net(x)[:, :, 0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("plan", ["released", "report"])
def test_simple_network_layer_by_layer(plan):
    net = made(thin(SEGMRI_SIMPLE, params={"plan": plan}))
    replay, x = Replay(net), noise(1, 1, 8, 16, 24)
    norms, convs = list(replay.norms.values()), replay.convs
    fusions, up = (convs[5:8], convs[8:11]) if plan == "report" else ([], convs[5:8])
    y, skips = replay.conv(x, convs[0], (5, 5, 5)), []
    for level in range(4):
        y = F.max_pool3d(y, 2) if level else y
        y = replay.norm(replay.conv(y, convs[1 + level], CUBE), norms[level])
        skips.append(y)
    for level in (2, 1, 0):
        nearest = y.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)
        y = torch.cat((skips[level], nearest), dim=1)
        y = replay.conv(y, fusions[level], (1, 1, 1)) if fusions else y
        y = replay.norm(replay.conv(y, up[level], CUBE), norms[4 + level])
    torch.testing.assert_close(net(x), replay.conv(y, convs[-1], (1, 1, 1)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("plan", ["released", "report"])
def test_dense_network_has_two_convolutions_a_level(plan):
    net = made(thin(SEGMRI_UNET, params={"plan": plan}))
    report = plan == "report"
    rises = Replay(net).rises
    assert [r.out_channels for r in rises] == ([8, 16, 32, 64] if report else [4, 8, 16, 32])
    assert [len(stage) for stage in net.net.encoder] == [3 if report else 2, 3, 3, 3, 3]
    assert [len(stage) for stage in net.net.decoders[0].stages] == [2] * 4
    assert net(noise(1, 1, 16, 32, 32)).shape == (1, 2, 16, 32, 32)


def test_every_slice_of_a_scan_is_the_average_of_all_slabs_that_hold_it():
    """Windows of three slices; each slice is predicted as first, middle and last of a slab."""
    net = made(thin(SEGMRI_HYBRID))
    scan = noise(1, 7, 16, 16)
    window = WindowPlan(size=(3, 16, 16), overlap=2 / 3, batch=2)
    with torch.inference_mode():
        slabs = list(predict_slabs(scan.numpy(), net, window=window, divisor=net.spec.divisor))
        labelled = [net(scan[None, :, z : z + 3])[0] for z in range(5)]
    whole = torch.cat([torch.from_numpy(scores) for _, _, scores in slabs], dim=1)
    assert whole.shape == (2, 7, 16, 16)
    weights = importance_profile(3)
    for z in range(7):
        held = [(weights[z - first], labelled[first][:, z - first]) for first in range(5) if 0 <= z - first < 3]
        assert len(held) == min(3, z + 1, 7 - z)
        mean = sum(float(weight) * part for weight, part in held) / sum(float(weight) for weight, _ in held)
        torch.testing.assert_close(whole[:, z], mean, rtol=1e-4, atol=1e-4)


@each_row
def test_two_dimensions_are_thin_three(row):
    flat = {
        "kernels": ((1, 3, 3),) * len(row.spec.widths),
        "strides": ((1, 1, 1), *((1, 2, 2),) * (len(row.spec.widths) - 1)),
    }
    deep, plane = made(thin(row, slab=0, **flat)), made(thin(row, slab=1, **flat))
    with torch.no_grad():
        for a, b in zip(plane.state_dict().values(), deep.state_dict().values(), strict=True):
            a.copy_(b.reshape(a.shape))
    x = noise(1, 1, 2, 32, 48)
    torch.testing.assert_close(plane(x), deep(x), rtol=1e-3, atol=1e-3)


def test_dropout_only_while_training():
    torch.manual_seed(0)
    net = segmri_unet(thin(SEGMRI_UNET), dropout=0.5)
    x = noise(1, 1, 16, 32, 32)
    assert sum(isinstance(m, nn.Dropout) for m in net.modules()) == 1
    assert not torch.equal(net.train()(x), net(x))
    assert torch.equal(net.eval()(x), net(x))


def test_wrong_wishes_are_named():
    with pytest.raises(RecipeError, match="released or report"):
        segmri_simple(thin(SEGMRI_SIMPLE), plan="figure")
    for share in (1.0, -0.1):
        with pytest.raises(RecipeError, match="dropout"):
            segmri_unet(thin(SEGMRI_UNET), dropout=share)
    with pytest.raises(PlanError, match="decoder_blocks"):
        segmri_unet(thin(SEGMRI_UNET, decoder_blocks=(1,)))
