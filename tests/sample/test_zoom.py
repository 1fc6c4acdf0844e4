"""Coarser patches: the same field, averaged, with labels in place."""

from __future__ import annotations

import numpy as np
import torch

from segwright.sample.case import SampleCase
from segwright.sample.patches import Patches
from segwright.sample.zoom import Zoomed


def patches() -> Patches:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, 1, 64, 48)).astype(np.float32)
    label = np.zeros((1, 1, 64, 48), np.int16)
    label[0, 0, 16:48, 8:40] = 1
    image[0][label[0] > 0] += 50
    return Patches([SampleCase(image, label, spacing=(None, 0.5, 0.5))], patch=(1, 64, 48), policy="uniform", batch=1)


def test_image_and_label_shrink_alike_and_stay_together() -> None:
    coarse = Zoomed(patches(), 4).at(0)
    assert coarse.image.shape == (1, 1, 1, 16, 12) and coarse.label.shape == (1, 1, 1, 16, 12)
    bright = coarse.image[0, 0] > 25
    assert torch.equal(bright, coarse.label[0, 0] == 1)
    assert coarse.spacing[0, 1:].tolist() == [2.0, 2.0]


def test_the_mean_of_the_image_is_kept() -> None:
    fine, coarse = patches().at(0), Zoomed(patches(), 2).at(0)
    assert torch.isclose(fine.image.mean(), coarse.image.mean(), atol=1e-5)


def test_a_factor_of_one_changes_nothing() -> None:
    fine, same = patches().at(3), Zoomed(patches(), 1).at(3)
    assert torch.equal(fine.image, same.image) and torch.equal(fine.label, same.label)
