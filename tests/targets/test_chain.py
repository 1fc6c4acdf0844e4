"""The target of rows of look-alikes: cores, shared voxels, and scores that are settled for a whole scan."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from segwright.core.labels import IGNORE, LabelSpace
from segwright.core.recipe import PartChoice
from segwright.losses import bind_loss
from segwright.losses.combine import dice_bce
from segwright.targets import build_target


def space(count=4, kind="exclusive"):
    return LabelSpace(structures=[{"name": f"v{i + 1}"} for i in range(count)], kind=kind)


def column(count=4, *, gap=4, height=9, width=15):
    """A canonical exclusive label `(1, 1, y, x)` of boxes under one another."""
    label = np.zeros((1, 1, count * (height + gap) + gap, width + 10), np.int16)
    for index in range(count):
        top = gap + index * (height + gap)
        label[0, 0, top : top + height, 5 : 5 + width] = index + 1
    return label


def overlapping(label, count=4):
    return np.stack([label[0] == index + 1 for index in range(count)]).astype(np.int8)


def test_cores_lie_deep_inside_and_never_touch():
    label = column(gap=0)
    target, weight = build_target("chain", space()).encode(torch.from_numpy(label[None]))
    core = target[0, 0, 0].numpy()
    assert weight is None
    numbered, count = ndimage.label(core)
    assert count == 4, "one core a structure, though the structures touch"
    for index in range(4):
        assert set(np.unique(numbered[label[0, 0] == index + 1])) == {0, index + 1}
    depth = ndimage.distance_transform_edt(label[0, 0] == 2)
    inside = label[0, 0] == 2
    assert np.array_equal(core[inside] == 1, depth[inside] >= 0.5 * depth.max())


def test_both_label_kinds_encode_alike():
    label = column()
    one, _ = build_target("chain", space()).encode(torch.from_numpy(label[None]))
    other, _ = build_target("chain", space(kind="overlapping")).encode(torch.from_numpy(overlapping(label)[None]))
    assert torch.equal(one, other)


def test_shared_voxels_count_in_parts():
    planes = overlapping(column(2), 2)
    planes[1, 0, 10:14, 5:20] = 1
    both = (planes.sum(0) == 2)[0]
    assert both.any()
    target, _ = build_target("chain", space(2, "overlapping")).encode(torch.from_numpy(planes[None]))
    assert torch.allclose(target[:, 1:].sum(1), torch.ones(()))
    assert (target[0, 2:, 0].numpy()[:, both] == 0.5).all()


def test_ignored_voxels_have_no_target():
    planes = overlapping(column())
    planes[2, 0, 5, 5] = IGNORE
    target, weight = build_target("chain", space(kind="overlapping")).encode(torch.from_numpy(planes[None]))
    assert weight is not None and weight[0, 0, 0, 5, 5] == 0 and weight.sum() == weight.numel() - 1
    assert (target[0, :, 0, 5, 5] == 0).all()


@pytest.mark.parametrize("kind", ["exclusive", "overlapping"])
def test_settled_scores_decode_to_one_label_an_instance(kind):
    meaning = space(kind=kind)
    target = build_target("chain", meaning)
    label = column()
    expected = label if kind == "exclusive" else overlapping(label)
    onehot, _ = target.encode(torch.from_numpy(expected[None]))
    torn = target.activate(12 * onehot - 6)[0].numpy()
    middle = label[0] == 2
    torn[3][middle], torn[4][middle] = 0.4, 0.6  # the second looks more like the third
    settled, told = target.settle(torn, (1.0, 1.0, 1.0))
    assert np.array_equal(target.decode(settled), expected)
    assert not np.array_equal(target.decode(torn), expected)
    assert told["ordered"]["found"] == ["v1", "v2", "v3", "v4"]
    assert told["ordered"]["missing"] == [] and told["ordered"]["margin"] > 0
    assert np.allclose(settled[1:].sum(0), 1, atol=1e-5)


def test_settling_says_what_is_missing():
    target = build_target("chain", space())
    label = np.where(column() == 3, 0, column())
    onehot, _ = target.encode(torch.from_numpy(label[None]))
    _, told = target.settle(target.activate(12 * onehot - 6)[0].numpy(), (1.0, 1.0, 1.0))
    assert told["ordered"]["missing"] == ["v3"]


def test_an_empty_scan_settles_to_nothing():
    scores = np.zeros((6, 1, 8, 8), np.float32)
    scores[1] = 1
    settled, told = build_target("chain", space()).settle(scores, (1.0, 1.0, 1.0))
    assert np.array_equal(settled, scores) and told["ordered"]["margin"] is None


def test_the_loss_is_the_sum_of_its_parts():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 6, 1, 40, 20, generator=generator)
    target, _ = build_target("chain", space()).encode(torch.from_numpy(np.stack([column()[..., :40, :20]] * 2)))
    loss = bind_loss(PartChoice(name="chain", params={"batch": True, "core_weight": 0.25, "name_weight": 2.0}))
    body = dice_bce(-logits[:, 1:2], 1 - target[:, 1:2], batch=True)
    cores = dice_bce(logits[:, :1], target[:, :1], batch=True)
    inside = target[:, 1, 0] == 0
    truth = target[:, 2:, 0].argmax(1)[inside]
    names = torch.nn.functional.cross_entropy(logits[:, 2:, 0].movedim(1, -1)[inside], truth)
    assert loss(logits, target).item() == pytest.approx((body + 0.25 * cores + 2 * names).item(), rel=1e-5)


def test_scores_add_up_and_the_loss_falls_to_nothing():
    target, _ = build_target("chain", space()).encode(torch.from_numpy(column()[None]))
    row = build_target("chain", space())
    scores = row.activate(torch.randn(1, 6, 1, 5, 5, generator=torch.Generator().manual_seed(1)))
    assert torch.allclose(scores[:, 1:].sum(1), torch.ones(()))
    assert bind_loss(PartChoice(name="chain"))(30 * target - 15, target).item() < 1e-3
