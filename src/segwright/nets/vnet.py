"""V-Net (Milletari et al. 2016): residual stages of 5 x 5 x 5 convolutions, in the three forms that go by its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segwright.core.errors import PlanError, RecipeError
from segwright.core.plan import NetSpec, Triple
from segwright.nets.blocks import Decoder, Ladder, Style, choose, fit, initialise, operator
from segwright.nets.unet import check_levels, heads


@dataclass(frozen=True, slots=True)
class Stages:
    """One published plan of stages.

    Attributes:
        down, up: Convolutions a level, finest first; further levels repeat the last number.
        inner: Whether the last convolution of a stage has an activation of its own, before the sum.
        narrow: Whether the head is a single 1 x 1 x 1 convolution.
    """

    down: tuple[int, ...]
    up: tuple[int, ...]
    inner: bool = False
    narrow: bool = False


STAGES = {
    "official": Stages(down=(1, 1, 2, 3, 3), up=(1, 1, 2, 3)),
    "deep": Stages(down=(1, 2, 3, 3, 3), up=(1, 2, 3, 3), narrow=True),
    "mattmacy": Stages(down=(1, 1, 2, 3, 2), up=(1, 1, 2, 2), inner=True),
}


def vnet(
    spec: NetSpec, *, stages: str = "official", norm: str = "plan", activation: str = "prelu", kernel: int = 5
) -> Ladder:
    """V-Net after Milletari et al. 2016 (arXiv 1606.04797), of any depth and in two or three dimensions.

    The number of convolutions a level comes from `stages`, not from the specification's blocks. Widths (not
    necessarily doubling), strides, channels, deep supervision and checkpointing come from the specification.

    Args:
        spec: `widths[0]` must be at least the number of input channels, which are added to the first features.
        stages: `official` is the released Caffe network, `deep` the one of the paper's figure, `mattmacy` the
            much-copied PyTorch port with one activation more a stage.
        norm: `plan` puts the specification's norm after every convolution, as the port does (its 45,603,934
            parameters are counted with batch norm); `none` leaves it out, as the other two do.
        activation: `prelu` (a slope a channel) or `elu`.
        kernel: Odd edge of the convolutions along axes on which the specification's kernels are wider than 1.

    Raises:
        PlanError: Levels that do not fit together, or fewer first features than input channels.
        RecipeError: An unknown word, or an even kernel.
    """
    choose("stages", stages, tuple(STAGES))
    choose("norm", norm, ("plan", "none"))
    choose("activation", activation, ("prelu", "elu"))
    if kernel < 1 or kernel % 2 == 0:
        raise RecipeError("Kernel edges of V-Net must be odd.", got=kernel, hint="Use 3 or 5.")
    parts = Parts(spec.spatial_dims, spec.norm if norm == "plan" else "none", activation, kernel)
    check_levels(spec)
    _check_entry(spec)
    net = Ladder(spec, _encoder(parts, spec, STAGES[stages]), [_decoder(parts, spec, STAGES[stages])])
    initialise(net)
    return net


@dataclass(frozen=True, slots=True)
class Parts:
    """What all stages share; every convolution has a bias, as in all three sources."""

    dims: int
    norm: str
    activation: str
    kernel: int

    def activate(self, channels: int) -> nn.Module:
        """PReLU with a slope a channel, or ELU."""
        return nn.PReLU(channels) if self.activation == "prelu" else nn.ELU()

    def normalised(self, layer: nn.Module, channels: int) -> list[nn.Module]:
        """The layer and, where there is one, its norm."""
        return [layer] if self.norm == "none" else [layer, Style(self.dims, self.norm).normalise(channels)]

    def convolve(self, inputs: int, outputs: int, kernel: Triple) -> nn.Module:
        """A convolution that keeps size, `self.kernel` wide along axes on which `kernel` is wider than 1."""
        edges = tuple(self.kernel if edge > 1 else 1 for edge in fit(kernel, self.dims))
        layer: nn.Module = operator("conv", self.dims)(inputs, outputs, edges, padding=[e // 2 for e in edges])
        return layer

    def step(self, name: str, inputs: int, outputs: int, stride: Triple) -> nn.Sequential:
        """A (transposed) convolution whose cells do not overlap, norm, activation."""
        cell = fit(stride, self.dims)
        layers = self.normalised(operator(name, self.dims)(inputs, outputs, cell, cell), outputs)
        return nn.Sequential(*layers, self.activate(outputs))


class Entry(nn.Module):
    """Input block: a convolution plus the image, whose channels are repeated until they are as many."""

    def __init__(self, parts: Parts, inputs: int, outputs: int, kernel: Triple) -> None:
        super().__init__()
        self.convolution = nn.Sequential(*parts.normalised(parts.convolve(inputs, outputs, kernel), outputs))
        self.activation = parts.activate(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs, ...)` to `(B, outputs, ...)`."""
        y: Tensor = self.convolution(x)
        times = -(-y.shape[1] // x.shape[1])
        image = torch.cat([x] * times, dim=1)[:, : y.shape[1]]
        result: Tensor = self.activation(y + image.to(y.dtype))
        return result


class Stage(nn.Module):
    """Convolutions whose result is added to what they started from."""

    def __init__(self, parts: Parts, channels: int, kernel: Triple, *, count: int, inner: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(count):
            layers += parts.normalised(parts.convolve(channels, channels, kernel), channels)
            if inner or index < count - 1:
                layers.append(parts.activate(channels))
        self.convolutions = nn.Sequential(*layers)
        self.activation = parts.activate(channels)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, channels, ...)` to the same."""
        result: Tensor = self.activation(self.convolutions(x) + x)
        return result


class Join(nn.Module):
    """A transposed convolution of the coarse features, stacked with the skip connection, the former first."""

    def __init__(self, up: nn.Module) -> None:
        super().__init__()
        self.up = up

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Coarse `(B, inputs, ...)` and skip `(B, C, ...)` to `(B, 2 * C, ...)`."""
        return torch.cat((self.up(x), skip), dim=1)


def _encoder(parts: Parts, spec: NetSpec, stages: Stages) -> Iterator[nn.Module]:
    inputs = spec.in_channels * max(1, spec.slab)
    yield Entry(parts, inputs, spec.widths[0], spec.kernels[0])
    for level in range(1, len(spec.widths)):
        width, count = spec.widths[level], _at(stages.down, level)
        down = parts.step("conv", spec.widths[level - 1], width, spec.strides[level])
        yield nn.Sequential(down, Stage(parts, width, spec.kernels[level], count=count, inner=stages.inner))


def _decoder(parts: Parts, spec: NetSpec, stages: Stages) -> Decoder:
    widths, last = spec.widths, len(spec.widths) - 1
    joined = [*(2 * width for width in widths[:last]), widths[last]]
    joins, refined = [], []
    for level in range(last):
        joins.append(Join(parts.step("transpose", joined[level + 1], widths[level], spec.strides[level + 1])))
        count, kernel = _at(stages.up, level), spec.kernels[level]
        refined.append(Stage(parts, joined[level], kernel, count=count, inner=stages.inner))
    outputs = [_head(parts, spec, joined[0], stages.narrow)]
    coarser = joined[1 : heads(spec)]
    outputs += [operator("conv", parts.dims)(width, spec.out_channels, 1) for width in coarser]
    return Decoder(joins, refined, outputs, spec=spec)


def _at(counts: tuple[int, ...], level: int) -> int:
    return counts[min(level, len(counts) - 1)]


def _check_entry(spec: NetSpec) -> None:
    inputs = spec.in_channels * max(1, spec.slab)
    if spec.widths[0] < inputs:
        raise PlanError(
            f"V-Net adds its {inputs} input channels to its first features, which are only {spec.widths[0]}.",
            expected=f"a width of at least {inputs}",
            got=spec.widths[0],
            hint=f"Set width to {max(16, inputs)} in the recipe.",
        )


def _head(parts: Parts, spec: NetSpec, inputs: int, narrow: bool) -> nn.Module:
    """Convolution to the outputs, activation, 1 x 1 x 1 convolution.

    Only batch norm may stand in it: one over each image would give the logits of every patch the same mean, whether
    or not it holds a structure.
    """
    outputs = spec.out_channels
    mix: nn.Module = operator("conv", parts.dims)(inputs if narrow else outputs, outputs, 1)
    if narrow:
        return mix
    convolution = parts.convolve(inputs, outputs, spec.kernels[0])
    layers = parts.normalised(convolution, outputs) if parts.norm == "batch" else [convolution]
    return nn.Sequential(*layers, parts.activate(outputs), mix)
