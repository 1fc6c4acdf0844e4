"""Reflections along allowed axes, with left and right structures exchanged where that axis carries sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segwright.augment.protocol import Step, Values


@dataclass(frozen=True, kw_only=True)
class Mirror(Step):
    """Reverse each allowed axis with probability one half.

    Attributes:
        axes: Axes that may be reversed (0 z, 1 y, 2 x); never one that carries identity or side, unless `swap` says
            which structures change places.
        swap: Pairs of structure indices that a reflection along `swap_axis` turns into one another.
        swap_axis: The left-right axis.
    """

    axes: tuple[int, ...] = ()
    swap: tuple[tuple[int, int], ...] = ()
    swap_axis: int = 2
    moves: ClassVar[bool] = True

    def values(self, rng: np.random.Generator, batch: int, shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        return {"flip": (rng.random((batch, 3)) < 0.5) & np.isin(np.arange(3), self.axes)}

    def change(self, image: Tensor, label: Tensor, values: Values) -> tuple[Tensor, Tensor]:
        image, label = image.clone(), label.clone()
        for sample, flip in enumerate(values["flip"]):
            axes = [1 + int(axis) for axis in np.flatnonzero(flip)]
            if axes:
                image[sample] = image[sample].flip(axes)
                turned = label[sample].flip(axes)
                label[sample] = self._exchange(turned) if flip[self.swap_axis] and self.swap else turned
        return image, label

    def _exchange(self, label: Tensor) -> Tensor:
        """Exchange paired structures of one label `(P, z, y, x)`: planes if overlapping, values if exclusive."""
        if label.shape[0] > 1:
            order = list(range(label.shape[0]))
            for a, b in self.swap:
                order[a], order[b] = b, a
            return label[order]
        out = label.clone()
        for a, b in self.swap:
            out = torch.where(label == a + 1, b + 1, torch.where(label == b + 1, a + 1, out))
        return out.to(label.dtype)
