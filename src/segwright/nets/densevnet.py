"""Dense V-Net (Gibson et al. 2018) and the progressive PDV-Net (Imran et al. 2019): stacks of few, reused features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segwright.core.errors import PlanError, RecipeError
from segwright.core.plan import NetSpec, Triple
from segwright.nets.blocks import Style, choose, fit, initialise, linear_mode, operator
from segwright.nets.execution import recomputed
from segwright.nets.unet import check_levels

#: Features of the first convolution and of each step down, in both networks.
ENTRY = 24
GROWTH, LAYERS, SKIPS = (4, 8, 16), (5, 10, 10), (12, 24, 24)


def dense_vnet(
    spec: NetSpec,
    *,
    growth: Sequence[int] = GROWTH,
    layers: Sequence[int] = LAYERS,
    skips: Sequence[int] = SKIPS,
    dropout: float = 0.0,
) -> DenseVNet:
    """Dense V-Net after Gibson et al. 2018, with the layers of the released NiftyNet code.

    The whole network works at the resolution of the specification's second level and below: one dense stack a level,
    whose skip connections are enlarged to the second level, joined and turned into logits, which are interpolated to
    the image. Strides, kernels, norm and channels come from the specification; its widths and blocks do not apply,
    since a dense stack is as wide as `growth` and `layers` make it.

    Args:
        spec: Two levels or more.
        growth: New features a layer, one number a stack; further stacks repeat the last number here and below.
        layers: Layers a stack.
        skips: Features of each skip connection.
        dropout: Share of features dropped after the activations, except the last of a stack (0.5 at its source).

    Raises:
        PlanError: Levels that do not fit together, or a single level.
        RecipeError: A number that is not positive, or a dropout outside `[0, 1)`.
    """
    style = Style(spec.spatial_dims, spec.norm, "relu")
    return DenseVNet(spec, Flavour(style, _checked(dropout), slopes=False), Counts.checked(growth, layers, skips))


def pdv_net(
    spec: NetSpec,
    *,
    growth: Sequence[int] = GROWTH,
    layers: Sequence[int] = LAYERS,
    skips: Sequence[int] = SKIPS,
    dropout: float = 0.0,
    progress: str = "concat",
) -> PDVNet:
    """Progressive dense V-network after Imran et al. 2019 (arXiv 1902.06362): one result a stack, each the better.

    Arguments as for `dense_vnet`, with PReLU instead of ReLU, dropout before the norms of the stacks alone, and no
    image beside the skip connections. With deep supervision the results are returned last (best) first: the last at
    the image's size, the others at the second level's.

    Args:
        spec: Two levels or more.
        growth: `(4, 8, 16)` as in Dense V-Net or `(4, 6, 8)` as seed 1 has it.
        layers: Layers a stack.
        skips: Features of each skip connection.
        dropout: Share of features dropped in the stacks.
        progress: `concat` convolves the first m skip connections together for result m; `add` adds to result m - 1
            a convolution of skip connection m alone, as progressive holistically nested networks do.

    Raises:
        PlanError: Levels that do not fit together, or a single level.
        RecipeError: An unknown word, a number that is not positive, or a dropout outside `[0, 1)`.
    """
    style = Style(spec.spatial_dims, spec.norm)
    flavour = Flavour(style, _checked(dropout), slopes=True)
    add = choose("progress", progress, ("concat", "add")) == "add"
    return PDVNet(spec, flavour, Counts.checked(growth, layers, skips), add=add)


def _checked(dropout: float) -> float:
    if not 0 <= dropout < 1:
        raise RecipeError("Dropout is a share of features.", expected="0 or more, below 1", got=dropout)
    return dropout


@dataclass(frozen=True, slots=True)
class Counts:
    """Growth, layers and skip features a stack."""

    growth: tuple[int, ...]
    layers: tuple[int, ...]
    skips: tuple[int, ...]

    @classmethod
    def checked(cls, growth: Sequence[int], layers: Sequence[int], skips: Sequence[int]) -> Counts:
        """The three lists, none empty and all positive."""
        for name, numbers in (("growth", growth), ("layers", layers), ("skips", skips)):
            if not numbers or min(numbers) < 1:
                raise RecipeError(
                    f"Network parameter {name!r} is not valid.", expected="positive numbers", got=list(numbers)
                )
        return cls(tuple(growth), tuple(layers), tuple(skips))

    def at(self, stack: int) -> tuple[int, int, int]:
        """Growth, layers and skip features of a stack; the last numbers serve all further ones."""
        growth, layers, skips = (row[min(stack, len(row) - 1)] for row in (self.growth, self.layers, self.skips))
        return growth, layers, skips


@dataclass(frozen=True, slots=True)
class Flavour:
    """How a layer looks: ReLU then dropout (Dense V-Net), or dropout, norm and a slope a channel (PDV-Net)."""

    style: Style
    dropout: float
    slopes: bool

    def layer(
        self, inputs: int, outputs: int, kernel: Triple, *, stride: Triple = (1, 1, 1), drop: bool
    ) -> nn.Sequential:
        """A convolution that covers its stride, norm, activation, and dropout if there is any."""
        edges = _covering(kernel, stride)
        convolution = self.style.convolve(inputs, outputs, edges, stride)
        dropout = [nn.Dropout(self.dropout)] if drop and self.dropout else []
        norm = self.style.normalise(outputs)
        if self.slopes:
            return nn.Sequential(convolution, *dropout, norm, nn.PReLU(outputs))
        return nn.Sequential(convolution, norm, self.style.activate(), *dropout)

    def stem(self, inputs: int, kernel: Triple, stride: Triple) -> nn.Sequential:
        """The first convolution, 5 wide where the plan's is 3; Dense V-Net has no activation here."""
        edges = _covering(kernel, stride, least=5)
        first = self.style.convolve(inputs, ENTRY, edges, stride)
        slopes = [nn.PReLU(ENTRY)] if self.slopes else []
        return nn.Sequential(first, self.style.normalise(ENTRY), *slopes)


def _covering(kernel: Triple, stride: Triple, least: int = 3) -> Triple:
    """Odd and at least `least` along axes that are strided or convolved across, so that no voxel is skipped."""
    z, y, x = (
        max(edge, least, step | 1) if max(edge, step) > 1 else 1 for edge, step in zip(kernel, stride, strict=True)
    )
    return (z, y, x)


class Pool(nn.Module):
    """Mean of 3 voxels around every second one (of a stride of 2); voxels beyond the border do not count."""

    def __init__(self, stride: tuple[int, ...]) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, ...)` to the same in float32 at lengths divided by the stride."""
        pool = F.avg_pool2d if len(self.stride) == 2 else F.avg_pool3d
        edges = tuple(step | 1 for step in self.stride)
        padding = tuple(edge // 2 for edge in edges)
        return pool(x.float(), edges, self.stride, padding, count_include_pad=False)


class DenseStack(nn.Module):
    """Layers of which each sees the input and all layers before it; the result is the input and all of them."""

    def __init__(self, flavour: Flavour, inputs: int, kernel: Triple, *, growth: int, layers: int) -> None:
        super().__init__()
        drops = [flavour.slopes or index < layers - 1 for index in range(layers)]
        self.layers = nn.ModuleList(
            flavour.layer(inputs + index * growth, growth, kernel, drop=drop) for index, drop in enumerate(drops)
        )
        self.outputs = inputs + layers * growth

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs, ...)` to `(B, inputs + layers * growth, ...)`, oldest features first."""
        for layer in self.layers:
            x = torch.cat((x, layer(x)), dim=1)
        return x


class DenseTrunk(nn.Module):
    """What both networks share: image to skip connections, one a dense stack.

    Attributes:
        stem, pool: The two branches that bring the image to the second level.
        stacks, skips, downs: One a stack, finest first; the coarsest stack has no step down.
    """

    def __init__(self, spec: NetSpec, flavour: Flavour, counts: Counts) -> None:
        super().__init__()
        check_levels(spec)
        _check_stacks(spec)
        dims, inputs = spec.spatial_dims, spec.in_channels * max(1, spec.slab)
        self.checkpointing, self.deep_supervision = spec.checkpointing, spec.deep_supervision
        self.mode = linear_mode(dims)
        self.stem = flavour.stem(inputs, spec.kernels[0], spec.strides[1])
        self.pool = nn.Sequential(Pool(fit(spec.strides[1], dims)), flavour.style.normalise(inputs))
        self.stacks, self.skips, self.downs = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.widths: list[int] = []
        entry = inputs + ENTRY
        for index, kernel in enumerate(spec.kernels[1:]):
            growth, layers, width = counts.at(index)
            stack = DenseStack(flavour, entry, kernel, growth=growth, layers=layers)
            self.stacks.append(stack)
            self.skips.append(flavour.layer(stack.outputs, width, kernel, drop=not flavour.slopes))
            self.widths.append(width)
            if index + 2 < len(spec.strides):
                stride, below = spec.strides[index + 2], spec.kernels[index + 2]
                down = flavour.layer(stack.outputs, ENTRY, below, stride=stride, drop=not flavour.slopes)
                self.downs.append(down)
                entry = ENTRY

    def encode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The pooled image and the skip connections at their own resolutions, finest first."""
        features = self.stem(x)
        pooled = self.pool(x).to(features.dtype)
        features, found = torch.cat((pooled, features), dim=1), []
        for index, stack in enumerate(self.stacks):
            features = recomputed(stack, features) if self.checkpointing else stack(features)
            found.append(self.skips[index](features))
            if index < len(self.downs):
                features = self.downs[index](features)
        return pooled, found

    def resize(self, x: Tensor, like: Tensor) -> Tensor:
        """Linear interpolation to the size of another tensor."""
        if x.shape[2:] == like.shape[2:]:
            return x
        return F.interpolate(x, size=like.shape[2:], mode=self.mode, align_corners=False)


class DenseVNet(DenseTrunk):
    """Dense stacks whose skip connections and pooled image are convolved together, once.

    Attributes:
        heads: The head, then with deep supervision one on each coarser skip connection (not in the source).
    """

    def __init__(self, spec: NetSpec, flavour: Flavour, counts: Counts) -> None:
        super().__init__(spec, flavour, counts)
        inputs = spec.in_channels * max(1, spec.slab)
        entries = [inputs + sum(self.widths), *(self.widths[1:] if spec.deep_supervision else ())]
        self.heads = nn.ModuleList(_head(spec, entry) for entry in entries)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits at the input's size; while training with deep supervision a list, finest first."""
        pooled, skips = self.encode(x)
        merged = torch.cat([pooled, *(self.resize(skip, pooled) for skip in skips)], dim=1)
        logits = self.resize(self.heads[0](merged), x)
        if not (self.training and self.deep_supervision):
            return logits
        coarser = zip(self.heads[1:], skips[1:], strict=True)
        return [logits, *(head(skip) for head, skip in coarser)]


class PDVNet(DenseTrunk):
    """Dense stacks of which each improves the result of those before.

    Attributes:
        heads: One a result, first to last; without deep supervision and without sums the last alone.
    """

    def __init__(self, spec: NetSpec, flavour: Flavour, counts: Counts, *, add: bool) -> None:
        super().__init__(spec, flavour, counts)
        self.add = add
        entries = self.widths if add else [sum(self.widths[: index + 1]) for index in range(len(self.widths))]
        kept = entries if add or spec.deep_supervision else entries[-1:]
        self.heads = nn.ModuleList(_head(spec, entry) for entry in kept)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits at the input's size; while training with deep supervision a list, last first."""
        pooled, found = self.encode(x)
        skips = [self.resize(skip, pooled) for skip in found]
        supervise = self.training and self.deep_supervision
        if self.add:
            results = self._summed(skips)
        elif supervise:
            results = [head(torch.cat(skips[: index + 1], dim=1)) for index, head in enumerate(self.heads)]
        else:
            results = [self.heads[-1](torch.cat(skips, dim=1))]
        logits = self.resize(results[-1], x)
        return [logits, *reversed(results[:-1])] if supervise else logits

    def _summed(self, skips: list[Tensor]) -> list[Tensor]:
        """Results first to last, each the one before plus what its own skip connection adds."""
        results = [self.heads[0](skips[0])]
        for head, skip in zip(self.heads[1:], skips[1:], strict=True):
            results.append(results[-1] + head(skip))
        return results


def _head(spec: NetSpec, inputs: int) -> nn.Module:
    kernel = fit(_covering(spec.kernels[1], (1, 1, 1)), spec.spatial_dims)
    padding = [edge // 2 for edge in kernel]
    layer: nn.Module = operator("conv", spec.spatial_dims)(inputs, spec.out_channels, kernel, padding=padding)
    return layer


def _check_stacks(spec: NetSpec) -> None:
    if len(spec.widths) < 2:
        raise PlanError(
            f"Network {spec.name!r} has its dense stacks below full resolution.",
            expected="at least 2 levels",
            got=len(spec.widths),
            hint="Use a larger patch or set levels to 4.",
        )
