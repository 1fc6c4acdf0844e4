"""Reflections along allowed axes, which exchange structures that are each other's mirror image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segwright.augment.protocol import Step, Values

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Mirror(Step):
    """Reverse each allowed axis with probability one half.

    Attributes:
        axes: Axes that may be reversed (0 z, 1 y, 2 x); never one that carries identity or side, unless `exchange` says
            which structures change places.
        exchange: For an axis, pairs of structure indices that a reflection along it turns into one another.
    """

    axes: tuple[int, ...] = ()
    exchange: Mapping[int, Pairs] = field(default_factory=dict)
    moves: ClassVar[bool] = True

    def values(self, rng: np.random.Generator, batch: int, shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        return {"flip": (rng.random((batch, 3)) < 0.5) & np.isin(np.arange(3), self.axes)}

    def change(self, image: Tensor, label: Tensor, values: Values) -> tuple[Tensor, Tensor]:
        image, label = image.clone(), label.clone()
        for sample, flip in enumerate(values["flip"]):
            axes = [int(axis) for axis in np.flatnonzero(flip)]
            if axes:
                dims = [1 + axis for axis in axes]
                image[sample] = image[sample].flip(dims)
                turned = label[sample].flip(dims)
                for axis in axes:
                    turned = _exchanged(turned, self.exchange.get(axis, ()))
                label[sample] = turned
        return image, label


def _exchanged(label: Tensor, pairs: Pairs) -> Tensor:
    """Exchange paired structures of one label `(P, z, y, x)`: planes if overlapping, values if exclusive."""
    if not pairs:
        return label
    if label.shape[0] > 1:
        order = list(range(label.shape[0]))
        for a, b in pairs:
            order[a], order[b] = b, a
        return label[order]
    out = label.clone()
    for a, b in pairs:
        out = torch.where(label == a + 1, b + 1, torch.where(label == b + 1, a + 1, out))
    return out.to(label.dtype)
