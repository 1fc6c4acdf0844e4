"""Convolution of thin inputs: equal to torch's in float32, and with a sound weight gradient in bfloat16."""

from __future__ import annotations

import pytest
import torch

from segwright.nets.execution import Conv3d


def twins(kernel: int, stride: tuple[int, int, int]) -> tuple[torch.nn.Conv3d, Conv3d]:
    torch.manual_seed(0)
    ours = Conv3d(16, 16, kernel, stride, kernel // 2, bias=False)
    theirs = torch.nn.Conv3d(16, 16, kernel, stride, kernel // 2, bias=False)
    theirs.load_state_dict(ours.state_dict())
    return theirs, ours


def leave_nan_in_free_memory() -> None:
    for power in range(8, 20, 2):
        blocks = [torch.full((1 << power,), float("nan")) for _ in range(6)]
        del blocks


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [(1, 1, 1), (1, 2, 2), (2, 2, 2)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_same_as_torch_and_sound_in_bfloat16(kernel, stride, depth):
    theirs, ours = twins(kernel, stride)
    x = torch.randn(2, 16, depth, 6, 6)
    expected = theirs(x)
    expected.square().sum().backward()
    torch.testing.assert_close(ours(x), expected)
    x = x.contiguous(memory_format=torch.channels_last_3d)
    ours.to(memory_format=torch.channels_last_3d)
    for _ in range(4):
        ours.weight.grad = None
        leave_nan_in_free_memory()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result = ours(x)
        result.float().square().sum().backward()
        error = (ours.weight.grad - theirs.weight.grad).norm() / theirs.weight.grad.norm()
        assert error < 0.03
