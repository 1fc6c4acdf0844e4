"""The shape that U-shaped families share: stages down, one or more decoders up; a family fills in its own blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from segwright.core.plan import NetSpec
from segwright.nets.recompute import recomputed


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
