"""What networks are built of: operators of two and three dimensions, blocks, resizing, and the U-shape."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segwright.core.errors import RecipeError
from segwright.core.plan import NetSpec, Triple
from segwright.nets.execution import Conv3d, recomputed

#: Operator name to its class in two and in three dimensions.
OPERATORS: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {
    "conv": (nn.Conv2d, Conv3d),
    "transpose": (nn.ConvTranspose2d, nn.ConvTranspose3d),
    "max_pool": (nn.MaxPool2d, nn.MaxPool3d),
    "batch": (nn.BatchNorm2d, nn.BatchNorm3d),
    "instance": (nn.InstanceNorm2d, nn.InstanceNorm3d),
}


def operator(name: str, dims: int) -> type[nn.Module]:
    """Class of an operator for `dims` (2 or 3) spatial axes.

    Example:
        >>> operator("conv", 2).__name__
        'Conv2d'
    """
    return OPERATORS[name][dims - 2]


def fit(triple: Triple, dims: int) -> tuple[int, ...]:
    """Keep the last `dims` entries of a `(z, y, x)` triple.

    Example:
        >>> fit((1, 3, 5), 2)
        (3, 5)
    """
    return tuple(triple[3 - dims :])


def linear_mode(dims: int) -> str:
    """Name of linear interpolation in torch for `dims` axes."""
    return "bilinear" if dims == 2 else "trilinear"


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


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """`(B, C, [z,] y, x)` to `size`, in the layout of `x`.

    In channels-last layout slices lie one after the other, so that they can be taken for images of their own without
    a copy: torch's trilinear kernel on CPUs takes up to twice as long.

    Example:
        >>> resize(torch.tensor([[[0.0, 4.0]]])[None], (1, 4)).flatten().tolist()
        [0.0, 1.0, 3.0, 4.0]
    """
    if x.ndim == 5 and x.shape[2] == size[0] and x.is_contiguous(memory_format=torch.channels_last_3d):
        slices = F.interpolate(x.transpose(1, 2).flatten(0, 1), size=tuple(size[1:]), mode="bilinear")
        return slices.unflatten(0, (len(x), size[0])).transpose(1, 2)
    return F.interpolate(x, size=tuple(size), mode=linear_mode(len(size)))


class Decoder(nn.Module):
    """The way up.

    Args:
        joins: A level each, finest first, without the coarsest: `(coarse features, skip connection)` to features.
        stages: What refines them; levels as in `joins`.
        heads: What makes logits of the features of the finest levels, finest first.
    """

    def __init__(
        self, joins: Iterable[nn.Module], stages: Iterable[nn.Module], heads: Iterable[nn.Module], *, spec: NetSpec
    ) -> None:
        super().__init__()
        self.joins, self.stages, self.heads = nn.ModuleList(joins), nn.ModuleList(stages), nn.ModuleList(heads)
        self.checkpointing, self.deep_supervision = spec.checkpointing, spec.deep_supervision

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Features of all levels, finest first, to logits, finest first; only the finest unless training deeply."""
        x = features[-1]
        supervised = len(self.heads) if self.training and self.deep_supervision else 1
        logits: list[Tensor] = []
        for level in reversed(range(len(features))):
            if level < len(self.stages):
                x = self.joins[level](x, features[level])
                x = recomputed(self.stages[level], x) if self.checkpointing else self.stages[level](x)
            if level < supervised:
                logits.insert(0, self.heads[level](x))
        return logits


class Ladder(nn.Module):
    """An encoder shared by decoders, whose logits are stacked as channels in the order of the decoders.

    Works on `(B, C, y, x)` or `(B, C, z, y, x)` whose lengths are multiples of `spec.divisor`; `nets.slab` sees to it.

    Args:
        spec: Levels of the network, already checked.
        encoder: One stage a level, finest first; from the second on each begins with its step down.
        decoders: At least one.
        skips: What the features of the finest levels pass before they are joined; coarser ones are joined as they are.
    """

    def __init__(
        self,
        spec: NetSpec,
        encoder: Iterable[nn.Module],
        decoders: Iterable[Decoder],
        *,
        skips: Iterable[nn.Module] = (),
    ) -> None:
        super().__init__()
        self.encoder, self.decoders = nn.ModuleList(encoder), nn.ModuleList(decoders)
        self.skips = nn.ModuleList(skips)
        self.checkpointing, self.deep_supervision = spec.checkpointing, spec.deep_supervision

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits at the input's size; while training with deep supervision a list, finest first."""
        features: list[Tensor] = []
        for stage in self.encoder:
            x = recomputed(stage, x) if self.checkpointing else stage(x)
            features.append(x)
        for level, skip in enumerate(self.skips):
            features[level] = skip(features[level])
        parts = zip(*(decoder(features) for decoder in self.decoders), strict=True)
        logits = [part[0] if len(part) == 1 else torch.cat(part, dim=1) for part in parts]
        return logits if self.training and self.deep_supervision else logits[0]
