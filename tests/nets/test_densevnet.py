"""Dense V-Net and PDV-Net: counts, shapes at the source's size, dense stacks and progressive results restated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segwright.core.errors import PlanError, RecipeError
from segwright.core.plan import NetSpec
from segwright.nets import build, net_info
from segwright.nets.blocks import Style
from segwright.nets.catalogue import pyramid
from segwright.nets.densevnet import DenseStack, Flavour, Pool, dense_vnet, pdv_net
from segwright.nets.describe import count_parameters

DENSE = net_info("dense-vnet")
PDV = net_info("pdv-net")

TINY = {"growth": (2, 3, 4), "layers": (2, 3, 3), "skips": (3, 4, 5)}


def spec_of(name: str, *, dims: int = 3, levels: int = 4, **rest: object) -> NetSpec:
    return pyramid((4,) * levels, dims=dims, inputs=1, outputs=3, name=name, **rest)


def stack_of(slopes: bool, dropout: float = 0.0) -> DenseStack:
    flavour = Flavour(Style(3, "batch", "relu"), dropout, slopes=slopes)
    return DenseStack(flavour, 5, (3, 3, 3), growth=2, layers=3)


def counted(growth: tuple[int, int, int], skips: tuple[int, int, int]) -> tuple[int, list[int]]:
    """Convolutions of the trunk by hand, without norms and slopes, and all norm channels."""
    total, norms = 125 * 24, [1, 24]
    entry = 25
    for g, layers, skip, down in zip(growth, (5, 10, 10), skips, (24, 24, 0), strict=True):
        total += 27 * g * sum(entry + i * g for i in range(layers))
        whole = entry + layers * g
        total += 27 * whole * (skip + down)
        norms += [g * layers, skip, down]
        entry = 24
    return total, norms


def test_parameters_of_dense_vnet():
    convolutions, norms = counted((4, 8, 16), (12, 24, 24))
    with torch.device("meta"):
        assert count_parameters(build(DENSE.spec)) == DENSE.parameters == 873_570
    assert convolutions + 2 * sum(norms) + 27 * (1 + 12 + 24 + 24) * 6 + 6 == 873_570


@pytest.mark.parametrize(("growth", "total"), [((4, 8, 16), 881_588), ((4, 6, 8), 471_428)])
def test_parameters_of_pdv_net(growth, total):
    """About 0.88 and 0.47 million, slopes included; both readings of the growth."""
    convolutions, norms = counted(growth, (12, 24, 24))
    slopes = sum(norms) - 1  # everything normed but the pooled image
    heads = 27 * 6 * (12 + 36 + 60) + 3 * 6
    with torch.device("meta"):
        assert count_parameters(pdv_net(PDV.spec, growth=growth)) == total
    assert convolutions + 2 * sum(norms) + slopes + heads == total
    assert PDV.parameters == 881_588


def sizes(net: nn.Module, x: Tensor) -> list[tuple[int, ...]]:
    """Shapes, without the batch, of what stem, stacks, skips and steps down put out, in order of work."""
    seen: list[tuple[int, ...]] = []
    for module in [net.stem, net.pool, *net.stacks, *net.skips, *net.downs]:
        module.register_forward_hook(lambda module, args, y: seen.append(tuple(y.shape[1:])))
    net(x)
    return seen


def test_shapes_of_pdv_net_at_the_size_of_the_source():
    """512 x 512 x 64, the last being depth."""
    half, quarter, eighth = (32, 256, 256), (16, 128, 128), (8, 64, 64)
    with torch.device("meta"):
        net, x = pdv_net(PDV.spec), torch.zeros(1, 1, *PDV.size)
        assert sizes(net, x) == [
            (24, *half), (1, *half), (45, *half), (12, *half), (24, *quarter), (104, *quarter), (24, *quarter),
            (24, *eighth), (184, *eighth), (24, *eighth),
        ]  # fmt: skip
        results = [tuple(part.shape) for part in net.train()(x)]
        assert net.eval()(x).shape == (1, 6, *PDV.size)
        narrow = sizes(pdv_net(PDV.spec, growth=(4, 6, 8)), x)
    assert results == [(1, 6, *PDV.size), (1, 6, *half), (1, 6, *half)]
    assert [shape[0] for shape in narrow] == [24, 1, 45, 12, 24, 84, 24, 24, 104, 24]
    assert PDV.spec.divisor == (8, 8, 8)


def test_shapes_of_dense_vnet_at_the_size_of_the_source():
    with torch.device("meta"):
        net, x = dense_vnet(DENSE.spec), torch.zeros(1, 1, *DENSE.size)
        assert [shape[:2] for shape in sizes(net, x)] == [
            (24, 72), (1, 72), (45, 72), (12, 72), (24, 36), (104, 36), (24, 36), (24, 18), (184, 18), (24, 18),
        ]  # fmt: skip
        assert net(x).shape == (1, 6, *DENSE.size)
    assert net.heads[0].in_channels == 1 + 12 + 24 + 24


@pytest.mark.parametrize("slopes", [False, True])
def test_dense_stack_keeps_all_features_in_order(slopes):
    """Input first, then each layer's; each layer sees exactly what stands before it."""
    torch.manual_seed(0)
    stack, x = stack_of(slopes).eval(), torch.randn(2, 5, 4, 4, 4)
    kept = [x]
    for index, layer in enumerate(stack.layers):
        assert layer[0].in_channels == 5 + 2 * index and layer[0].out_channels == 2
        y = F.conv3d(torch.cat(kept, dim=1), layer[0].weight, padding=1) / np.sqrt(1 + layer[1].eps)
        kept.append(F.prelu(y, layer[2].weight) if slopes else F.relu(y))
    assert stack.outputs == 5 + 3 * 2
    torch.testing.assert_close(stack(x), torch.cat(kept, dim=1))


@pytest.mark.parametrize("make", [dense_vnet, pdv_net])
def test_nothing_is_dilated(make):
    """The released code has dilation 1 in every layer and refuses others."""
    net = make(spec_of("dense-vnet"))
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv3d)]
    assert {m.dilation for m in convolutions} == {(1, 1, 1)}
    assert [m.kernel_size for m in convolutions].count((5, 5, 5)) == 1 and net.stem[0].stride == (2, 2, 2)
    assert len(convolutions) == 1 + 5 + 10 + 10 + 3 + 2 + len(net.heads)


def test_pooling_is_the_mean_around_every_second_voxel():
    x = torch.randn(1, 1, 4, 6, 8)
    values, expected = x[0, 0].numpy(), np.empty((2, 3, 4))
    for index in np.ndindex(expected.shape):
        box = tuple(slice(max(0, 2 * i - 1), 2 * i + 2) for i in index)
        expected[index] = values[box].mean()
    np.testing.assert_allclose(Pool((2, 2, 2))(x)[0, 0].numpy(), expected, rtol=1e-5, atol=1e-6)
    flat = Pool((1, 2, 2))(x)
    torch.testing.assert_close(flat[0, 0, 1], Pool((2, 2))(x[:, :, 1])[0, 0])


def test_dense_vnet_joins_image_and_skips_once():
    torch.manual_seed(0)
    net, x = dense_vnet(spec_of("dense-vnet"), **TINY).eval(), torch.randn(1, 1, 16, 8, 8)
    with torch.no_grad():
        pooled, skips = net.encode(x)
        enlarged = [F.interpolate(skip, size=(8, 4, 4), mode="trilinear") for skip in skips]
        merged = F.conv3d(torch.cat([pooled, *enlarged], dim=1), net.heads[0].weight, net.heads[0].bias, padding=1)
        torch.testing.assert_close(net(x), F.interpolate(merged, scale_factor=2, mode="trilinear"))
    assert [tuple(skip.shape[1:]) for skip in skips] == [(3, 8, 4, 4), (4, 4, 2, 2), (5, 2, 1, 1)]
    assert sum(isinstance(m, nn.ReLU) for m in net.stem.modules()) == 0


def progressive(progress: str, *, deep: bool = True) -> nn.Module:
    torch.manual_seed(0)
    return pdv_net(spec_of("pdv-net", deep_supervision=deep), **TINY, progress=progress)


def enlarged_skips(net: nn.Module, x: Tensor) -> list[Tensor]:
    pooled, skips = net.encode(x)
    return [F.interpolate(skip, size=pooled.shape[2:], mode="trilinear") for skip in skips]


@pytest.mark.parametrize("progress", ["concat", "add"])
def test_results_of_pdv_net_step_by_step(progress):
    """The first result from the first skip connection alone, each further one from one more of them."""
    net, x = progressive(progress).train(), torch.randn(2, 1, 16, 16, 8)
    with torch.no_grad():
        s1, s2, s3 = enlarged_skips(net, x)
        h1, h2, h3 = net.heads
        y1 = h1(s1)
        if progress == "add":
            y2 = y1 + h2(s2)
            y3 = y2 + h3(s3)
        else:
            y2 = h2(torch.cat((s1, s2), dim=1))
            y3 = h3(torch.cat((s1, s2, s3), dim=1))
        last, second, first = net(x)
    torch.testing.assert_close(first, y1)
    torch.testing.assert_close(second, y2)
    torch.testing.assert_close(last, F.interpolate(y3, scale_factor=2, mode="trilinear"))


def test_sums_are_the_concatenation_whose_heads_share_kernels():
    """A convolution of stacked features is the sum of the convolutions of each, so the two readings differ in that."""
    added, joined = progressive("add").eval(), progressive("concat", deep=False).eval()
    state = {key: value for key, value in added.state_dict().items() if not key.startswith("heads")}
    joined.load_state_dict(state, strict=False)
    with torch.no_grad():
        for head, number in zip(added.heads, (0.5, -1.0, 2.0), strict=True):
            head.bias.fill_(number)
        joined.heads[0].weight.copy_(torch.cat([head.weight for head in added.heads], dim=1))
        joined.heads[0].bias.copy_(sum(head.bias for head in added.heads))
        x = torch.randn(1, 1, 8, 16, 16)
        torch.testing.assert_close(added(x), joined(x), rtol=1e-4, atol=1e-5)


def test_only_the_last_result_has_a_head_where_only_it_is_used():
    assert [len(progressive("concat", deep=deep).heads) for deep in (True, False)] == [3, 1]
    assert [len(progressive("add", deep=deep).heads) for deep in (True, False)] == [3, 3]


@pytest.mark.parametrize("name", ["dense-vnet", "pdv-net"])
@pytest.mark.parametrize("dims", [2, 3])
def test_any_size_and_number_of_stacks(name, dims):
    for levels, heads in ((2, 1), (5, 4)):
        spec = spec_of(name, dims=dims, levels=levels, deep_supervision=True, params=TINY)
        net, x = build(spec), torch.zeros(2, 1, 3, 7, 33)
        parts = net(x)
        assert parts[0].shape == (2, 3, 3, 7, 33) and len(parts) == heads
        assert net.eval()(x).shape == (2, 3, 3, 7, 33)


def test_dropout_stands_where_each_source_has_it():
    """Dense V-Net: after activations but a stack's last. PDV-Net: before the norms of the stacks."""
    dense = dense_vnet(spec_of("dense-vnet"), **TINY, dropout=0.5)
    where = [[type(part).__name__ for part in layer] for layer in dense.stacks[0].layers]
    assert where == [["Conv3d", "BatchNorm3d", "ReLU", "Dropout"], ["Conv3d", "BatchNorm3d", "ReLU"]]
    assert sum(isinstance(m, nn.Dropout) for m in dense.modules()) == 1 + 2 + 2 + 3 + 2
    progressive = pdv_net(spec_of("pdv-net"), **TINY, dropout=0.2)
    where = [[type(part).__name__ for part in layer] for layer in progressive.stacks[0].layers]
    assert where == [["Conv3d", "Dropout", "BatchNorm3d", "PReLU"]] * 2
    assert sum(isinstance(m, nn.Dropout) for m in progressive.modules()) == 2 + 3 + 3


def test_flat_levels_stay_flat_and_strided_ones_skip_no_voxel():
    spec = NetSpec(
        name="pdv-net", in_channels=1, out_channels=2, widths=(4, 4, 4),
        strides=((1, 1, 1), (1, 2, 2), (2, 2, 2)), kernels=((1, 3, 3), (1, 3, 3), (1, 3, 3)),
        encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1), params=TINY,
    )  # fmt: skip
    net = build(spec).net
    assert net.stem[0].kernel_size == (1, 5, 5) and net.heads[0].kernel_size == (1, 3, 3)
    assert net.downs[0][0].kernel_size == (3, 3, 3)


def test_wrong_wishes_are_named():
    with pytest.raises(PlanError, match="set levels to 4"):
        build(spec_of("pdv-net", levels=1))
    with pytest.raises(RecipeError, match="concat or add"):
        build(spec_of("pdv-net", params={"progress": "multiply"}))
    with pytest.raises(RecipeError, match="growth"):
        build(spec_of("dense-vnet", params={"growth": [4, 0]}))
    with pytest.raises(RecipeError, match="layers"):
        build(spec_of("dense-vnet", params={"layers": []}))
    with pytest.raises(RecipeError, match="share"):
        build(spec_of("dense-vnet", params={"dropout": 1.0}))
