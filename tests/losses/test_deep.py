"""Deep supervision: weights, target sizes and the plain tensor."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from segwright.core.recipe import PartChoice
from segwright.losses import bind_loss
from segwright.losses.deep import DeepSupervision

CHOICE = PartChoice(name="cross_entropy")


def outputs():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (2, 4, 8, 8), generator=generator)
    target = F.one_hot(labels, 3).movedim(-1, 1).float()
    return [torch.randn(2, 3, *size, generator=generator) for size in ((4, 8, 8), (4, 4, 4), (2, 2, 2))], target


def test_sum_of_shrunken_losses():
    logits, target = outputs()
    ours = bind_loss(CHOICE, deep_supervision=True)(logits, target)
    labels = target.argmax(1)
    halved = labels[:, :, 1::2, 1::2]
    quartered = labels[:, 1::2, 2::4, 2::4]
    terms = [F.cross_entropy(x, y) for x, y in zip(logits, (labels, halved, quartered), strict=True)]
    torch.testing.assert_close(ours, (4 * terms[0] + 2 * terms[1] + terms[2]) / 7)


def test_own_weights_and_a_single_tensor():
    logits, target = outputs()
    loss = DeepSupervision(bind_loss(CHOICE), weights=(1.0, 0.0, 0.0))
    torch.testing.assert_close(loss(logits, target), bind_loss(CHOICE)(logits[0], target))
    torch.testing.assert_close(loss(logits[0], target), bind_loss(CHOICE)(logits[0], target))
    with pytest.raises(ValueError, match="zip"):
        loss(logits[:2], target)


def test_ignored_voxels_count_nowhere_at_any_size():
    logits, target = outputs()
    weight = torch.ones(2, 1, 4, 8, 8)
    weight[:, :, :, :4] = 0
    loss = bind_loss(CHOICE, deep_supervision=True)
    changed = [x.clone() for x in logits]
    for part in changed:
        part[:, :, :, : part.shape[3] // 2] += 5
    same = loss(logits, target * weight, weight=weight)
    torch.testing.assert_close(loss(changed, target * weight, weight=weight), same)
