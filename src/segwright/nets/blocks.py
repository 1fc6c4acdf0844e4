"""Pieces that networks are built of: convolution with norm and activation, residual block, steps down and up."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segwright.core.errors import RecipeError
from segwright.core.plan import Triple
from segwright.nets.dims import fit, operator
from segwright.nets.resize import resize

LEAK = 0.01


@dataclass(frozen=True, slots=True)
class Style:
    """What all blocks of a network share.

    Attributes:
        dims: Spatial axes, 2 or 3.
        norm: `instance`, `batch` or `group`.
        activation: `leaky` (slope 0.01) or `relu`.
    """

    dims: int
    norm: str
    activation: str = "leaky"

    def __post_init__(self) -> None:
        choose("activation", self.activation, ("leaky", "relu"))

    def normalise(self, channels: int) -> nn.Module:
        """A norm layer with learned scale and shift; groups are 8, or fewer where 8 does not divide the channels."""
        if self.norm == "group":
            return nn.GroupNorm(math.gcd(8, channels), channels)
        layer: nn.Module = operator(self.norm, self.dims)(channels, affine=True)
        return layer

    def activate(self) -> nn.Module:
        """An activation that overwrites its input, which no norm layer needs again."""
        return nn.LeakyReLU(LEAK, inplace=True) if self.activation == "leaky" else nn.ReLU(inplace=True)

    def convolve(self, inputs: int, outputs: int, kernel: Triple, stride: Triple = (1, 1, 1)) -> nn.Module:
        """A convolution that keeps size (divided by stride); no bias, since a norm follows."""
        size, step = fit(kernel, self.dims), fit(stride, self.dims)
        padding = tuple(edge // 2 for edge in size)
        layer: nn.Module = operator("conv", self.dims)(inputs, outputs, size, step, padding, bias=False)
        return layer


def choose(name: str, value: str, known: tuple[str, ...]) -> str:
    """Check a word parameter against its choices.

    Raises:
        RecipeError: The word is not among them.
    """
    if value not in known:
        raise RecipeError(f"Network parameter {name!r} is not valid.", expected=" or ".join(known), got=repr(value))
    return value


class ConvBlock(nn.Sequential):
    """Convolution, norm, activation."""

    def __init__(self, style: Style, inputs: int, outputs: int, *, kernel: Triple, stride: Triple = (1, 1, 1)) -> None:
        convolution = style.convolve(inputs, outputs, kernel, stride)
        super().__init__(convolution, style.normalise(outputs), style.activate())


class Residual(nn.Module):
    """A branch beside a short cut (He et al. 2016), summed and then activated; a fresh one is its short cut alone.

    Args:
        first: The branch up to its last convolution.
        second: Its last convolution and norm.
        shortcut: What `x` passes before it is added.
        activation: After the sum.
    """

    def __init__(self, first: nn.Module, second: nn.Module, shortcut: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.shortcut, self.activation = first, second, shortcut, activation

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, ...)` to `(B, outputs, ...)` at the stride's size."""
        y = self.second(self.first(x))
        y = y.add_(self.shortcut(x))
        return self.activation(y)


class ResidualBlock(Residual):
    """Two convolutions beside a short cut, which is averaged and projected where shapes differ.

    Averaging before the projection uses every voxel, where a strided projection would skip most (He et al. 2019).
    """

    def __init__(self, style: Style, inputs: int, outputs: int, *, kernel: Triple, stride: Triple = (1, 1, 1)) -> None:
        first = ConvBlock(style, inputs, outputs, kernel=kernel, stride=stride)
        second = nn.Sequential(style.convolve(outputs, outputs, kernel), style.normalise(outputs))
        super().__init__(first, second, _shortcut(style, inputs, outputs, stride), style.activate())


def _shortcut(style: Style, inputs: int, outputs: int, stride: Triple) -> nn.Module:
    parts: list[nn.Module] = []
    step = fit(stride, style.dims)
    if max(step) > 1:
        parts.append(Shrink(step))
    if inputs != outputs:
        parts += [style.convolve(inputs, outputs, (1, 1, 1)), style.normalise(outputs)]
    return nn.Sequential(*parts)


class Shrink(nn.Module):
    """Divide lengths by a stride through linear interpolation, which for strides of 1 and 2 is the mean of each cell.

    Torch's own mean pooling in three dimensions knows no bfloat16 on CPUs, loses channels-last and keeps its input.
    """

    def __init__(self, step: tuple[int, ...]) -> None:
        super().__init__()
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, ...)` to the same at lengths divided by `step`, rounded up."""
        size = [-(-length // s) for length, s in zip(x.shape[2:], self.step, strict=True)]
        return resize(x, size)


class Up(nn.Module):
    """Bring coarse features to the size of a skip connection and join the two.

    Args:
        mode: `linear` or `nearest` projects at the coarse size, where it is cheap, then interpolates (the two
            commute); `transpose` is a learned transposed convolution, slower on CPUs.
        add: Sum with the skip connection, which must have `outputs` channels, instead of stacking the two.
    """

    def __init__(
        self, style: Style, inputs: int, outputs: int, *, stride: Triple, mode: str, add: bool = False
    ) -> None:
        super().__init__()
        self.add = add
        self.mode = mode
        step = fit(stride, style.dims)
        if mode == "transpose":
            self.project: nn.Module = operator("transpose", style.dims)(inputs, outputs, step, step)
        else:
            self.project = operator("conv", style.dims)(inputs, outputs, 1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Coarse `(B, inputs, ...)` and skip `(B, C, ...)` to `(B, outputs + C, ...)`, or to C if they are summed."""
        x = self.project(x)
        if self.mode == "nearest":
            x = F.interpolate(x, size=skip.shape[2:], mode="nearest")
        elif self.mode == "linear":
            x = resize(x, skip.shape[2:])
        return x.add_(skip) if self.add else torch.cat((x, skip), dim=1)


def initialise(module: nn.Module) -> None:
    """He initialisation (He et al. 2015) of all convolutions; each residual block starts as its short cut alone."""
    for part in module.modules():
        if isinstance(part, (*_CONVOLUTIONS,)):
            nn.init.kaiming_normal_(part.weight, a=LEAK)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        if isinstance(part, Residual):
            nn.init.zeros_(part.second[1].weight)  # type: ignore[index]


_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
