"""One builder for the U-Nets of a spine project: two convolutions a level, residual blocks, squeezing, attention gates.

Ronneberger et al. 2015 (arXiv 1505.04597); He et al. 2016 (arXiv 1512.03385); Hu et al. 2018 (arXiv 1709.01507), with
the order of the authors' code; Oktay et al. 2018 (arXiv 1804.03999), with the equations of the authors' code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segwright.core.errors import RecipeError
from segwright.core.plan import NetSpec, Triple
from segwright.nets.blocks import ConvBlock, Residual, ResidualBlock, Style, Up, choose, fit, linear_mode, operator
from segwright.nets.unet import Choices, Parts, UNet, check_levels, unet, ups

#: Hidden units that squeezing keeps at least: what the authors' ratio of 16 leaves of 64 channels.
LEAST = 4
#: `(style, width, kernel) -> block` that keeps size and width.
Block = Callable[[Style, int, Triple], nn.Module]
#: `(style, spec) -> steps up`, finest first.
Steps = Callable[[Style, NetSpec], Iterator[nn.Module]]


def unet_classic(spec: NetSpec, *, up: str = "transpose", down: str = "pool", activation: str = "relu") -> UNet:
    """The U-Net as first published, with norms: max-pooling, transposed convolutions, stacked skip connections.

    Args:
        spec: `encoder_blocks` and `decoder_blocks` count convolutions, two a level in the original.
        up: `transpose`, `linear` or `nearest`.
        down: `pool` or `conv`.
        activation: `relu` or `leaky`.
    """
    return unet(spec, up=up, down=down, activation=activation)


def res_unet(spec: NetSpec, *, up: str = "transpose", down: str = "pool") -> UNet:
    """A U-Net whose way down has one convolution and then residual blocks on each level, the coarsest included.

    Args:
        spec: `encoder_blocks` counts residual blocks, two a level in the original; `decoder_blocks` convolutions.
        up: `transpose`, `linear` or `nearest`.
        down: `pool`, or `conv` for a strided first convolution.
    """
    return _built(spec, _basic, up=up, down=down)


def res_unet_bottleneck(spec: NetSpec, *, up: str = "transpose", down: str = "pool") -> UNet:
    """As `res_unet` with blocks that convolve at a quarter of the width; arguments as there."""
    return _built(spec, _bottleneck, up=up, down=down)


def se_res_unet(
    spec: NetSpec, *, up: str = "transpose", down: str = "pool", reduction: int = 16, least: int = LEAST
) -> UNet:
    """As `res_unet` with channels weighed by squeeze and excitation before each short cut is added.

    Args:
        spec: As for `res_unet`.
        up: As for `res_unet`.
        down: As for `res_unet`.
        reduction: Width over hidden units.
        least: Hidden units at least, since 1 or 2 of them die easily.
    """
    return _built(spec, _squeezed(reduction, least), up=up, down=down)


def attention_se_res_unet(
    spec: NetSpec,
    *,
    up: str = "transpose",
    reduction: int = 16,
    gates: str = "all",
    inner: str = "half",
    signal: str = "plain",
) -> UNet:
    """As `se_res_unet` with an additive attention gate on skip connections.

    Args:
        spec: As for `res_unet`.
        up: As for `res_unet`.
        reduction: As for `se_res_unet`.
        gates: `all` skip connections, or `coarse`: all but the finest, as in the authors' networks.
        inner: Width inside a gate: `half` the skip connection's (the authors' default) or `full` (their networks).
        signal: What steers the deepest gate: the coarsest features, `plain` or after a `conv` of 1 with norm.
    """
    choose("gates", gates, ("all", "coarse"))
    choose("inner", inner, ("half", "full"))
    choose("signal", signal, ("plain", "conv"))
    gated = partial(_gated, up=up, gates=gates, inner=inner, signal=signal)
    return _built(spec, _squeezed(reduction, LEAST), up=up, down="pool", gated=gated)


class Bottleneck(Residual):
    """A residual block of three convolutions: narrow to a quarter, convolve, widen (He et al. 2016, figure 5)."""

    def __init__(self, style: Style, width: int, *, kernel: Triple) -> None:
        narrow, one = max(1, width // 4), (1, 1, 1)
        first = nn.Sequential(
            *ConvBlock(style, width, narrow, kernel=one), *ConvBlock(style, narrow, narrow, kernel=kernel)
        )
        second = nn.Sequential(style.convolve(narrow, width, one), style.normalise(width))
        super().__init__(first, second, nn.Sequential(), style.activate())


class Squeeze(nn.Module):
    """A weight in (0, 1) for each channel, from the means of all channels (Hu et al. 2018)."""

    def __init__(self, dims: int, width: int, hidden: int) -> None:
        super().__init__()
        conv = operator("conv", dims)
        self.hide, self.show = conv(width, hidden, 1), conv(hidden, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, ...)` to `(B, C, 1, ...)`."""
        means = x.mean(dim=tuple(range(2, x.ndim)), keepdim=True)
        return torch.sigmoid(self.show(F.relu(self.hide(means))))


class SqueezedBlock(ResidualBlock):
    """A residual block whose branch is weighed channel by channel before the short cut is added."""

    def __init__(self, style: Style, width: int, *, kernel: Triple, hidden: int) -> None:
        super().__init__(style, width, width, kernel=kernel)
        self.squeeze = Squeeze(style.dims, width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, ...)` to the same shape."""
        branch = self.second(self.first(x))
        return self.activation(branch * self.squeeze(branch) + self.shortcut(x))


class Gate(nn.Module):
    """Additive attention: weighs each voxel of a skip connection by how well it agrees with coarser features.

    Args:
        style: Of the network; norms and activations of the projection afterwards follow it.
        skip: Channels of the skip connection.
        coarse: Channels of the features from the next coarser level.
        inner: Channels in which the two are added.
        stride: Between the two levels.
    """

    def __init__(self, style: Style, skip: int, coarse: int, *, inner: int, stride: Triple) -> None:
        super().__init__()
        conv, step = operator("conv", style.dims), fit(stride, style.dims)
        self.mode = linear_mode(style.dims)
        self.theta = conv(skip, inner, step, step, bias=False)
        self.phi = conv(coarse, inner, 1)
        self.psi = conv(inner, 1, 1)
        self.project = nn.Sequential(style.convolve(skip, skip, (1, 1, 1)), style.normalise(skip))

    def alpha(self, x: Tensor, g: Tensor) -> Tensor:
        """Weights in [0, 1], `(B, 1, ...)` at the size of `x`.

        Args:
            x: Skip connection.
            g: Coarser features, of the size of `x` over the stride.
        """
        agreed = F.relu(self.theta(x) + self.phi(g))
        coarse = torch.sigmoid(self.psi(agreed))
        return F.interpolate(coarse, size=x.shape[2:], mode=self.mode, align_corners=False)

    def forward(self, x: Tensor, g: Tensor) -> Tensor:
        """The skip connection, weighed and projected."""
        return self.project(self.alpha(x, g) * x)


class GatedUp(nn.Module):
    """A step up that passes its skip connection through a gate first."""

    def __init__(self, up: Up, gate: Gate, signal: nn.Module) -> None:
        super().__init__()
        self.up, self.gate, self.signal = up, gate, signal

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """As `Up`: coarse features and skip connection, joined."""
        return self.up(x, self.gate(skip, self.signal(x)))


def _basic(style: Style, width: int, kernel: Triple) -> nn.Module:
    return ResidualBlock(style, width, width, kernel=kernel)


def _bottleneck(style: Style, width: int, kernel: Triple) -> nn.Module:
    return Bottleneck(style, width, kernel=kernel)


def _squeezed(reduction: int, least: int) -> Block:
    for name, value in (("reduction", reduction), ("least", least)):
        if not isinstance(value, int) or value < 1:
            raise RecipeError(f"Network parameter {name!r} is not valid.", expected="1 or more", got=repr(value))

    def block(style: Style, width: int, kernel: Triple) -> nn.Module:
        return SqueezedBlock(style, width, kernel=kernel, hidden=max(width // reduction, least))

    return block


def _built(spec: NetSpec, block: Block, *, up: str, down: str, gated: Steps | None = None) -> UNet:
    check_levels(spec)
    choices = Choices(up, down, "concat", "relu")
    style = Style(spec.spatial_dims, spec.norm, choices.activation)
    steps = gated(style, spec) if gated else ups(style, spec, mode=up)
    return UNet(spec, style, Parts(_encoder(style, spec, block, pool=down == "pool"), steps))


def _encoder(style: Style, spec: NetSpec, block: Block, *, pool: bool) -> Iterator[nn.Module]:
    inputs = spec.in_channels * max(1, spec.slab)
    for level, width in enumerate(spec.widths):
        stride, kernel = spec.strides[level], spec.kernels[level]
        stage: list[nn.Module] = []
        step = fit(stride, style.dims)
        if pool and max(step) > 1:
            stage.append(operator("max_pool", style.dims)(step, step))
            stride = (1, 1, 1)
        stage.append(ConvBlock(style, inputs, width, kernel=kernel, stride=stride))
        stage += [block(style, width, kernel) for _ in range(spec.encoder_blocks[level])]
        inputs = width
        yield nn.Sequential(*stage)


def _gated(style: Style, spec: NetSpec, *, up: str, gates: str, inner: str, signal: str) -> Iterator[nn.Module]:
    deepest = len(spec.widths) - 2
    for level, step in enumerate(ups(style, spec, mode=up)):
        skip, coarse = spec.widths[level : level + 2]
        if level == 0 and gates == "coarse":
            yield step
            continue
        between = max(1, skip // 2) if inner == "half" else skip
        gate = Gate(style, skip, coarse, inner=between, stride=spec.strides[level + 1])
        steered = level == deepest and signal == "conv"
        yield GatedUp(step, gate, ConvBlock(style, coarse, coarse, kernel=(1, 1, 1)) if steered else nn.Sequential())
