"""Taking slices for images changes neither values, gradients nor the layout."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from segwright.nets.blocks import resize


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("size", [(3, 8, 10), (6, 8, 10), (3, 4, 5)])
def test_equals_trilinear(layout, size):
    x = torch.randn(2, 4, 3, 4, 5).contiguous(memory_format=layout).requires_grad_()
    expected = F.interpolate(x, size=size, mode="trilinear")
    found = resize(x, size)
    assert torch.allclose(found, expected, atol=1e-6)
    assert found.is_contiguous(memory_format=layout)
    weight = torch.randn_like(expected)
    ours, theirs = (torch.autograd.grad((y * weight).sum(), x)[0] for y in (found, expected))
    assert torch.allclose(ours, theirs, atol=1e-5)
