"""What a network sees beside its patch: slices above and below, and a wide, coarse field around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segwright.core.errors import GeometryError, PlanError
from segwright.core.plan import NetSpec


class SlabNet(nn.Module):
    """Fold depth away as the slab asks, pad to lengths the network accepts, and undo both.

    Zeros are padded on the far faces, as at the border of every convolution. Rows and columns are padded to twice
    the divisor at least, so that the coarsest level never shrinks to one voxel: norms have no variance there, and
    strided convolutions of one voxel get a wrong bfloat16 weight gradient on CPUs (torch 2.13).

    Args:
        net: Takes `(B, C * max(1, slab), [z,] y, x)`; returns logits of the same size, or a list of them (finest
            first) of sizes divided by strides.
        spec: Its specification.

    Attributes:
        layout: Memory layout of the weights and of the folded input.
    """

    def __init__(self, net: nn.Module, spec: NetSpec) -> None:
        super().__init__()
        if spec.slab and spec.slab % 2 == 0:
            raise PlanError("A slab has a centre slice.", expected="0 or an odd number", got=spec.slab)
        self.net, self.spec = net, spec
        self.layout = torch.contiguous_format

    def channels_last(self, on: bool = True) -> Self:
        """Store weights channels-last (or plain again), which batch-norm networks in bfloat16 run fastest in."""
        last = torch.channels_last_3d if self.spec.slab == 0 else torch.channels_last
        self.layout = last if on else torch.contiguous_format
        self.net.to(memory_format=self.layout)  # type: ignore[call-overload]  # torch's stub forgets this one
        return self

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Image `(B, C, z, y, x)` to logits `(B, K, z_out, y, x)`, or a list, finest first, while training deeply.

        Coarser logits of a padded input keep the voxels that touch the input.
        """
        size = self._predicted(x)
        folded = self._pad(self._fold(x)).contiguous(memory_format=self.layout)
        result = self.net(folded)
        if isinstance(result, list):
            return [self._unfold(self._crop(part, size, folded), size[0]) for part in result]
        return self._unfold(self._crop(result, size, folded), size[0])

    def _predicted(self, x: Tensor) -> tuple[int, int, int]:
        z, y, x_length = x.shape[2:]
        depth = z - 2 * self.spec.context[0]
        if depth < 1:
            raise GeometryError(
                f"A slab of {self.spec.slab} slices needs as many.", got=f"{z} slices", hint="Pad the depth."
            )
        return depth, y, x_length

    def _fold(self, x: Tensor) -> Tensor:
        """`(B, C, z, y, x)` to what the network sees; nothing is copied where one slice stands alone."""
        if self.spec.slab == 0:
            return x
        if x.shape[2] == self.spec.slab:
            return x.flatten(1, 2)
        windows = x.unfold(2, self.spec.slab, 1).movedim((2, 5), (1, 3))
        return windows.flatten(2, 3).flatten(0, 1)

    def _unfold(self, y: Tensor, depth: int) -> Tensor:
        if self.spec.slab == 0:
            return y
        return y.unflatten(0, (-1, depth)).transpose(1, 2)

    def _pad(self, x: Tensor) -> Tensor:
        divisor = self.spec.divisor[3 - self.spec.spatial_dims :]
        least = [divisor[0], *(2 * d for d in divisor[1:])] if len(divisor) == 3 else [2 * d for d in divisor]
        wanted = [max(m, -(-n // d) * d) for n, d, m in zip(x.shape[2:], divisor, least, strict=True)]
        missing = [w - n for w, n in zip(wanted, x.shape[2:], strict=True)]
        if not any(missing):
            return x
        return F.pad(x, [edge for m in reversed(missing) for edge in (0, m)])

    def _crop(self, y: Tensor, size: tuple[int, int, int], folded: Tensor) -> Tensor:
        """The part of full-size or coarser logits that covers the unpadded input."""
        dims = self.spec.spatial_dims
        for axis, (length, padded) in enumerate(zip(size[3 - dims :], folded.shape[2:], strict=True), start=2):
            kept = -(-length * y.shape[axis] // padded)
            y = y.narrow(axis, 0, kept)
        return y


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
