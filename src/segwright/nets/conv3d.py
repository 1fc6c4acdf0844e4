"""A 3-D convolution whose weight gradient can be trusted in bfloat16 on CPUs for thin inputs."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Conv3d(nn.Conv3d):
    """As `torch.nn.Conv3d`, but inputs of fewer slices than the kernel has are padded in depth beforehand.

    The result is the same. Left to itself, torch 2.13 on CPUs with AVX512-BF16 fills part of the weight gradient from
    uninitialised memory whenever the front and the back padding meet (1 < z < kernel depth), which shows as NaN now
    and then and as a wrong gradient always.
    """

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, z, y, x)` to `(B, outputs, ...)`."""
        if not 1 < x.shape[2] < self.kernel_size[0]:
            return super().forward(x)
        depth, *plane = map(int, self.padding)
        padded = F.pad(x, (0, 0, 0, 0, depth, depth))
        return F.conv3d(padded, self.weight, self.bias, self.stride, (0, *plane), self.dilation, self.groups)
