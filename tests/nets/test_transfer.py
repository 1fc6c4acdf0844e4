"""What comes over from one network to another: whole tensors, image channels, head channels by name; what does not."""

from __future__ import annotations

import pytest
import torch

from segwright.core.errors import ModelError, PlanError
from segwright.core.labels import LabelSpace
from segwright.core.plan import NetSpec, Plan
from segwright.nets import NETS, build
from segwright.nets.transfer import encoder_names, take_over
from segwright.train.parts import Frozen


def plan(names=("a", "b"), *, kind="exclusive", channels=1, **spec):
    labels = LabelSpace(structures=[{"name": name} for name in names], kind=kind)
    shape = {
        "in_channels": channels,
        "out_channels": len(names) + (kind == "exclusive"),
        "slab": 1,
        "widths": (4, 8),
        "strides": ((1, 1, 1), (1, 2, 2)),
        "kernels": ((1, 3, 3), (1, 3, 3)),
        "encoder_blocks": (2, 2),
        "decoder_blocks": (1,),
        **spec,
    }
    target = "classes" if kind == "exclusive" else "regions"
    parts = {"channels": tuple("abcdefgh"[:channels]), "labels": labels, "target": target}
    return Plan.model_construct(net=NetSpec(**shape), **parts)


def nets(here, there):
    torch.manual_seed(1)
    source = build(there.net)
    torch.manual_seed(2)
    net = build(here.net)
    fresh = {name: value.clone() for name, value in net.state_dict().items()}
    return net, source.state_dict(), fresh


def test_the_same_network_comes_over_whole():
    net, tensors, _ = nets(plan(), plan())
    taken = take_over(net, tensors, plan(), plan())
    assert not taken.left and not taken.adapted and taken.share == 1.0
    for name, value in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(value, tensors[name])


@pytest.mark.parametrize(("have", "want"), [(3, 1), (1, 3), (2, 4), (3, 2)])
@pytest.mark.parametrize("slab", [0, 1, 3])
def test_image_channels_are_adapted_so_that_alike_channels_give_alike_answers(have, want, slab):
    wide = (
        {"slab": slab, "strides": ((1, 1, 1), (2, 2, 2)), "kernels": ((3, 3, 3), (3, 3, 3))}
        if slab == 0
        else {"slab": slab}
    )
    here, there = plan(channels=want, **wide), plan(channels=have, **wide)
    net, tensors, _ = nets(here, there)
    taken = take_over(net, tensors, here, there)
    assert len(taken.adapted) == 1 and "the image has" in next(iter(taken.adapted.values()))
    if want == 1 or want % have == 0:
        source = build(there.net).eval()
        source.load_state_dict(tensors)
        image = torch.randn(1, 1, 4, 12, 16)
        if want == 1:
            torch.testing.assert_close(
                net.eval()(image), source(image.expand(-1, have, -1, -1, -1)), atol=1e-5, rtol=1e-4
            )
        else:
            a, b = (n.eval()(image.expand(-1, c, -1, -1, -1)) for n, c in ((net, want), (source, have)))
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_head_channels_come_over_by_name():
    here, there = plan(("b", "c", "a")), plan(("a", "b"))
    net, tensors, fresh = nets(here, there)
    taken = take_over(net, tensors, here, there)
    head = net.state_dict()["net.heads.0.weight"]
    stored = tensors["net.heads.0.weight"]
    assert torch.equal(head[0], stored[0]) and torch.equal(head[1], stored[2]) and torch.equal(head[3], stored[1])
    assert torch.equal(head[2], fresh["net.heads.0.weight"][2])
    assert "3 of its 4 channels" in taken.adapted["net.heads.0.weight"]


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (plan(("x", "y")), "no structure has the same name"),
        (plan(("a", "b", "c"), kind="overlapping"), "the targets differ"),
        (None, "the targets differ"),
    ],
)
def test_a_head_that_means_something_else_stays_fresh_even_if_it_fits(there, why):
    """The third case is a bare file: its head fits in shape, but what its channels mean is not known."""
    here = plan(("a", "b"))
    net, tensors, fresh = nets(here, there or plan(("p", "q")))
    taken = take_over(net, tensors, here, there)
    assert set(taken.left) == {"net.heads.0.weight", "net.heads.0.bias"}
    assert why in taken.left["net.heads.0.weight"]
    assert torch.equal(net.state_dict()["net.heads.0.weight"], fresh["net.heads.0.weight"])
    assert 0.9 < taken.share < 1 and any(why in text for text in taken.sentences())


def test_other_shapes_stay_fresh_and_nothing_at_all_is_refused():
    here, there = plan(), plan(widths=(4, 12))
    net, tensors, fresh = nets(here, there)
    taken = take_over(net, tensors, here, there)
    assert "net.encoder.1.1.conv.weight" in "".join(taken.left) or any("encoder.1" in name for name in taken.left)
    for name in taken.left:
        assert torch.equal(net.state_dict()[name], fresh[name])
    assert any("the shape is" in why for why in taken.left.values())
    with pytest.raises(ModelError, match="No layer of the source"):
        take_over(net, build(plan(name="vnet", norm="batch").net).state_dict(), here, None)


@pytest.mark.parametrize(
    "name", sorted({"unet", "resenc", "res-unet", "vnet", "dense-vnet", "segmri-unet", "segresnet"})
)
def test_networks_name_their_encoder(name):
    assert name in NETS
    with torch.device("meta"):
        net = build(plan(name=name).net)
    names = encoder_names(net)
    every = {n for n, _ in net.named_parameters()}
    assert names and names < every


def test_frozen_weights_do_not_move_until_they_may():
    here = plan()
    net, tensors, _ = nets(here, plan(("x", "y")))
    taken = take_over(net, tensors, here, plan(("x", "y")))
    frozen = Frozen(net, 0.5, taken.names)
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.1, weight_decay=0.5)
    encoder = encoder_names(net)
    for progress, moves in ((0.0, False), (0.49, False), (0.5, True)):
        frozen.at(progress)
        before = {name: value.clone() for name, value in net.named_parameters()}
        for _ in range(2):
            optimiser.zero_grad()
            net(torch.randn(2, 1, 1, 8, 8)).square().mean().backward()
            optimiser.step()
        changed = {name for name, value in net.named_parameters() if not torch.equal(value, before[name])}
        assert bool(changed & encoder) == moves and changed - encoder


def test_freezing_nothing_is_refused():
    net = build(plan().net)
    with pytest.raises(PlanError, match="no encoder that could be frozen"):
        Frozen(net, 0.3, [])
    Frozen(net, 0.0, []).at(0.0)
    assert all(p.requires_grad for p in net.parameters())
