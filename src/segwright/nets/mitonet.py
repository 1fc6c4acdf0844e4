"""Residual U-Nets for anisotropic electron microscopy, whose depth is never shrunk: one decoder (R) or two (H).

Li et al. 2021 (arXiv 2104.07961), after Lee et al. 2017 (arXiv 1706.00120). As built here they go beyond their source
in that strides may also shrink depth, levels may be any number, and all of it works in two dimensions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segwright.core.plan import NetSpec, Triple
from segwright.nets.blocks import Decoder, Ladder, Style, choose, fit, initialise, linear_mode, operator
from segwright.nets.unet import check_levels, heads

#: Kernel of the embedding and of the finest head of R.
BROAD: Triple = (1, 5, 5)


def res_unet_r(spec: NetSpec, *, normalise: bool = False, unused: bool = False) -> nn.Module:
    """Res-UNet-R: anisotropic blocks, strided steps down, sums with the way down, borders replicated.

    Args:
        spec: `encoder_blocks` and `decoder_blocks` count anisotropic blocks a level (1 in the source).
        normalise: Put `spec.norm` behind each convolution; the source has no norm, and then `spec.norm` says nothing.
        unused: Also keep the weights that the published code makes but never lets reach its output. They learn
            nothing; only the count of parameters needs them.
    """
    net = _residual(spec, normalise, outputs=(spec.out_channels,))
    return Idle(net, spec) if unused else net


def res_unet_h(spec: NetSpec, *, reading: str = "official", normalise: bool = False) -> Ladder:
    """Res-UNet-H: one decoder for objects and one for their boundary, over a shared encoder.

    The last output channel (the boundary) comes from the second decoder, all others from the first; a single channel
    needs the first alone.

    Args:
        spec: As for `res_unet_r`.
        reading: `official` follows the published code: partial convolutions, maximum pooling, zeros beyond borders.
            `blog` follows descriptions of the paper: Res-UNet-R with a second decoder.
        normalise: As for `res_unet_r`.
    """
    choose("reading", reading, ("official", "blog"))
    outputs = (spec.out_channels - 1, 1) if spec.out_channels > 1 else (1,)
    if reading == "blog":
        return _residual(spec, normalise, outputs=outputs)
    return _symmetric(spec, normalise, outputs=outputs)


@dataclass(frozen=True, slots=True)
class Layers:
    """How this family convolves: with bias, then a norm if any, then ELU.

    Attributes:
        dims: Spatial axes, 2 or 3.
        norm: Kind of norm; empty for none.
        replicate: Beyond borders lie the nearest voxels instead of zeros.
    """

    dims: int
    norm: str
    replicate: bool

    def convolve(self, inputs: int, outputs: int, kernel: Triple, stride: Triple = (1, 1, 1)) -> list[nn.Module]:
        """A convolution that keeps size (divided by stride), and its norm."""
        size, step = fit(kernel, self.dims), fit(stride, self.dims)
        edges = tuple(edge // 2 for edge in size)
        padded = self.replicate and any(edges)
        convolution = operator("conv", self.dims)(inputs, outputs, size, step, 0 if padded else edges)
        norm = [Style(self.dims, self.norm).normalise(outputs)] if self.norm else []
        return [*([Replicate(edges)] if padded else []), convolution, *norm]

    def activated(self, inputs: int, outputs: int, kernel: Triple, stride: Triple = (1, 1, 1)) -> nn.Sequential:
        """The same, then ELU."""
        return nn.Sequential(*self.convolve(inputs, outputs, kernel, stride), nn.ELU(inplace=True))


class Replicate(nn.Module):
    """Grow each axis by `edges` voxels a side, copies of the nearest ones."""

    def __init__(self, edges: tuple[int, ...]) -> None:
        super().__init__()
        self.edges = [edge for axis in reversed(edges) for edge in (axis, axis)]

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, ...)` to the same, grown."""
        return F.pad(x, self.edges, mode="replicate")


class AnisotropicBlock(nn.Module):
    """A convolution in the plane, then two in all axes beside a short cut: `a = elu(f(x))`, `elu(h(elu(g(a))) + a)`.

    Args:
        kernel: Of the two; the first has the same edges in the plane and 1 in depth.
        project: The short cut is a convolution of one voxel instead of the identity.
    """

    def __init__(self, layers: Layers, inputs: int, outputs: int, *, kernel: Triple, project: bool = False) -> None:
        super().__init__()
        self.entry = layers.activated(inputs, outputs, flat(kernel))
        pair = [*layers.activated(outputs, outputs, kernel), *layers.convolve(outputs, outputs, kernel)]
        self.pair = nn.Sequential(*pair)
        self.shortcut = nn.Sequential(*(layers.convolve(outputs, outputs, (1, 1, 1)) if project else ()))

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs, ...)` to `(B, outputs, ...)`."""
        x = self.entry(x)
        return F.elu(self.pair(x) + self.shortcut(x))


class PartialConv(nn.Module):
    """A zero-padded convolution that is scaled up where part of its kernel lies outside (Liu et al. 2018).

    Among an image without holes this is what partial convolutions (arXiv 1804.07723) come down to.
    """

    def __init__(self, dims: int, inputs: int, outputs: int, *, kernel: Triple) -> None:
        super().__init__()
        self.size = fit(kernel, dims)
        self.weigh = operator("conv", dims)(
            inputs, outputs, self.size, 1, tuple(edge // 2 for edge in self.size), bias=False
        )
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs, ...)` to `(B, outputs, ...)` of the same size."""
        y: Tensor = self.weigh(x)
        share = y.new_ones(())
        for edge, length in zip(self.size, x.shape[2:], strict=True):
            inside = F.conv1d(y.new_ones(1, 1, length), y.new_ones(1, 1, edge), padding=edge // 2)
            share = share.unsqueeze(-1) * (edge / inside.flatten())
        return y * share + self.bias.to(y.dtype).reshape(-1, *[1] * len(self.size))


class Sum(nn.Module):
    """Bring coarse features to a skip connection's width and size, and add the two.

    The projection runs at the coarse size, which is cheap and, before any activation, the same as after interpolation.

    Args:
        late: ELU follows the sum, and not the projection.
    """

    def __init__(self, layers: Layers, coarse: int, fine: int, *, late: bool) -> None:
        super().__init__()
        self.mode, self.late = linear_mode(layers.dims), late
        self.project = nn.Sequential(*layers.convolve(coarse, fine, (1, 1, 1)))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Coarse `(B, coarse, ...)` and skip `(B, fine, ...)` to `(B, fine, ...)` at the size of the skip."""
        x = self.project(x)
        if self.late:
            return F.elu(F.interpolate(x, size=skip.shape[2:], mode=self.mode, align_corners=False) + skip)
        return F.interpolate(F.elu(x), size=skip.shape[2:], mode=self.mode, align_corners=False) + skip


class Idle(nn.Module):
    """Res-UNet-R with the published code's idle weights: projections of all blocks but the centre, middle convolutions.

    Their gradient is zero instead of none, so that whatever walks over all parameters may count on it.
    """

    def __init__(self, net: Ladder, spec: NetSpec) -> None:
        super().__init__()
        self.net, self.idle = net, nn.ModuleList()
        conv, sides = operator("conv", spec.spatial_dims), len(spec.widths) - 1
        for level, width in enumerate(spec.widths[:-1]):
            blocks = spec.encoder_blocks[level] + spec.decoder_blocks[level]
            self.idle.extend(conv(width, width, 1) for _ in range(blocks))
            if 0 < level < sides:
                self.idle.append(conv(width, width, fit(flat(spec.kernels[level]), spec.spatial_dims)))

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """The network's own result."""
        result: Tensor | list[Tensor] = self.net(x)
        if not self.training:
            return result
        nothing = sum(0 * parameter.sum() for parameter in self.idle.parameters())
        return [part + nothing for part in result] if isinstance(result, list) else result + nothing


def flat(kernel: Triple) -> Triple:
    """A kernel's part in the plane."""
    return (1, *kernel[1:])


def _residual(spec: NetSpec, normalise: bool, *, outputs: tuple[int, ...]) -> Ladder:
    """Res-UNet-R with one decoder for each entry of `outputs`."""
    check_levels(spec)
    layers = Layers(spec.spatial_dims, spec.norm if normalise else "", replicate=True)
    inputs = spec.in_channels * max(1, spec.slab)
    start = layers.activated(inputs, spec.widths[0], BROAD)
    steps = [
        layers.activated(above, above, _stepping(spec, level), spec.strides[level])
        for level, above in enumerate(spec.widths[:-1], start=1)
    ]
    decoders = [_decoder(layers, spec, count, late=False, head=BROAD) for count in outputs]
    middle = [layers.activated(spec.widths[0], spec.widths[0], flat(spec.kernels[0]))] if spec.decoder_blocks else []
    net = Ladder(spec, _encoder(layers, spec, [start, *steps], project=True), decoders, skips=middle)
    for part in net.modules():
        if isinstance(part, operator("conv", layers.dims)):
            nn.init.orthogonal_(part.weight)  # type: ignore[arg-type]
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]
    return net


def _symmetric(spec: NetSpec, normalise: bool, *, outputs: tuple[int, ...]) -> Ladder:
    """Res-UNet-H as published, with one decoder for each entry of `outputs`."""
    check_levels(spec)
    layers = Layers(spec.spatial_dims, spec.norm if normalise else "", replicate=False)
    width, entries = spec.widths[0], (spec.in_channels * max(1, spec.slab), spec.widths[0])
    start = nn.Sequential()
    for entry in entries:
        start.append(PartialConv(layers.dims, entry, width, kernel=spec.kernels[0]))
        start.append(nn.ELU(inplace=True))
    pools = [operator("max_pool", layers.dims)(fit(stride, layers.dims)) for stride in spec.strides[1:]]
    decoders = [_decoder(layers, spec, count, late=True, head=flat(spec.kernels[0])) for count in outputs]
    net = Ladder(spec, _encoder(layers, spec, [start, *pools], project=False), decoders)
    initialise(net)
    for part in net.modules():
        if isinstance(part, AnisotropicBlock) and not normalise:  # else logits begin in the hundreds
            nn.init.zeros_(part.pair[-1].weight)  # type: ignore[arg-type]
    return net


def _stepping(spec: NetSpec, level: int) -> Triple:
    """Kernel of a step down: it reaches beyond its own voxel on every axis that shrinks, else only in the plane."""
    own = flat(spec.kernels[level - 1])
    z, y, x = (max(3, edge) if step > 1 else edge for edge, step in zip(own, spec.strides[level], strict=True))
    return (z, y, x)


def _encoder(layers: Layers, spec: NetSpec, entries: list[nn.Module], *, project: bool) -> Iterator[nn.Module]:
    """A stage a level: how the level is entered, then its blocks; only the coarsest may project its short cuts."""
    inputs = spec.widths[0]
    for level, (entry, width) in enumerate(zip(entries, spec.widths, strict=True)):
        widths = [inputs, *[width] * spec.encoder_blocks[level]]
        centre = project and level == len(entries) - 1
        blocks = [
            AnisotropicBlock(layers, before, after, kernel=spec.kernels[level], project=centre)
            for before, after in itertools.pairwise(widths)
        ]
        yield nn.Sequential(entry, *blocks)
        inputs = width


def _decoder(layers: Layers, spec: NetSpec, outputs: int, *, late: bool, head: Triple) -> Decoder:
    joins = [Sum(layers, coarse, fine, late=late) for fine, coarse in itertools.pairwise(spec.widths)]
    stages = [
        nn.Sequential(*(AnisotropicBlock(layers, width, width, kernel=kernel) for _ in range(count)))
        for count, width, kernel in zip(spec.decoder_blocks, spec.widths, spec.kernels, strict=False)
    ]
    plain = Layers(layers.dims, "", layers.replicate)
    kernels = [head, *[(1, 1, 1)] * (heads(spec) - 1)]
    last = [
        nn.Sequential(*plain.convolve(width, outputs, kernel))
        for width, kernel in zip(spec.widths, kernels, strict=False)
    ]
    return Decoder(joins, stages, last, spec=spec)
