"""Four U-Nets for tumours in liver MRI, from dense 3-D to slabs of three slices, as one builder with choices.

Xia and Jing, course project "MR Image Segmentation", Tsinghua University; released code: SegMRI. Where report and code
differ, the code is the default (`plan="released"`) and `plan="report"` is a network that has the size the report names.

The hybrid labels every slice of its slab of three. In terms of a specification it is therefore a network of three
dimensions (`slab=0`; a `slab` of three would label the middle slice alone) whose strides leave depth as it is, trained
on patches and predicted in windows of three slices. Windows overlap in depth, so each slice is predicted as first,
middle and last of a slab, and the blending of windows averages the three.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segwright.core.errors import RecipeError
from segwright.core.plan import NetSpec, Triple
from segwright.nets.blocks import Decoder, Ladder, Style, choose, fit, initialise, linear_mode, operator
from segwright.nets.unet import check_levels, heads

LEAK = 0.1
POINT: Triple = (1, 1, 1)
CUBE: Triple = (5, 5, 5)
#: Kernel of the hybrid's fusions and head, which look at neighbouring slices only.
COLUMN: Triple = (3, 1, 1)


def segmri_unet(spec: NetSpec, *, plan: str = "released", dropout: float = 0.0) -> Ladder:
    """3D-UNet: `spec.encoder_blocks` convolutions a level, maximum pooling, transposed convolutions.

    Args:
        spec: Two convolutions a level in the source.
        plan: `report` adds a convolution of 5 voxels at the start, transposed convolutions that keep all channels,
            and one of 1 voxel that fuses them with the skip connection.
        dropout: Share of features dropped before the last convolution while training.

    Raises:
        RecipeError: Another plan, or a dropout that is no share.
    """
    report = _reported(plan)
    if not 0 <= dropout < 1:
        raise RecipeError("Network parameter 'dropout' is not valid.", expected="0 to below 1", got=dropout)
    choices = Choices(stem=CUBE if report else None, keep=report, fusion=POINT if report else None, dropout=dropout)
    return _ladder(spec, choices)


def segmri_simple(spec: NetSpec, *, plan: str = "released") -> Ladder:
    """SimplifiedUNet: one convolution a level after one of 5 voxels, and nearest neighbours on the way up.

    Args:
        spec: One convolution a level in the source.
        plan: `report` adds a convolution of 1 voxel that fuses coarse features with the skip connection.
    """
    return _ladder(spec, Choices(stem=CUBE, up="nearest", fusion=POINT if _reported(plan) else None))


def segmri_unet_2d(spec: NetSpec, *, plan: str = "released") -> Ladder:
    """2D-UNet: one convolution a level and transposed convolutions.

    Args:
        spec: One convolution a level in the source.
        plan: `report` begins with a convolution of 5 pixels and interpolates linearly on the way up.
    """
    return _ladder(spec, Choices(stem=CUBE, up="linear") if _reported(plan) else Choices())


def segmri_hybrid(spec: NetSpec) -> Ladder:
    """HybridUNetX: pre-activated residual blocks and strided convolutions on slabs of three slices, all labelled.

    Args:
        spec: Counts residual blocks a level: one in the source, three on the coarsest.
    """
    stem: Triple = (3, 5, 5)
    return _ladder(spec, Choices(stem=stem, residual=True, down="conv", up="linear", fusion=COLUMN, head=COLUMN))


@dataclass(frozen=True, slots=True)
class Choices:
    """What sets the four networks apart; kernels shrink to 1 along axes where the level's kernel is 1.

    Attributes:
        stem: Kernel of a convolution before the first block, if any.
        residual: Pre-activated residual blocks instead of convolution, norm, activation.
        down: `pool` (maximum) or `conv` (strided).
        up: `transpose`, `nearest` or `linear`.
        keep: Transposed convolutions keep the coarse channels, instead of as many as the finer level has.
        fusion: Kernel of a convolution that reduces joined features to the level's channels, if any.
        head: Kernel of the last convolution.
        dropout: Share of features dropped before it while training.
    """

    stem: Triple | None = None
    residual: bool = False
    down: str = "pool"
    up: str = "transpose"
    keep: bool = False
    fusion: Triple | None = None
    head: Triple = POINT
    dropout: float = 0.0


@dataclass(frozen=True, slots=True)
class Layers:
    """How this family convolves: always with bias; norm and activation stand beside it."""

    dims: int
    norm: str

    def convolve(self, inputs: int, outputs: int, kernel: Triple, stride: Triple = POINT) -> nn.Module:
        """A convolution that keeps size (divided by stride)."""
        size = fit(kernel, self.dims)
        edges = tuple(edge // 2 for edge in size)
        layer: nn.Module = operator("conv", self.dims)(inputs, outputs, size, fit(stride, self.dims), edges)
        return layer

    def rise(self, inputs: int, outputs: int, kernel: Triple, stride: Triple) -> nn.Module:
        """A transposed convolution that multiplies sizes by the stride exactly."""
        size, step = fit(kernel, self.dims), fit(stride, self.dims)
        edges, rest = tuple(edge // 2 for edge in size), tuple(s - 1 for s in step)
        layer: nn.Module = operator("transpose", self.dims)(inputs, outputs, size, step, edges, rest)
        return layer

    def react(self, channels: int) -> list[nn.Module]:
        """Norm and activation."""
        return [Style(self.dims, self.norm).normalise(channels), nn.LeakyReLU(LEAK, inplace=True)]


class PreActivated(nn.Module):
    """Norm, activation, convolution, twice, added to the input (He et al. 2016b, arXiv 1603.05027)."""

    def __init__(self, layers: Layers, width: int, kernel: Triple) -> None:
        super().__init__()
        parts = [[*layers.react(width), layers.convolve(width, width, kernel)] for _ in range(2)]
        self.branch = nn.Sequential(*parts[0], *parts[1])

    def forward(self, x: Tensor) -> Tensor:
        """`(B, width, ...)` to the same."""
        y: Tensor = self.branch(x)
        return y.add_(x)


class Join(nn.Module):
    """Bring coarse features to the size of a skip connection, stack the two, and fuse them if asked to.

    Args:
        raised: Transposed convolution with norm and activation; nothing where features are interpolated.
        mode: Interpolation, `nearest` or `linear`; empty for none.
        fusion: What the stacked features pass.
    """

    def __init__(self, raised: nn.Module, mode: str, fusion: nn.Module) -> None:
        super().__init__()
        self.raised, self.mode, self.fusion = raised, mode, fusion

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Coarse and skip features to joined ones at the size of the skip."""
        x = self.raised(x)
        if self.mode == "linear":
            x = F.interpolate(x, size=skip.shape[2:], mode=linear_mode(skip.ndim - 2), align_corners=False)
        elif self.mode:
            x = F.interpolate(x, size=skip.shape[2:], mode=self.mode)
        joined: Tensor = self.fusion(torch.cat((skip, x), dim=1))
        return joined


def _reported(plan: str) -> bool:
    return choose("plan", plan, ("released", "report")) == "report"


def _ladder(spec: NetSpec, choices: Choices) -> Ladder:
    check_levels(spec)
    layers = Layers(spec.spatial_dims, spec.norm)
    joins = [_join(layers, spec, choices, level) for level in range(len(spec.decoder_blocks))]
    stages = [_blocks(layers, spec, choices, level, entry) for level, (_, entry) in enumerate(joins)]
    decoder = Decoder([join for join, _ in joins], stages, _heads(layers, spec, choices), spec=spec)
    net = Ladder(spec, _encoder(layers, spec, choices), [decoder])
    initialise(net)
    return net


def _encoder(layers: Layers, spec: NetSpec, choices: Choices) -> Iterator[nn.Module]:
    width = spec.in_channels * max(1, spec.slab)
    for level, after in enumerate(spec.widths):
        entry: list[nn.Module] = []
        if level == 0 and choices.stem:
            entry.append(layers.convolve(width, after, _within(choices.stem, spec.kernels[0])))
            width = after
        elif level and choices.down == "conv":
            entry.append(layers.convolve(width, after, _stepping(spec, level), spec.strides[level]))
            width = after
        elif level:
            entry.append(operator("max_pool", layers.dims)(fit(spec.strides[level], layers.dims)))
        blocks = _stage(layers, choices, [width, *[after] * spec.encoder_blocks[level]], spec.kernels[level])
        yield nn.Sequential(*entry, *blocks)
        width = after


def _blocks(layers: Layers, spec: NetSpec, choices: Choices, level: int, entry: int) -> nn.Module:
    widths = [entry, *[spec.widths[level]] * spec.decoder_blocks[level]]
    return nn.Sequential(*_stage(layers, choices, widths, spec.kernels[level]))


def _stage(layers: Layers, choices: Choices, widths: list[int], kernel: Triple) -> Iterator[nn.Module]:
    """One block for each neighbouring pair of widths."""
    for before, after in itertools.pairwise(widths):
        if choices.residual:
            yield PreActivated(layers, after, kernel)
        else:
            yield nn.Sequential(layers.convolve(before, after, kernel), *layers.react(after))


def _join(layers: Layers, spec: NetSpec, choices: Choices, level: int) -> tuple[nn.Module, int]:
    """How a level is joined with the coarser one, and the channels that come of it."""
    fine, coarse, kernel = spec.widths[level], spec.widths[level + 1], spec.kernels[level]
    raised, mode = nn.Sequential(), choices.up
    if choices.up == "transpose":
        outputs, mode = coarse if choices.keep else fine, ""
        raised = nn.Sequential(layers.rise(coarse, outputs, kernel, spec.strides[level + 1]), *layers.react(outputs))
        coarse = outputs
    if choices.fusion is None:
        return Join(raised, mode, nn.Identity()), fine + coarse
    return Join(raised, mode, layers.convolve(fine + coarse, fine, _within(choices.fusion, kernel))), fine


def _heads(layers: Layers, spec: NetSpec, choices: Choices) -> Iterator[nn.Module]:
    for level in range(heads(spec)):
        last = layers.convolve(spec.widths[level], spec.out_channels, _within(choices.head, spec.kernels[level]))
        yield nn.Sequential(nn.Dropout(choices.dropout), last) if choices.dropout else last


def _within(kernel: Triple, level: Triple) -> Triple:
    """A kernel that does not look along axes which the level's own kernel leaves alone."""
    z, y, x = (edge if own > 1 else 1 for edge, own in zip(kernel, level, strict=True))
    return (z, y, x)


def _stepping(spec: NetSpec, level: int) -> Triple:
    """Kernel of a strided convolution: it reaches beyond its own voxel on every axis that shrinks."""
    pairs = zip(spec.kernels[level], spec.strides[level], strict=True)
    z, y, x = (max(3, edge) if step > 1 else edge for edge, step in pairs)
    return (z, y, x)
