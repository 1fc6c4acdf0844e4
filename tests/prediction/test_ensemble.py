"""Mirrored copies, means and votes against values computed by hand, and the contract of every way to combine."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from segwright.augment.spatial import Mirror
from segwright.core.errors import ModelError
from segwright.core.labels import LabelSpace
from segwright.prediction import COMBINE
from segwright.prediction.ensemble import channel_order, mean, member, mirrored, vote
from segwright.targets.chain import ChainTarget
from segwright.targets.classes import ClassesTarget, RegionsTarget, SharesTarget

SPACE = LabelSpace.model_validate({"structures": [{"name": name} for name in "abc"]})


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_mirrored_network_is_symmetric() -> None:
    conv = torch.nn.Conv3d(1, 2, 3, padding=1)
    batch = torch.randn(2, 1, 5, 6, 7)
    for axes in [(0,), (1,), (2,), (0, 2), (0, 1, 2)]:
        forward = mirrored(conv, axes)
        for axis in axes:
            flipped = forward(batch.flip(axis + 2)).flip(axis + 2)
            torch.testing.assert_close(flipped, forward(batch), atol=1e-5, rtol=1e-4)


def test_mirrored_is_the_mean_over_all_flips() -> None:
    conv = torch.nn.Conv3d(1, 1, 3, padding=1)
    batch = torch.randn(1, 1, 4, 4, 4)
    flips = [c for n in range(3) for c in itertools.combinations((3, 4), n)]
    expected = torch.stack([conv(batch.flip(f)).flip(f) if f else conv(batch) for f in flips]).mean(dim=0)
    torch.testing.assert_close(mirrored(conv, (2, 1, 1))(batch), expected)
    assert mirrored(conv, ()) is conv


def test_pointwise_network_is_unchanged_by_mirroring() -> None:
    batch = torch.randn(1, 2, 3, 4, 5)
    torch.testing.assert_close(mirrored(torch.exp, (0, 1, 2))(batch), torch.exp(batch))


def test_member_averages_after_activation_in_float32() -> None:
    ramp = torch.arange(4.0)
    forward = member(lambda x: (x * ramp).bfloat16(), torch.sigmoid, (2,))
    out = forward(torch.ones(1, 1, 1, 1, 4))
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.ravel(), (torch.sigmoid(ramp) + torch.sigmoid(ramp.flip(0))) / 2)


@pytest.mark.parametrize("name", sorted(COMBINE))
@pytest.mark.parametrize("exclusive", [True, False])
def test_contract_of_combinations(name: str, exclusive: bool) -> None:
    combine = COMBINE.load(name)
    members = [lambda x, k=k: torch.softmax(x * k, dim=1) for k in (1.0, 2.0, -1.0)]
    batch = torch.randn(2, 3, 2, 3, 4)
    scores = combine(members, exclusive=exclusive)(batch)
    assert scores.shape == batch.shape and scores.dtype == torch.float32
    assert scores.min() >= 0 and scores.max() <= 1
    if exclusive:
        torch.testing.assert_close(scores.sum(dim=1), torch.ones(2, 2, 3, 4))
    torch.testing.assert_close(combine(members[::-1], exclusive=exclusive)(batch), scores)
    alone = combine(members[:1], exclusive=exclusive)(batch)
    if exclusive:
        assert torch.equal(alone.argmax(dim=1), members[0](batch).argmax(dim=1))
    else:
        assert torch.equal(alone >= 0.5, members[0](batch) >= 0.5)
    with pytest.raises(ModelError, match="at least one member"):
        combine([], exclusive=exclusive)


def scores(*values: float) -> torch.Tensor:
    return torch.tensor(values).reshape(1, -1, 1, 1, 1)


def test_vote_and_mean_differ_where_one_member_is_loud() -> None:
    members = [lambda _, s=s: s for s in (scores(0.55, 0.45), scores(0.55, 0.45), scores(0.0, 1.0))]
    assert mean(members, exclusive=True)(torch.empty(0)).argmax() == 1
    assert vote(members, exclusive=True)(torch.empty(0)).ravel().tolist() == pytest.approx([2 / 3, 1 / 3])
    overlapping = vote([lambda _: scores(0.9, 0.5), lambda _: scores(0.6, 0.1)], exclusive=False)
    assert overlapping(torch.empty(0)).ravel().tolist() == pytest.approx([1.0, 0.5], abs=1e-5)


def test_half_of_the_members_is_no_majority() -> None:
    """Strictly more than half, as fold voting has it; of two members that disagree, neither wins."""
    for count in range(1, 7):
        for ayes in range(count + 1):
            members = [lambda _, s=0.9 if i < ayes else 0.1: scores(s) for i in range(count)]
            assert bool(vote(members, exclusive=False)(torch.empty(0)) >= 0.5) == (ayes > count / 2)


def test_flips_undo_the_names_that_training_exchanged() -> None:
    """A network that answers as training taught it is averaged to the very labels, whatever the flips exchange."""
    exchange = {1: ((0, 1),), 2: ((1, 2),)}
    label = torch.randint(0, 4, (1, 1, 1, 4, 5), dtype=torch.int16)
    place = torch.arange(20.0).reshape(1, 1, 1, 4, 5)

    def taught(batch: torch.Tensor) -> torch.Tensor:
        flip = [axis for axis, corner in ((1, (15.0, 19.0)), (2, (4.0, 19.0))) if batch.flatten()[0].item() in corner]
        values = {"flip": np.array([[False, 1 in flip, 2 in flip]])}
        _, turned = Mirror(axes=(1, 2), exchange=exchange).change(batch, label, values)
        return ClassesTarget(SPACE).encode(turned)[0]

    orders = {axis: channel_order(pairs, 4, 3) for axis, pairs in exchange.items()}
    expected = ClassesTarget(SPACE).encode(label)[0]
    assert torch.equal(mirrored(taught, (1, 2), orders)(place), expected)
    assert not torch.equal(mirrored(taught, (1, 2))(place), expected)


@pytest.mark.parametrize("target", [ClassesTarget, SharesTarget, ChainTarget, RegionsTarget])
def test_structures_are_the_last_channels_of_every_target_that_names_them(target: type) -> None:
    kind = "overlapping" if target is RegionsTarget else "exclusive"
    one = target(SPACE.model_copy(update={"kind": kind}))
    labels = torch.tensor([1, 2, 3]).reshape(1, 1, 1, 1, 3)
    labels = torch.cat([labels == number for number in (1, 2, 3)], dim=1).int() if kind == "overlapping" else labels
    swapped = labels.flip(1) if kind == "overlapping" else 4 - labels
    order = channel_order([(0, 2)], one.channels, 3)
    assert torch.equal(one.encode(labels)[0][:, order], one.encode(swapped)[0])
