"""Spine U-Nets: counts by hand, blocks and gates against their equations, words that are refused, and learning."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segwright.core.errors import PlanError, RecipeError
from segwright.core.plan import NetSpec
from segwright.nets import build, net_info, resunet
from segwright.nets.blocks import ConvBlock, ResidualBlock, Style, Up
from segwright.nets.catalogue import pyramid
from segwright.nets.describe import count_parameters
from segwright.nets.resunet import Bottleneck, Gate, GatedUp, Squeeze, SqueezedBlock

NAMES = ("unet-classic", "res-unet", "res-unet-bottleneck", "se-res-unet", "attention-se-res-unet")
LARGE, MIDDLE, SMALL = (64, 128, 256, 512, 1024), (32, 64, 128, 256, 512), (32, 64, 128, 256)
KERNEL = (3, 3, 3)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def counted(name: str, widths: tuple[int, ...], outputs: int = 1, dims: int = 2, **params: object) -> int:
    with torch.device("meta"):
        spec = pyramid(widths, dims=dims, inputs=1, outputs=outputs, name=name, params=params)
        return count_parameters(build(spec))


def by_hand(name: str, widths: tuple[int, ...], outputs: int, *, volume: int = 9, corner: int = 4) -> int:
    """Counts from the layer lists: `volume` voxels in a kernel of 3, `corner` in one of 2."""

    def conv(a: int, b: int, kernel: int) -> int:
        return a * b * kernel + 2 * b

    total = outputs * (widths[0] + 1)
    for fine, coarse in itertools.pairwise(widths):
        total += coarse * fine * corner + fine + conv(2 * fine, fine, volume) + conv(fine, fine, volume)
        if name == "attention-se-res-unet":
            inner = fine // 2
            total += fine * inner * corner + (coarse + 1) * inner + (inner + 1) + conv(fine, fine, 1)
    for before, width in zip((1, *widths), widths, strict=False):
        total += conv(before, width, volume)
        if name == "unet-classic":
            total += conv(width, width, volume)
        elif name == "res-unet-bottleneck":
            quarter = width // 4
            total += 2 * (conv(width, quarter, 1) + conv(quarter, quarter, volume) + conv(quarter, width, 1))
        else:
            total += 4 * conv(width, width, volume)
        if "se-" in name:
            hidden = max(width // 16, 4)
            total += 2 * (width * hidden + hidden + hidden * width + width)
    return total


@pytest.mark.parametrize("widths", [LARGE, MIDDLE, SMALL])
@pytest.mark.parametrize("outputs", [1, 7])
@pytest.mark.parametrize("name", NAMES)
def test_counts_by_hand(name, outputs, widths):
    assert counted(name, widths, outputs) == by_hand(name, widths, outputs)
    assert counted(name, widths, outputs, dims=3) == by_hand(name, widths, outputs, volume=27, corner=8)


@pytest.mark.parametrize(
    ("name", "large", "middle"),
    [
        ("unet-classic", 31.04, 7.76), ("res-unet", 68.76, 17.20), ("res-unet-bottleneck", 21.44, 5.37),
        ("se-res-unet", 69.11, 17.29), ("attention-se-res-unet", 70.51, 17.64),
    ],
)  # fmt: skip
def test_counts_as_specified(name, large, middle):
    assert round(counted(name, LARGE) / 1e6, 2) == large
    assert round(counted(name, MIDDLE) / 1e6, 2) == middle


def test_counts_of_the_spine_x_ray_project():
    assert counted("unet-classic", LARGE, 7) == 31_036_871 == net_info("unet-classic").parameters
    assert counted("unet-classic", LARGE, 6) == 31_036_806
    assert round(counted("res-unet", SMALL) / 1e6, 2) == 4.28


@pytest.mark.parametrize("name", ["res-unet", "se-res-unet", "attention-se-res-unet"])
def test_five_convolutions_a_level_down_and_two_up(name):
    net = build(pyramid((8, 16, 32), dims=2, inputs=1, outputs=1, name=name)).net

    def convolutions(stage: nn.Module) -> int:
        return sum(isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) for m in stage.modules())

    assert [convolutions(stage) for stage in net.encoder] == [5, 5, 5]
    assert [convolutions(stage) for stage in net.decoder] == [2, 2]
    assert sum(isinstance(m, nn.MaxPool2d) for m in net.modules()) == 2
    assert not any(isinstance(m, nn.LeakyReLU) for m in net.modules())


def waken(block: nn.Module) -> nn.Module:
    """Norms that scale and shift, so that nothing hides behind ones and zeros."""
    for part in block.modules():
        if isinstance(part, nn.modules.batchnorm._NormBase):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias)
    return block


@pytest.mark.parametrize("dims", [2, 3])
def test_squeezing_with_ones_is_the_residual_block(dims):
    style = Style(dims, "batch", "relu")
    squeezed = waken(SqueezedBlock(style, 8, kernel=KERNEL, hidden=4))
    nn.init.zeros_(squeezed.squeeze.show.weight)
    nn.init.constant_(squeezed.squeeze.show.bias, 100.0)
    plain = ResidualBlock(style, 8, 8, kernel=KERNEL)
    plain.load_state_dict({k: v for k, v in squeezed.state_dict().items() if "squeeze" not in k})
    x = torch.randn(2, 8, *(6, 5, 4)[:dims])
    assert torch.equal(squeezed(x), plain(x))


@pytest.mark.parametrize("dims", [2, 3])
def test_squeezing_scales_before_the_sum(dims):
    block = waken(SqueezedBlock(Style(dims, "instance", "relu"), 8, kernel=KERNEL, hidden=4))
    x = torch.randn(2, 8, *(6, 5, 4)[:dims])
    u = block.second(block.first(x))
    z = u.flatten(2).mean(2)
    w1, w2 = block.squeeze.hide, block.squeeze.show
    s = torch.sigmoid(F.relu(z @ w1.weight.flatten(1).T + w1.bias) @ w2.weight.flatten(1).T + w2.bias)
    expected = F.relu(s.reshape(2, 8, *[1] * dims) * u + x)
    torch.testing.assert_close(block(x), expected)


def test_squeezing_agrees_with_monai():
    blocks = pytest.importorskip("monai.networks.blocks.squeeze_and_excitation")
    ours, theirs = Squeeze(3, 32, 2), blocks.ChannelSELayer(3, 32, r=16)
    with torch.no_grad():
        for mine, other in zip((ours.hide, ours.show), (theirs.fc[0], theirs.fc[2]), strict=True):
            other.weight.copy_(mine.weight.flatten(1))
            other.bias.copy_(mine.bias)
    x = torch.randn(2, 32, 4, 5, 6)
    torch.testing.assert_close(ours(x) * x, theirs(x))


def normed(x: Tensor, weight: Tensor, norm: nn.Module) -> Tensor:
    return F.batch_norm(F.conv2d(x, weight, padding=weight.shape[-1] // 2), None, None, norm.weight, norm.bias, True)


def test_bottleneck_narrows_convolves_and_widens():
    block = waken(Bottleneck(Style(2, "batch", "relu"), 16, kernel=(1, 3, 3)))
    narrow, middle, wide = block.first[0], block.first[3], block.second[0]
    assert [tuple(c.weight.shape) for c in (narrow, middle, wide)] == [(4, 16, 1, 1), (4, 4, 3, 3), (16, 4, 1, 1)]
    x = torch.randn(2, 16, 6, 7)
    y = F.relu(normed(x, narrow.weight, block.first[1]))
    y = F.relu(normed(y, middle.weight, block.first[4]))
    torch.testing.assert_close(block(x), F.relu(normed(y, wide.weight, block.second[1]) + x))


def test_residual_block_follows_its_formula():
    block = waken(ResidualBlock(Style(2, "batch", "relu"), 8, 8, kernel=(1, 3, 3)))
    x = torch.randn(2, 8, 6, 7)
    y = F.relu(normed(x, block.first[0].weight, block.first[1]))
    torch.testing.assert_close(block(x), F.relu(normed(y, block.second[0].weight, block.second[1]) + x))


def gate_of(dims: int) -> tuple[Gate, Tensor, Tensor]:
    stride = (1, 2, 2)  # thick slices are not halved
    gate = waken(Gate(Style(dims, "batch", "relu"), 6, 10, inner=3, stride=stride))
    return gate, torch.randn(2, 6, *(3, 8, 12)[3 - dims :]), torch.randn(2, 10, *(3, 4, 6)[3 - dims :])


@pytest.mark.parametrize("dims", [2, 3])
def test_attention_is_a_weight_for_each_voxel(dims):
    gate, x, g = gate_of(dims)
    with torch.no_grad():
        gate.psi.weight.copy_(torch.tensor([1.0, -1.0, 0.0]).reshape(gate.psi.weight.shape))
    alpha = gate.alpha(x, 50 * g)
    assert alpha.shape == (2, 1, *x.shape[2:])
    assert 0 <= alpha.min() < 0.2 and 0.8 < alpha.max() <= 1
    assert gate(x, g).shape == x.shape


@pytest.mark.parametrize("dims", [2, 3])
def test_full_attention_passes_the_skip_connection(dims):
    gate, x, g = gate_of(dims)
    nn.init.zeros_(gate.psi.weight)
    nn.init.constant_(gate.psi.bias, 100.0)
    assert (gate.alpha(x, g) == 1).all()
    assert torch.equal(gate(x, g), gate.project(x))


def test_gate_restated_step_by_step():
    """Plain matrix arithmetic on cells of 2 x 2, and linear interpolation written out."""
    gate, x, g = gate_of(2)
    cells = x.unfold(2, 2, 2).unfold(3, 2, 2)  # (B, C, 4, 6, 2, 2)
    theta = torch.einsum("bcyxij,ocij->boyx", cells, gate.theta.weight)
    phi = torch.einsum("bcyx,oc->boyx", g, gate.phi.weight[:, :, 0, 0]) + gate.phi.bias[:, None, None]
    psi = torch.einsum("bcyx,c->byx", (theta + phi).clamp(min=0), gate.psi.weight[0, :, 0, 0]) + gate.psi.bias
    coarse = 1 / (1 + torch.exp(-psi))

    def doubled(length: int) -> Tensor:
        matrix = torch.zeros(2 * length, length)
        for i in range(2 * length):
            at = min(max((i + 0.5) / 2 - 0.5, 0.0), length - 1.0)
            low = min(int(at), length - 2)
            matrix[i, low], matrix[i, low + 1] = low + 1 - at, at - low
        return matrix

    alpha = torch.einsum("iy,byx,jx->bij", doubled(4), coarse, doubled(6))[:, None]
    torch.testing.assert_close(gate.alpha(x, g), alpha)
    gate.eval()
    norm = gate.project[1]
    weighed = F.conv2d(alpha * x, gate.project[0].weight) / (1 + norm.eps) ** 0.5
    expected = weighed * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(gate(x, g), expected)


def test_gates_sit_where_they_are_asked_for():
    spec = pyramid((8, 16, 32, 64), dims=2, inputs=1, outputs=1)
    every = resunet.attention_se_res_unet(spec)
    assert [type(step) for step in every.ups] == [GatedUp] * 3
    assert [step.gate.theta.out_channels for step in every.ups] == [4, 8, 16]
    official = resunet.attention_se_res_unet(spec, gates="coarse", inner="full", signal="conv")
    assert [type(step) for step in official.ups] == [Up, GatedUp, GatedUp]
    assert [step.gate.theta.out_channels for step in official.ups[1:]] == [16, 32]
    assert [type(step.signal) for step in official.ups[1:]] == [nn.Sequential, ConvBlock]


def test_wrong_wishes_are_named():
    def spec(name: str, **params: object) -> NetSpec:
        return pyramid((8, 16), dims=2, inputs=1, outputs=1, name=name, params=params)

    for name, params, said in [
        ("res-unet", {"up": "cubic"}, "linear or nearest or transpose"),
        ("res-unet", {"down": "mean"}, "conv or pool"),
        ("res-unet", {"reduction": 4}, "takes no parameter"),
        ("se-res-unet", {"reduction": 0}, "1 or more"),
        ("se-res-unet", {"least": 1.5}, "1 or more"),
        ("attention-se-res-unet", {"gates": "none"}, "all or coarse"),
        ("attention-se-res-unet", {"inner": "third"}, "half or full"),
        ("attention-se-res-unet", {"signal": "loud"}, "plain or conv"),
    ]:
        with pytest.raises(RecipeError, match=said):
            build(spec(name, **params))
    with pytest.raises(PlanError, match="odd"):
        build(spec("res-unet").model_copy(update={"kernels": ((1, 2, 2),) * 2}))


@pytest.mark.parametrize("up", ["linear", "nearest", "transpose"])
@pytest.mark.parametrize("name", NAMES)
def test_two_dimensions_are_thin_three(name, up):
    flat = pyramid((6, 8, 12), dims=2, inputs=2, outputs=3, name=name, params={"up": up})
    plane, thin = build(flat).eval(), build(flat.model_copy(update={"slab": 0})).eval()
    with torch.no_grad():
        for a, b in zip(plane.state_dict().values(), thin.state_dict().values(), strict=True):
            b.copy_(a.reshape(b.shape))
    x = torch.randn(2, 2, 1, 8, 12)  # one slice: channels are squeezed over slices too
    torch.testing.assert_close(plane(x), thin(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_learns_a_disc_in_noise(name, dims):
    net = build(pyramid((8, 16), dims=dims, inputs=1, outputs=1, name=name, norm="instance")).train()
    axes = torch.meshgrid(*[torch.linspace(-1, 1, 16)] * dims, indexing="ij")
    disc = (sum(axis.square() for axis in axes) < 0.4).float().reshape(1, 1, *(16,) * dims)
    disc = disc if dims == 3 else disc[:, :, None]
    optimiser = torch.optim.AdamW(net.parameters(), 1e-2)
    for _ in range(30):
        loss = F.binary_cross_entropy_with_logits(net(disc + 0.7 * torch.randn_like(disc)), disc)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = net.eval()(disc + 0.7 * torch.randn_like(disc)) > 0
    assert 2 * (found * disc).sum() / (found.sum() + disc.sum()) > 0.9
