"""A tile's network that sees its surroundings: sizes, what reaches which voxel, and that the far field is used."""

from __future__ import annotations

import pytest
import torch

from segwright.core.errors import PlanError
from segwright.core.plan import NetSpec
from segwright.nets import build
from segwright.planning.memory import parameter_count

FLAT = {
    "in_channels": 2, "out_channels": 3, "slab": 1, "widths": (8, 16), "strides": ((1, 1, 1), (1, 2, 2)),
    "kernels": ((1, 3, 3), (1, 3, 3)), "encoder_blocks": (1, 1), "decoder_blocks": (1,), "norm": "group",
}  # fmt: skip


def spec(**changes) -> NetSpec:
    return NetSpec(**{**FLAT, "surround": (0, 24, 16), "reduction": 4, **changes})


@pytest.mark.parametrize("size", [(1, 32, 32), (3, 32, 32), (1, 37, 50), (1, 5, 7)])
def test_the_inside_of_any_size_comes_out(size: tuple[int, int, int]) -> None:
    z, y, x = size
    logits = build(spec())(torch.randn(2, 2, z, y + 48, x + 32))
    assert logits.shape == (2, 3, *size)


def test_volumes_may_have_a_surround_too() -> None:
    deep = spec(slab=0, kernels=((3, 3, 3),) * 2, strides=((1, 1, 1), (2, 2, 2)), surround=(4, 8, 8), reduction=2)
    assert build(deep)(torch.randn(1, 2, 8 + 8, 16 + 16, 18 + 16)).shape == (1, 3, 8, 16, 18)
    assert deep.divisor == (2, 2, 2)


def test_parameters_are_foreseen_exactly() -> None:
    net = build(spec())
    assert parameter_count(spec()) == sum(p.numel() for p in net.parameters())


def test_the_far_field_reaches_the_tile() -> None:
    net = build(spec()).eval()
    image = torch.zeros(1, 2, 1, 32 + 48, 32 + 32, requires_grad=True)
    net(image)[..., 16, 16].sum().backward()
    assert image.grad.abs().sum(dim=(0, 1, 2))[:24].sum() > 0, "nothing beyond the tile reaches it"


@pytest.mark.parametrize("size", [(32, 32), (37, 50)])
def test_what_the_scout_sees_lies_over_the_tile_to_a_fraction_of_a_pixel(size: tuple[int, int]) -> None:
    net = build(spec())
    net.scout, net.tile = torch.nn.Identity(), torch.nn.Identity()
    y = torch.arange(size[0] + 48.0)[:, None].expand(-1, size[1] + 32)
    x = torch.arange(size[1] + 32.0)[None].expand(size[0] + 48, -1)
    fine, coarse = net(torch.stack([y, x])[None, :, None]).split(2, dim=1)
    inner = (..., slice(4, size[0] // 4 * 4 - 4), slice(4, size[1] // 4 * 4 - 4))  # clear of the padded far edge
    assert torch.allclose(fine[inner], coarse[inner], atol=1e-3)


def test_slabs_and_odd_surrounds_are_refused() -> None:
    with pytest.raises(PlanError, match="surround"):
        build(spec(slab=3))
    with pytest.raises(PlanError, match="multiple"):
        build(spec(surround=(0, 23, 16)))


def test_what_only_the_surroundings_show_is_learnt() -> None:
    """Every tile looks the same; which structure it belongs to is written a tile's length away."""
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(1)

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        image = torch.randn(8, 1, 1, 16 + 48, 16 + 48, generator=rng) * 0.1
        kind = torch.randint(0, 2, (8,), generator=rng)
        image[torch.arange(8), 0, 0, :20, :] += kind.float()[:, None, None] * 2 - 1
        return image, kind

    wide = NetSpec(**{**FLAT, "in_channels": 1, "out_channels": 2, "surround": (0, 24, 24), "reduction": 4})
    net = build(wide)
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(60):
        image, kind = batch()
        logits = net(image)
        loss = torch.nn.functional.cross_entropy(logits.mean(dim=(2, 3, 4)), kind)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    image, kind = batch()
    assert (net.eval()(image).mean(dim=(2, 3, 4)).argmax(1) == kind).float().mean() > 0.9
