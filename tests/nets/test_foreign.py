"""Padding around networks of others: exact where nothing is missing, and cut back where something is."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segwright.nets.foreign import Padded


class Coarse(nn.Module):
    """Refuses what is no multiple of 4 and returns its input at two sizes."""

    def forward(self, x):
        assert all(n % 4 == 0 for n in x.shape[2:])
        return x, F.avg_pool2d(x, 4)


@pytest.mark.parametrize("size", [(8, 12), (1, 1), (9, 16), (7, 5)])
def test_the_image_comes_back_where_it_was(size):
    x = torch.randn(2, 3, *size)
    fine, coarse = Padded(Coarse(), (4, 4))(x)
    assert torch.equal(fine, x)
    assert coarse.shape[2:] == tuple(-(-n // 4) for n in size)


def test_small_images_grow_to_twice_the_divisor_in_plane_only():
    seen = []
    net = nn.Identity()
    net.register_forward_hook(lambda _module, args, _result: seen.append(tuple(args[0].shape)))
    Padded(net, (4, 8, 8))(torch.zeros(1, 1, 1, 3, 20))
    Padded(net, (8, 8), (8, 32))(torch.zeros(1, 1, 3, 20))
    assert seen == [(1, 1, 4, 16, 24), (1, 1, 8, 32)]
