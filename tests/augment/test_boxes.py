"""Blank boxes, box exchange and mirroring on values that can be followed by eye."""

from __future__ import annotations

import numpy as np
import torch

from segwright.augment.boxes import BlankBoxes, CutMix
from segwright.augment.protocol import Draw
from segwright.augment.spatial import Mirror


def test_blank_boxes_hold_the_mean_and_leave_the_rest():
    image = torch.randn(2, 2, 4, 10, 10, generator=torch.Generator().manual_seed(0))
    label = (image[:, :1] > 0).to(torch.int16)
    part = BlankBoxes(count=(1, 1), size=(0.3, 0.5))
    draw = part.draw(np.random.default_rng(0), 2, (2, 4, 10, 10))
    out, out_label = part.apply(image, label, draw)
    for i in range(2):
        (z, y, x) = (slice(a, b) for a, b in draw.values["boxes"][i, 0])
        mean = image[i].mean(dim=(1, 2, 3), keepdim=True)
        torch.testing.assert_close(out[i][:, z, y, x], mean.expand_as(out[i][:, z, y, x]))
        changed = (out[i] != image[i]).any(dim=0)
        assert changed[z, y, x].all() and changed.sum() == changed[z, y, x].numel()
    assert torch.equal(out_label, label)


def test_cutmix_exchanges_image_and_label_of_another_sample():
    image = torch.arange(5.0).reshape(5, 1, 1, 1, 1).expand(5, 2, 6, 8, 8).contiguous()
    label = image[:, :1].to(torch.int16)
    part = CutMix(p=1.0)
    for seed in range(20):
        draw = part.draw(np.random.default_rng(seed), 5, (2, 6, 8, 8))
        out, out_label = part.apply(image, label, draw)
        assert (draw.values["partner"] != np.arange(5)).all()
        assert torch.equal(out[:, :1].to(torch.int16), out_label)
        for i in range(5):
            assert set(out_label[i].unique().tolist()) == {i, int(draw.values["partner"][i])}


def test_cutmix_of_one_sample_does_nothing():
    image, label = torch.randn(1, 1, 2, 4, 4), torch.ones(1, 1, 2, 4, 4, dtype=torch.int16)
    part = CutMix(p=1.0)
    out, out_label = part.apply(image, label, part.draw(np.random.default_rng(0), 1, (1, 2, 4, 4)))
    assert torch.equal(out, image) and torch.equal(out_label, label)


def flipped(part: Mirror, image: torch.Tensor, label: torch.Tensor, *flip: bool):
    draw = Draw(np.ones(1, bool), {"flip": np.array([flip])})
    return part.apply(image, label, draw)


def test_mirror_reverses_the_drawn_axes():
    image = torch.arange(24.0).reshape(1, 1, 2, 3, 4)
    label = image.to(torch.int16)
    out, out_label = flipped(Mirror(axes=(0, 2)), image, label, True, False, True)
    assert torch.equal(out, image.flip(2, 4)) and torch.equal(out_label, label.flip(2, 4))


def test_mirror_touches_allowed_axes_only_and_each_half_of_the_time():
    flips = Mirror(axes=(1,)).draw(np.random.default_rng(0), 3000, (1, 2, 2, 2)).values["flip"]
    assert not flips[:, [0, 2]].any()
    assert abs(flips[:, 1].mean() - 0.5) < 4 * np.sqrt(0.25 / 3000)


def test_mirror_exchanges_sides_of_exclusive_labels():
    label = torch.tensor([0, 1, 2, 3, -1, 4], dtype=torch.int16).reshape(1, 1, 1, 1, 6)
    part = Mirror(axes=(1, 2), exchange={2: ((0, 1),)})
    _, across = flipped(part, label.float(), label, False, False, True)
    assert across.flatten().tolist() == [4, -1, 3, 1, 2, 0] and across.dtype == torch.int16
    _, along = flipped(part, label.float(), label, False, True, False)
    assert torch.equal(along, label)


def test_flips_along_two_axes_exchange_the_pairs_of_both():
    label = torch.tensor([1, 2, 3], dtype=torch.int16).reshape(1, 1, 1, 1, 3)
    part = Mirror(axes=(1, 2), exchange={1: ((0, 1),), 2: ((1, 2),)})
    _, out = flipped(part, label.float(), label, False, True, True)
    assert out.flatten().tolist() == [2, 1, 3]  # 3 2 1, then 3 1 2, then 2 1 3


def test_mirror_exchanges_planes_of_overlapping_labels():
    label = torch.zeros(1, 3, 1, 1, 4, dtype=torch.int8)
    label[0, 0, ..., 0], label[0, 1, ..., 3], label[0, 2, ..., 1] = 1, 1, 1
    _, out = flipped(Mirror(axes=(2,), exchange={2: ((0, 1),)}), torch.zeros(1, 1, 1, 1, 4), label, False, False, True)
    assert torch.equal(out[0, :2], label[0, :2])
    assert out[0, 2].flatten().tolist() == [0, 0, 1, 0]
