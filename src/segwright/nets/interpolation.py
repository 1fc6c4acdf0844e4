"""Makes a section of a stack from its two neighbours, so that a spoiled one can be replaced.

Each neighbour is filtered by kernels of its own for every pixel, which a network reads off both; the two results are
summed. Li et al. 2021 (arXiv 2104.07961) sketch it without code. Encoder, decoder and heads are those of Niklaus et
al. 2017 (SepConv, arXiv 1708.01692), at widths and kernel sizes that grey sections and the sketch call for; one kernel
a pixel, where the sketch could also mean one a section, is theirs too.

It is no row of the nets table: a segmenter predicts the section it sees, whereas this must never see it.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segwright.core.errors import GeometryError, PlanError
from segwright.nets.blocks import Shrink, initialise, linear_mode, operator

DIMS = 2


def interpolation_network(
    *,
    channels: int = 1,
    widths: tuple[int, ...] = (16, 32, 64, 128, 256),
    kernel: int = 3,
    separable: bool = False,
) -> InterpolationNet:
    """A network that predicts a section from the one before and the one after.

    As built it predicts their mean; training (L1 on sections whose neighbours are clean) takes it from there.

    Args:
        channels: Image channels of a section; all share their kernels.
        widths: Channels a level, finest first; these make 5.3 M parameters. SepConv has (32, 64, 128, 256, 512).
        kernel: Edge of the kernels in pixels, odd. Neighbours that are shifted by more than half of it cannot be
            brought back; 3 is the sketch's, 51 is SepConv's.
        separable: Kernels are products of a column and a row, `4 * kernel` instead of `2 * kernel ** 2` numbers a
            pixel; for large kernels.

    Raises:
        PlanError: An even kernel, or fewer than two levels.

    Example:
        >>> net = interpolation_network(widths=(4, 8))
        >>> net(torch.ones(1, 1, 2, 9, 7)).shape
        torch.Size([1, 1, 1, 9, 7])
    """
    if kernel < 1 or kernel % 2 == 0:
        raise PlanError("A kernel has a centre pixel.", expected="an odd edge", got=kernel, hint="Use 3, 5 or 51.")
    if len(widths) < 2:
        raise PlanError("Sections are compared at two sizes at least.", got=widths, hint="Give two widths or more.")
    return InterpolationNet(channels, widths, kernel, separable=separable)


class InterpolationNet(nn.Module):
    """Maps the sections before and after, `(B, C, 2, y, x)`, to the one between, `(B, C, 1, y, x)`, of any size.

    Attributes:
        down, up: Stages; the k-th of `down` works at `2 ** -k` of full size, the k-th of `up` starts at half that.
        rises: Step up behind each stage of `up`.
        heads: One that makes all taps of both kernels, or one for each of column before, row before, column after and
            row after.
    """

    def __init__(self, channels: int, widths: tuple[int, ...], kernel: int, *, separable: bool) -> None:
        super().__init__()
        self.channels, self.kernel, self.divisor = channels, kernel, 2 ** len(widths)
        entries = [2 * channels, *widths]
        self.down = nn.ModuleList(_basic(before, after) for before, after in itertools.pairwise(entries))
        self.shrink = Shrink((2,) * DIMS)
        coarser = [*widths[2:], widths[-1]]
        self.up = nn.ModuleList(_basic(before, after) for before, after in zip(coarser, widths[1:], strict=True))
        self.rises = nn.ModuleList(nn.Sequential(Double(), _conv(width, width), nn.ReLU()) for width in widths[1:])
        outputs = [kernel] * 4 if separable else [2 * kernel**2]
        self.heads = nn.ModuleList(_head(widths[1], count) for count in outputs)
        initialise(self)
        for head, bias in zip(self.heads, _halves(kernel, separable), strict=True):
            nn.init.zeros_(head[-1].weight)  # type: ignore[index]
            with torch.no_grad():
                head[-1].bias.copy_(bias)  # type: ignore[index]

    def forward(self, sections: Tensor) -> Tensor:
        """The section between.

        Raises:
            GeometryError: Other than two sections, or other channels.
        """
        if sections.ndim != 5 or sections.shape[1:3] != (self.channels, 2):
            raise GeometryError(
                "A section is interpolated from two neighbours.",
                expected=f"(B, {self.channels}, 2, y, x)",
                got=tuple(sections.shape),
                hint="Stack the section before and the one after along z.",
            )
        taps = self.taps(sections)
        parts = zip(sections.unbind(dim=2), taps, strict=True)
        before, after = (filtered(section, column, row) for section, (column, row) in parts)
        return (before + after).unsqueeze(2)

    def taps(self, sections: Tensor) -> list[tuple[Tensor, Tensor | None]]:
        """Kernels of both sections: columns and rows `(B, k, y, x)`, or all taps `(B, k * k, y, x)` and none."""
        height, width = sections.shape[3:]
        x = F.pad(sections.flatten(1, 2), (0, -width % self.divisor, 0, -height % self.divisor), mode="replicate")
        skips: list[Tensor] = []
        for stage in self.down:
            skips.append(stage(x))
            x = self.shrink(skips[-1])
        for stage, rise, skip in zip(reversed(self.up), reversed(self.rises), reversed(skips), strict=False):
            x = rise(stage(x)) + skip
        results = [head(x)[:, :, :height, :width] for head in self.heads]
        if len(results) == 1:
            return [(half, None) for half in results[0].chunk(2, dim=1)]
        return [(results[0], results[1]), (results[2], results[3])]


def filtered(section: Tensor, taps: Tensor, row: Tensor | None = None) -> Tensor:
    """Each pixel's neighbourhood weighted by that pixel's own kernel; beyond borders lie the nearest pixels.

    Args:
        section: `(B, C, y, x)`.
        taps: `(B, k * k, y, x)`, row by row; or, with `row`, the `(B, k, y, x)` along y.
        row: `(B, k, y, x)` taps along x; the kernel is the product of the two.

    Returns:
        `(B, C, y, x)`.
    """
    height, width = section.shape[2:]
    edge = taps.shape[1] if row is not None else round(taps.shape[1] ** 0.5)
    padded = F.pad(section, (edge // 2,) * 4, mode="replicate")
    total = torch.zeros_like(section)
    for i in range(edge):
        line = padded[:, :, i : i + height]
        along = taps[:, i * edge : (i + 1) * edge] if row is None else row
        part = sum(along[:, j : j + 1] * line[..., j : j + width] for j in range(edge))
        total = total + (part if row is None else taps[:, i : i + 1] * part)
    return total


class Double(nn.Module):
    """Twice the size by linear interpolation between outermost pixel centres."""

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, y, x)` to `(B, C, 2 y, 2 x)`."""
        return F.interpolate(x, scale_factor=2, mode=linear_mode(DIMS), align_corners=True)


def _conv(inputs: int, outputs: int) -> nn.Module:
    return operator("conv", DIMS)(inputs, outputs, 3, padding=1)


def _basic(inputs: int, outputs: int) -> nn.Sequential:
    """Three convolutions, each with its activation."""
    widths = [inputs, outputs, outputs, outputs]
    pairs = itertools.pairwise(widths)
    return nn.Sequential(*(part for before, after in pairs for part in (_conv(before, after), nn.ReLU())))


def _head(width: int, outputs: int) -> nn.Sequential:
    pairs = itertools.pairwise([width, width, width, outputs])
    parts = [part for before, after in pairs for part in (_conv(before, after), nn.ReLU())]
    return nn.Sequential(*parts, Double(), _conv(outputs, outputs))


def _halves(kernel: int, separable: bool) -> list[Tensor]:
    """Taps of kernels that halve their section: for each head one vector."""
    if not separable:
        full = torch.zeros(2, kernel**2)
        full[:, kernel**2 // 2] = 0.5
        return [full.flatten()]
    centre = torch.zeros(kernel)
    centre[kernel // 2] = 1.0
    return [centre, centre / 2] * 2
