"""Large images in tiles that know where they are: a scout looks at a wide, coarse field and tells the tile's network.

A tile of a 2048-pixel radiograph cut out at full resolution shows a bone but not which finger it belongs to. Here the
field around it is averaged down by `spec.reduction`, passed through a small U-Net (`spec.scout`), and its features over
the tile are interpolated to full resolution and joined to the tile's own channels. Both learn together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segwright.core.errors import PlanError
from segwright.core.plan import NetSpec
from segwright.nets.slab import SlabNet

Builder = Callable[[NetSpec], SlabNet]


class SurroundNet(nn.Module):
    """Maps an image `(B, C, z, y, x)` that reaches `spec.context` voxels beyond each side to logits of its inside.

    Args:
        spec: Specification with a surround.
        build: Makes a network of a specification without one.

    Raises:
        PlanError: A 2.5-D network, whose context slices cannot be told from the surround, or a surround that the
            reduction does not divide.
    """

    def __init__(self, spec: NetSpec, build: Builder) -> None:
        super().__init__()
        if spec.slab > 1 or spec.scout is None:
            raise PlanError("A surround belongs to 2-D and 3-D networks.", got=f"slab {spec.slab}", hint="Use slab=1.")
        if any(side % step for side, step in zip(spec.surround, spec.shrink, strict=True)):
            got = f"surround {spec.surround}, reduction {spec.reduction}"
            raise PlanError("A surround is a multiple of its reduction.", got=got, hint="Round the surround.")
        self.spec = spec
        self.scout = build(spec.scout)
        self.tile = build(spec.tile.model_copy(update={"in_channels": spec.in_channels + spec.scout.out_channels}))

    def channels_last(self, on: bool = True) -> Self:
        """Store the weights of both networks channels-last, or plain again."""
        self.scout.channels_last(on)
        self.tile.channels_last(on)
        return self

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits of the inside `(B, K, z - 2 * context, ...)`, or a list, finest first, while training deeply."""
        inside = [n - 2 * side for n, side in zip(x.shape[2:], self.spec.context, strict=True)]
        field = self._padded(x, inside)
        features = self.scout(F.avg_pool3d(field, self.spec.shrink))
        assert isinstance(features, Tensor)
        wide = [-(-n // step) * step for n, step in zip(inside, self.spec.shrink, strict=True)]
        seen = F.interpolate(self._centre(features, wide, coarse=True), size=wide, mode="trilinear")
        joined = torch.cat([self._centre(x, inside), self._cut(seen, inside).to(x.dtype)], dim=1)
        result: Tensor | list[Tensor] = self.tile(joined)
        return result

    def _padded(self, x: Tensor, inside: list[int]) -> Tensor:
        """Zeros on the far faces until the reduction divides every length."""
        missing = [-n % step for n, step in zip(inside, self.spec.shrink, strict=True)]
        return F.pad(x, [edge for m in reversed(missing) for edge in (0, m)]) if any(missing) else x

    def _centre(self, x: Tensor, size: list[int], *, coarse: bool = False) -> Tensor:
        """The part over the inside, on the full or the coarse grid."""
        for axis, (length, side, step) in enumerate(zip(size, self.spec.surround, self.spec.shrink, strict=True)):
            by = step if coarse else 1
            x = x.narrow(axis + 2, side // by, length // by)
        return x

    def _cut(self, x: Tensor, size: list[int]) -> Tensor:
        return x[:, :, : size[0], : size[1], : size[2]]
