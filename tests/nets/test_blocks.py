"""Blocks: pooling by interpolation, joining by the cheap order, residual blocks that start as short cuts."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from segwright.nets.blocks import ResidualBlock, Shrink, Style, Up, initialise


@pytest.mark.parametrize("step", [(2, 2, 2), (1, 2, 2), (2, 2)])
def test_shrink_is_the_mean_of_each_cell(step):
    x = torch.randn(2, 3, *(4, 6, 8)[: len(step)])
    pool = F.avg_pool3d if len(step) == 3 else F.avg_pool2d
    torch.testing.assert_close(Shrink(step)(x), pool(x, step))


def test_projecting_before_interpolation_changes_nothing():
    up = Up(Style(3, "batch"), 4, 2, stride=(2, 2, 2), mode="linear")
    x, skip = torch.randn(1, 4, 2, 3, 4), torch.zeros(1, 1, 4, 6, 8)
    late = up.project(F.interpolate(x, scale_factor=2, mode="trilinear", align_corners=False))
    torch.testing.assert_close(up(x, skip)[:, :2], late)


def test_fresh_residual_block_is_its_short_cut():
    block = ResidualBlock(Style(2, "instance"), 4, 4, kernel=(1, 3, 3))
    initialise(block)
    x = torch.randn(1, 4, 5, 5)
    torch.testing.assert_close(block(x), F.leaky_relu(x, 0.01))


@pytest.mark.parametrize("norm", ["instance", "batch", "group"])
def test_variance_survives_a_block(norm):
    """He initialisation and a norm keep the scale of features, whatever the scale of the image."""
    style = Style(3, norm)
    x = 100 * torch.randn(2, 8, 8, 8, 8)
    out = style.normalise(16)(style.convolve(8, 16, (3, 3, 3))(x))
    assert 0.8 < out.std() < 1.2
