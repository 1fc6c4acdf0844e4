"""Structures that overlap in drawing only: parts of voxels, decoding, and the loss against PyTorch's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segwright.core.errors import PlanError
from segwright.core.labels import IGNORE, LabelSpace
from segwright.core.recipe import PartChoice
from segwright.losses import bind_loss
from segwright.postprocess.decode import decode
from segwright.targets import build_target


def space(count: int = 4, kind: str = "overlapping") -> LabelSpace:
    return LabelSpace(structures=[{"name": f"t{i}"} for i in range(count)], kind=kind)


def drawn(seed: int, count: int, shape: tuple[int, int, int]) -> np.ndarray:
    return (np.random.default_rng(seed).random((count, *shape)) < 0.2).astype(np.int8)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), count=st.integers(2, 9))
def test_a_voxel_of_several_structures_counts_for_each_in_parts(seed, count):
    planes = drawn(seed, count, (2, 5, 6))
    onehot, _ = build_target("shares", space(count)).encode(torch.from_numpy(planes[None]))
    parts = onehot[0].numpy()
    several = planes.sum(axis=0)
    assert np.allclose(parts.sum(axis=0), 1) and np.array_equal(parts[0] == 1, several == 0)
    assert np.allclose(parts[1:] * np.maximum(several, 1), planes)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), kind=st.sampled_from(["overlapping", "exclusive"]))
def test_thresholds_of_one_half_on_structure_scores_mean_what_decoding_means(seed, kind):
    target = build_target("shares", space(4, kind))
    logits = torch.randn(1, 5, 2, 6, 7, generator=torch.Generator().manual_seed(seed)) * 3
    scores = target.activate(logits)[0]
    kept = target.structure_scores(scores)
    assert torch.equal(kept, torch.from_numpy(target.structure_scores(scores.numpy())))
    assert ((kept > 0).sum(0) <= 1).all() and torch.allclose(kept.sum(0), 1 - scores[0])
    stored = np.rint(kept.numpy() * 255).astype(np.uint8)
    clear = (scores[0] - 0.5).abs().numpy() > 1 / 255
    ours, theirs = target.decode(scores.numpy()), decode(stored, target.space)
    assert np.array_equal(ours[:, clear], theirs[:, clear])
    by_hand = np.where(scores[0].numpy() < 0.5, logits[0, 1:].argmax(0).numpy() + 1, 0)
    for index in range(4):
        assert np.array_equal(target.space.mask(ours, index), by_hand == index + 1)


def test_ignored_voxels_weigh_nothing_and_change_no_loss():
    planes = drawn(1, 4, (1, 8, 8))
    planes[:, 0, :2] = IGNORE
    target, weight = build_target("shares", space()).encode(torch.from_numpy(planes[None]))
    assert weight is not None and not weight[0, 0, 0, :2].any() and weight[0, 0, 0, 2:].all()
    logits = torch.randn(1, 5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    other = logits.clone()
    other[..., :2, :] = 50
    loss = bind_loss(PartChoice(name="dice_ce"))
    assert loss(logits, target, weight=weight).item() == pytest.approx(loss(other, target, weight=weight).item())


def test_its_loss_takes_parts_as_torch_takes_probabilities():
    planes = torch.from_numpy(np.stack([drawn(seed, 4, (1, 9, 10)) for seed in (2, 3)]))
    target, _ = build_target("shares", space()).encode(planes)
    logits = torch.randn(2, 5, 1, 9, 10, generator=torch.Generator().manual_seed(5))
    entropy = bind_loss(PartChoice(name="dice_ce", params={"dice_weight": 0.0}))(logits, target)
    assert entropy.item() == pytest.approx(torch.nn.functional.cross_entropy(logits, target).item(), rel=1e-5)


def test_objects_are_refused():
    with pytest.raises(PlanError, match="names structures"):
        build_target("shares", LabelSpace(structures=[{"name": "nucleus"}], kind="instances"))
