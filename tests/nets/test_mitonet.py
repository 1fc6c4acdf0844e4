"""Res-UNet-R and -H against their tables of layers, written out once more with functions alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segwright.core.errors import PlanError, RecipeError
from segwright.core.plan import NetSpec
from segwright.nets import build, net_info
from segwright.nets.describe import count_parameters
from segwright.nets.mitonet import AnisotropicBlock, Layers, PartialConv, res_unet_h, res_unet_r

RES_UNET_H = net_info("res-unet-h")
RES_UNET_R = net_info("res-unet-r")

WIDTHS = (4, 5, 6, 7, 8)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shrunk(spec: NetSpec, **params: object) -> NetSpec:
    """Five levels as in the source, but thin."""
    return spec.model_copy(update={"widths": WIDTHS, "params": params})


def made(spec: NetSpec, seed: int = 0) -> nn.Module:
    """A network in which no weight is zero."""
    torch.manual_seed(seed)
    net = build(spec).net
    for parameter in net.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return net.eval()


class Replay:
    """The weights of a network, convolution by convolution in the order in which they were made."""

    def __init__(self, net: nn.Module, mode: str) -> None:
        self.left = [m for m in net.modules() if isinstance(m, nn.Conv3d)]
        self.mode = mode

    def conv(self, x: Tensor, size: tuple[int, int, int], stride: tuple[int, int, int] = (1, 1, 1)) -> Tensor:
        layer = self.left.pop(0)
        assert layer.kernel_size == size and layer.stride == stride
        edges = [edge // 2 for axis in reversed(size) for edge in (axis, axis)]
        return F.conv3d(F.pad(x, edges, mode=self.mode), layer.weight, layer.bias, stride)

    def block(self, x: Tensor, projected: bool = False) -> Tensor:
        a = F.elu(self.conv(x, (1, 3, 3)))
        b = self.conv(F.elu(self.conv(a, (3, 3, 3))), (3, 3, 3))
        return F.elu(b + (self.conv(a, (1, 1, 1)) if projected else a))


def doubled(x: Tensor) -> Tensor:
    """Twice the plane by the fixed transposed convolution of the source, on borders that go on."""
    line = torch.tensor([0.25, 0.75, 0.75, 0.25])
    kernel = (line[:, None] * line)[None, None, None].repeat(x.shape[1], 1, 1, 1, 1)
    grown = F.pad(x, (1, 1, 1, 1, 0, 0), mode="replicate")
    return F.conv_transpose3d(grown, kernel, stride=(1, 2, 2), padding=(0, 3, 3), groups=x.shape[1])


def test_parameters_of_the_source():
    with torch.device("meta"):
        plain = RES_UNET_R.spec.model_copy(update={"params": {}})
        assert count_parameters(build(plain)) == 1_547_758
        assert count_parameters(build(RES_UNET_R.spec)) == 1_634_482 == RES_UNET_R.parameters
        assert count_parameters(build(RES_UNET_H.spec)) == 1_852_610 == RES_UNET_H.parameters
        blog = plain.model_copy(update={"name": "res-unet-h", "params": {"reading": "blog"}})
        decoder = (
            sum(coarse * fine + fine for fine, coarse in [(28, 36), (36, 48), (48, 64), (64, 80)])  # projections
            + sum(63 * width**2 + 3 * width for width in (28, 36, 48, 64))  # 9 + 27 + 27 taps, three biases
        )
        head = 25 * 28 + 1  # R's one head has two outputs, the two decoders have one each: as many weights
        assert count_parameters(build(blog)) == 1_547_758 + decoder == 2_093_630
        assert count_parameters(res_unet_r(plain.model_copy(update={"out_channels": 1}))) == 1_547_758 - head


@pytest.mark.parametrize("row", [RES_UNET_R, RES_UNET_H])
def test_shapes_at_the_size_of_the_source(row):
    with torch.device("meta"):
        net = build(row.spec).eval()
        shapes = []
        for stage in net.net.encoder if row is RES_UNET_H else net.net.net.encoder:
            stage.register_forward_hook(lambda *args: shapes.append(tuple(args[2].shape)))
        result = net(torch.empty(1, 1, *row.size))
    assert result.shape == (1, 2, 32, 256, 256)
    assert shapes == [(1, w, 32, 256 >> k, 256 >> k) for k, w in enumerate(row.spec.widths)]


def test_res_unet_r_layer_by_layer():
    net = made(shrunk(RES_UNET_R.spec))
    x = noise(1, 1, 3, 32, 48)
    replay = Replay(net, "replicate")
    y, skips = F.elu(replay.conv(x, (1, 5, 5))), []
    for _ in range(4):
        y = replay.block(y)
        skips.append(y)
        y = F.elu(replay.conv(y, (1, 3, 3), (1, 2, 2)))
    y = replay.block(y, projected=True)
    decoder, replay.left = replay.left[:-1], replay.left[-1:]  # the middle convolution was made last
    skips[0] = F.elu(replay.conv(skips[0], (1, 3, 3)))
    projections, blocks, head = decoder[:4], decoder[4:-1], decoder[-1:]
    for level in (3, 2, 1, 0):
        replay.left = [projections[level]]
        y = doubled(F.elu(replay.conv(y, (1, 1, 1)))) + skips[level]
        replay.left = blocks[3 * level : 3 * level + 3]
        y = replay.block(y)
    replay.left = head
    expected = replay.conv(y, (1, 5, 5))
    assert not replay.left and expected.shape == (1, 2, 3, 32, 48)
    torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-5)


def partial(layer: PartialConv, x: Tensor) -> Tensor:
    """Liu et al. 2018 with a mask of ones: sums over what lies inside, scaled by all taps over taps inside."""
    ones = torch.ones_like(layer.weigh.weight)
    inside = F.conv3d(torch.ones_like(x), ones, padding=1)
    ratio = x.shape[1] * 27 / inside
    return F.conv3d(x, layer.weigh.weight, padding=1) * ratio + layer.bias.reshape(1, -1, 1, 1, 1)


def test_partial_convolution_scales_borders():
    torch.manual_seed(0)
    layer = PartialConv(3, 2, 4, kernel=(3, 3, 3))
    nn.init.normal_(layer.bias)
    for size in ((3, 4, 5), (1, 2, 6)):
        x = noise(2, 2, *size)
        torch.testing.assert_close(layer(x), partial(layer, x), rtol=1e-5, atol=1e-5)
    nn.init.constant_(layer.weigh.weight, 1 / 54)
    flat = layer(torch.ones(1, 2, 3, 4, 5)) - layer.bias.reshape(1, -1, 1, 1, 1)
    torch.testing.assert_close(flat, torch.ones(1, 4, 3, 4, 5))  # a constant stays one, up to the border


def test_res_unet_h_layer_by_layer():
    net = made(shrunk(RES_UNET_H.spec))
    x = noise(1, 1, 3, 32, 16)
    first, second = (m for m in net.modules() if isinstance(m, PartialConv))
    y, skips = F.elu(partial(second, F.elu(partial(first, x)))), []
    replay = Replay(net, "constant")
    replay.left = replay.left[2:]
    for level in range(5):
        y = replay.block(y)
        if level < 4:
            skips.append(y)
            y = F.max_pool3d(y, (1, 2, 2))
    parts = []
    for _ in range(2):
        z, projections, blocks = y, replay.left[:4], replay.left[4:16]
        rest = replay.left[16:]
        for level in (3, 2, 1, 0):
            replay.left = [projections[level]]
            z = F.elu(replay.conv(doubled(z), (1, 1, 1)) + skips[level])
            replay.left = blocks[3 * level : 3 * level + 3]
            z = replay.block(z)
        replay.left = rest
        parts.append(replay.conv(z, (1, 3, 3)))
    assert not replay.left
    torch.testing.assert_close(net(x), torch.cat(parts, dim=1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("replicate", [False, True])
def test_block_is_its_formula(replicate):
    torch.manual_seed(0)
    block = AnisotropicBlock(Layers(3, "", replicate), 2, 3, kernel=(3, 3, 3))
    x = noise(1, 2, 3, 4, 5)
    replay = Replay(block, "replicate" if replicate else "constant")
    torch.testing.assert_close(block(x), replay.block(x))


@pytest.mark.parametrize("reading", ["official", "blog"])
def test_the_second_decoder_makes_the_last_channel(reading):
    spec = shrunk(RES_UNET_H.spec, reading=reading).model_copy(update={"out_channels": 4})
    net = made(spec)
    x = noise(1, 1, 2, 32, 32)
    before = net(x)
    with torch.no_grad():
        for parameter in net.decoders[1].parameters():
            parameter.zero_()
    after = net(x)
    assert torch.equal(after[:, :3], before[:, :3]) and not after[:, 3].any() and before[:, 3].any()
    single = build(spec.model_copy(update={"out_channels": 1}))
    assert len(single.net.decoders) == 1 and single(x).shape == (1, 1, 2, 32, 32)


@pytest.mark.parametrize("deep", [False, True])
def test_unused_weights_change_nothing(deep):
    spec = shrunk(RES_UNET_R.spec).model_copy(update={"deep_supervision": deep})
    net = res_unet_r(spec, unused=True).train()
    x = noise(1, 1, 2, 32, 32)
    result, inner = net(x), net.net(x)
    for part, own in zip(result if deep else [result], inner if deep else [inner], strict=True):
        assert torch.equal(part, own)
    sum(part.square().mean() for part in (result if deep else [result])).backward()
    idle = list(net.idle.parameters())
    assert idle and all(p.grad is not None and not p.grad.any() for p in idle)
    assert all(p.grad is not None and p.grad.any() for p in net.net.parameters())


@pytest.mark.parametrize("row", [RES_UNET_R, RES_UNET_H])
def test_norms_are_added_on_request(row):
    def norms(**params: object) -> int:
        return sum(isinstance(m, nn.BatchNorm3d) for m in build(shrunk(row.spec, **params)).modules())

    assert norms() == 0 and norms(normalise=True) > 20
    net = build(shrunk(row.spec, normalise=True)).train()
    assert net(noise(2, 1, 2, 32, 32)).isfinite().all()


@pytest.mark.parametrize("row", [RES_UNET_R, RES_UNET_H])
def test_two_dimensions_are_thin_three(row):
    levels = {"kernels": ((1, 3, 3),) * 5}
    thin = made(shrunk(row.spec).model_copy(update=levels))
    plane = made(shrunk(row.spec).model_copy(update=levels | {"slab": 1}))
    with torch.no_grad():
        for a, b in zip(plane.parameters(), thin.parameters(), strict=True):
            a.copy_(b.reshape(a.shape))
    x = noise(1, 1, 1, 32, 48)
    torch.testing.assert_close(plane(x[:, :, 0]), thin(x)[:, :, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("row", [RES_UNET_R, RES_UNET_H])
def test_logits_begin_small(row):
    """Without norms, blocks that all add to their short cut would begin with logits in the hundreds."""
    torch.manual_seed(0)
    with torch.no_grad():
        assert 0.1 < build(row.spec)(noise(1, 1, 3, 64, 64)).std() < 10


def test_depth_shrinks_where_strides_say_so():
    """A step of two slices looks at both."""
    spec = shrunk(RES_UNET_R.spec).model_copy(update={"strides": ((1, 1, 1), *((2, 2, 2),) * 4)})
    net = res_unet_r(spec).eval()
    x = noise(1, 1, 16, 32, 32).requires_grad_()
    result = net(x)
    assert result.shape == (1, 2, 16, 32, 32)
    assert [stage[0][-2].kernel_size for stage in net.encoder][1:] == [(3, 3, 3)] * 4
    assert [stage[0][-2].kernel_size for stage in res_unet_r(shrunk(RES_UNET_R.spec)).encoder][1:] == [(1, 3, 3)] * 4


def test_wrong_wishes_are_named():
    with pytest.raises(RecipeError, match="official or blog"):
        res_unet_h(shrunk(RES_UNET_H.spec), reading="paper")
    with pytest.raises(PlanError, match="decoder_blocks"):
        res_unet_r(shrunk(RES_UNET_R.spec).model_copy(update={"decoder_blocks": (1,)}))
