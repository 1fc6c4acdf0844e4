"""One builder for the plain U-Net and the U-Net with a residual encoder, in two and three dimensions.

Ronneberger et al. 2015, Çiçek et al. 2016; residual encoder after Isensee et al. 2024 (arXiv 2404.09556).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from torch import Tensor, nn

from segwright.core.errors import PlanError
from segwright.core.plan import NetSpec, Triple
from segwright.nets.blocks import ConvBlock, ResidualBlock, Style, Up, choose, fit, initialise, operator
from segwright.nets.execution import recomputed


def unet(
    spec: NetSpec, *, up: str = "linear", down: str = "conv", join: str = "concat", activation: str = "leaky"
) -> UNet:
    """A U-Net of plain convolutions.

    Args:
        spec: `encoder_blocks` counts convolutions a level.
        up: `linear`, `nearest` or `transpose`; interpolation is the fastest on CPUs in bfloat16.
        down: `conv` (the first convolution of a level is strided) or `pool` (maximum).
        join: `concat` stacks skip connections; `add` sums them, which halves the dearest convolutions.
        activation: `leaky` or `relu`.
    """
    return _built(spec, Choices(up, down, join, activation), block=ConvBlock)


def resenc(
    spec: NetSpec, *, up: str = "linear", down: str = "conv", join: str = "concat", activation: str = "leaky"
) -> UNet:
    """A U-Net whose encoder is a stem convolution and residual blocks; arguments as for `unet`."""
    return _built(spec, Choices(up, down, join, activation), block=ResidualBlock)


@dataclass(frozen=True, slots=True)
class Choices:
    """The word parameters of `unet` and `resenc`, checked."""

    up: str
    down: str
    join: str
    activation: str

    def __post_init__(self) -> None:
        choose("up", self.up, ("linear", "nearest", "transpose"))
        choose("down", self.down, ("conv", "pool"))
        choose("join", self.join, ("concat", "add"))


@dataclass(frozen=True, slots=True)
class Parts:
    """What distinguishes one U-Net from another.

    Attributes:
        encoder: One stage a level, finest first; each brings its level's resolution and width.
        ups: `(coarse features, skip) -> joined`, one a level, finest first, without the coarsest level.
        stem: Before the encoder.
        joined: Widths of the joined features, in those of their level.
    """

    encoder: Iterable[nn.Module]
    ups: Iterable[nn.Module]
    stem: nn.Module = field(default_factory=nn.Sequential)
    joined: int = 2


class UNet(nn.Module):
    """Encoder, decoder with skip connections, and one head a supervised level.

    Works on `(B, C, y, x)` or `(B, C, z, y, x)` whose lengths are multiples of `spec.divisor`; `nets.slab` sees to it.

    Attributes:
        stem: Convolution before residual blocks; empty in the plain U-Net.
        encoder: One stage a level, finest first.
        ups, decoder, heads: One a level, finest first, without the coarsest level.
    """

    def __init__(self, spec: NetSpec, style: Style, parts: Parts) -> None:
        super().__init__()
        self.checkpointing, self.deep_supervision = spec.checkpointing, spec.deep_supervision
        self.stem = parts.stem
        self.encoder = nn.ModuleList(parts.encoder)
        self.ups = nn.ModuleList(parts.ups)
        self.decoder = nn.ModuleList(_decoder(style, spec, parts.joined))
        self.heads = nn.ModuleList(
            operator("conv", style.dims)(spec.widths[level], spec.out_channels, 1) for level in range(heads(spec))
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits at the input's size; while training with deep supervision a list, finest first."""
        skips: list[Tensor] = []
        x = self.stem(x)
        for stage in self.encoder:
            x = self._run(stage, x)
            skips.append(x)
        skips.pop()  # the coarsest features are x itself
        supervise = self.training and self.deep_supervision
        logits: list[Tensor] = []
        for level in reversed(range(len(self.encoder))):
            if level < len(self.decoder):
                x = self._run(self.decoder[level], self.ups[level](x, skips.pop()))
            if level == 0 or (supervise and level < len(self.heads)):
                logits.insert(0, self.heads[level](x))
        return logits if supervise else logits[0]

    def _run(self, stage: nn.Module, x: Tensor) -> Tensor:
        result: Tensor = recomputed(stage, x) if self.checkpointing else stage(x)
        return result


def heads(spec: NetSpec) -> int:
    """Number of supervised levels: all decoder levels but the coarsest, at least two where there are two."""
    levels = len(spec.widths)
    return max(1, min(2, levels - 1), levels - 2) if spec.deep_supervision else 1


def check_levels(spec: NetSpec) -> None:
    """Refuse a specification whose tuples do not describe the same levels.

    Raises:
        PlanError: Wrong lengths, an even kernel, or a stride on the first level.
    """
    levels = len(spec.widths)
    lengths = {"strides": levels, "kernels": levels, "encoder_blocks": levels, "decoder_blocks": levels - 1}
    for name, wanted in lengths.items():
        if len(getattr(spec, name)) != wanted:
            raise PlanError(
                f"Network field {name!r} does not match the {levels} widths.",
                expected=f"{wanted} entries",
                got=str(getattr(spec, name)),
                hint="Give one entry a level (decoder_blocks: without the coarsest).",
            )
    if any(edge % 2 == 0 for kernel in spec.kernels for edge in kernel):
        raise PlanError("Kernel edges must be odd.", got=str(spec.kernels), hint="Use 1, 3 or 5.")
    if min((*spec.encoder_blocks, *spec.decoder_blocks)) < 1:
        raise PlanError("Each level needs a block.", got=f"{spec.encoder_blocks} and {spec.decoder_blocks}")
    if max(spec.strides[0]) > 1:
        raise PlanError("The first level has full resolution.", expected="stride (1, 1, 1)", got=str(spec.strides[0]))


def _built(spec: NetSpec, choices: Choices, *, block: type[ConvBlock | ResidualBlock]) -> UNet:
    check_levels(spec)
    add = choices.join == "add"
    style = Style(spec.spatial_dims, spec.norm, choices.activation)
    inputs, stem = spec.in_channels * max(1, spec.slab), nn.Sequential()
    if block is ResidualBlock:
        stem = ConvBlock(style, inputs, spec.widths[0], kernel=spec.kernels[0])
        inputs = spec.widths[0]
    encoder = _encoder(style, spec, inputs, block=block, pool=choices.down == "pool")
    return UNet(spec, style, Parts(encoder, ups(style, spec, mode=choices.up, add=add), stem, 1 if add else 2))


def ups(style: Style, spec: NetSpec, *, mode: str, add: bool = False) -> Iterator[Up]:
    """The steps up of all levels, finest first; arguments as for `Up`."""
    for fine, coarse, stride in zip(spec.widths, spec.widths[1:], spec.strides[1:], strict=False):
        yield Up(style, coarse, fine, stride=stride, mode=mode, add=add)


def _encoder(
    style: Style, spec: NetSpec, inputs: int, *, block: type[ConvBlock | ResidualBlock], pool: bool
) -> Iterator[nn.Module]:
    for level, width in enumerate(spec.widths):
        stride: Triple = spec.strides[level]
        stage: list[nn.Module] = []
        if pool and max(fit(stride, style.dims)) > 1:
            step = fit(stride, style.dims)
            stage.append(operator("max_pool", style.dims)(step, step))
            stride = (1, 1, 1)
        for _ in range(spec.encoder_blocks[level]):
            stage.append(block(style, inputs, width, kernel=spec.kernels[level], stride=stride))
            inputs, stride = width, (1, 1, 1)
        yield nn.Sequential(*stage)


def _decoder(style: Style, spec: NetSpec, joined: int) -> Iterator[nn.Module]:
    for level, count in enumerate(spec.decoder_blocks):
        width, kernel = spec.widths[level], spec.kernels[level]
        entries = [joined * width] + [width] * (count - 1)
        yield nn.Sequential(*(ConvBlock(style, entry, width, kernel=kernel) for entry in entries))
