"""The network between sections against loops over pixels and counts by hand."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load, save

from segwright.core.errors import GeometryError, PlanError
from segwright.nets.describe import count_parameters
from segwright.nets.interpolation import filtered, interpolation_network


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def by_hand(section: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """`kernels` is `(B, k, k, y, x)`; pixels beyond borders are the nearest ones."""
    batch, channels, height, width = section.shape
    edge = kernels.shape[1]
    result = torch.zeros_like(section)
    for b in range(batch):
        for c in range(channels):
            for y in range(height):
                for x in range(width):
                    for i in range(edge):
                        for j in range(edge):
                            row = min(max(y + i - edge // 2, 0), height - 1)
                            column = min(max(x + j - edge // 2, 0), width - 1)
                            result[b, c, y, x] += kernels[b, i, j, y, x] * section[b, c, row, column]
    return result


@pytest.mark.parametrize("edge", [1, 3, 5])
def test_kernels_of_every_pixel(edge):
    section, taps = noise(2, 2, 4, 5), noise(2, edge**2, 4, 5, seed=1) - 0.5
    torch.testing.assert_close(filtered(section, taps), by_hand(section, taps.unflatten(1, (edge, edge))))


@pytest.mark.parametrize("edge", [3, 7])
def test_separable_kernels_are_products(edge):
    section, column, row = noise(1, 2, 4, 6), noise(1, edge, 4, 6, seed=1) - 0.5, noise(1, edge, 4, 6, seed=2) - 0.5
    product = torch.einsum("biyx,bjyx->bijyx", column, row)
    torch.testing.assert_close(filtered(section, column, row), by_hand(section, product))


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (7, 33), (32, 16)])
def test_begins_as_the_mean_of_both_sections_at_any_size(size, separable):
    net = interpolation_network(widths=(4, 6, 8), kernel=5, separable=separable, channels=2)
    x = noise(2, 2, 2, *size)
    torch.testing.assert_close(net(x), x.mean(dim=2, keepdim=True))


@pytest.mark.parametrize("separable", [False, True])
def test_both_sections_are_filtered_by_their_own_kernels(separable):
    torch.manual_seed(0)
    net = interpolation_network(widths=(4, 6), separable=separable)
    for head in net.heads:
        torch.nn.init.normal_(head[-1].weight, std=0.1)
    x = noise(1, 1, 2, 9, 7)
    expected = torch.zeros(1, 1, 9, 7)
    for section, (taps, row) in zip(x.unbind(2), net.taps(x), strict=True):
        kernels = taps.unflatten(1, (3, 3)) if row is None else torch.einsum("biyx,bjyx->bijyx", taps, row)
        expected = expected + by_hand(section, kernels)
    torch.testing.assert_close(net(x)[:, :, 0], expected)


def group(entry: int, width: int) -> int:
    """Three convolutions of 3 x 3 with bias."""
    return 9 * entry * width + width + 2 * (9 * width * width + width)


def by_layers(channels: int, widths: tuple[int, ...], heads: int, taps: int) -> int:
    entries = (2 * channels, *widths)
    down = sum(group(a, b) for a, b in zip(entries, widths, strict=False))
    up = sum(group(a, b) for a, b in zip((*widths[2:], widths[-1]), widths[1:], strict=True))
    rises = sum(9 * width * width + width for width in widths[1:])
    fine = widths[1]
    head = 2 * (9 * fine * fine + fine) + 9 * fine * taps + taps + 9 * taps * taps + taps
    return down + up + rises + heads * head


def test_parameters_by_layers():
    assert count_parameters(interpolation_network()) == by_layers(1, (16, 32, 64, 128, 256), 1, 18)
    widths = (32, 64, 128, 256, 512)
    with torch.device("meta"):
        original = count_parameters(interpolation_network(channels=3, widths=widths, kernel=51, separable=True))
    assert original == by_layers(3, widths, 4, 51) == 21_675_452  # the 21.7 M of SepConv


def test_learns_to_undo_a_shift():
    """The section between lies half way: one pixel from each neighbour."""
    torch.manual_seed(0)
    net = interpolation_network(widths=(4, 8))
    wide = noise(4, 1, 1, 16, 18, seed=3)
    x, target = torch.cat((wide[..., :16], wide[..., 2:]), dim=2), wide[..., 1:17]
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        loss = (net(x) - target).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]
    twin = interpolation_network(widths=(4, 8))
    twin.load_state_dict(load(save(net.state_dict())))
    assert torch.equal(twin(x), net(x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = net(x)
    assert (half - net(x)).norm() / net(x).norm() < 0.05


def test_exports():
    net = interpolation_network(widths=(4, 6)).eval()
    x = noise(1, 1, 2, 9, 7)
    torch.testing.assert_close(torch.export.export(net, (x,)).module()(x), net(x))


def test_wrong_wishes_are_named():
    with pytest.raises(PlanError, match="centre pixel"):
        interpolation_network(kernel=4)
    with pytest.raises(PlanError, match="two widths"):
        interpolation_network(widths=(8,))
    net = interpolation_network(widths=(4, 6))
    for shape in ((1, 1, 3, 8, 8), (1, 2, 2, 8, 8), (1, 2, 8, 8)):
        with pytest.raises(GeometryError, match="two neighbours"):
            net(torch.zeros(shape))
