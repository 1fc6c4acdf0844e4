"""Exclusive structures: one softmax channel for the background and one a structure."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segwright.core.box import tile
from segwright.core.errors import LabelError, PlanError
from segwright.core.labels import LabelSpace
from segwright.targets.protocol import Scores


class ClassesTarget:
    """Codec of exclusive labels `(B, 1, z, y, x)`; see `targets.protocol.Target`.

    Example:
        >>> target = ClassesTarget(LabelSpace(structures=[{"name": "a"}, {"name": "b"}]))
        >>> onehot, weight = target.encode(torch.tensor([0, 2]).reshape(1, 1, 1, 1, 2))
        >>> onehot.flatten(2).tolist(), weight
        ([[[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]], None)
    """

    def __init__(self, space: LabelSpace) -> None:
        if not space.exclusive:
            raise PlanError("Target 'classes' needs exclusive structures.", got=space.kind, hint="Use 'regions'.")
        self.space = space
        self.channels = len(space.structures) + 1

    def encode(self, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Labels `(B, 1, z, y, x)` to one-hot `(B, K + 1, z, y, x)` and weight."""
        low, high = (int(bound) for bound in labels.aminmax())
        refuse_outside(low, high, self.channels - 1)
        shape = (1, -1, *(1,) * (labels.ndim - 2))
        numbers = torch.arange(self.channels, dtype=labels.dtype, device=labels.device).reshape(shape)
        onehot = (labels == numbers).float()
        return onehot, None if low >= 0 else (labels >= 0).float()

    def activate(self, logits: Tensor) -> Tensor:
        """Softmax over channels `(B, K + 1, ...)` in float32."""
        return logits.float().softmax(dim=1)

    def structure_scores(self, scores: Scores) -> Scores:
        """All channels but the background, `(K, ...)`; a view."""
        return scores[1:]

    def decode(self, scores: NDArray[Any]) -> NDArray[np.int16]:
        """The channel with the largest score, `(1, z, y, x)`; the lowest number wins a tie.

        Works block by block, within the processor's cache; NumPy's own argmax over the first axis copies all scores.
        """
        shape = scores.shape[1:]
        labels = np.zeros((1, *shape), dtype=np.int16)
        rows = max(1, BLOCK // max(1, shape[2]))
        for box in tile(shape, (1, rows, max(1, shape[2]))):
            _largest(scores[:, *box.slices], out=labels[0][box.slices])
        return labels


#: Voxels compared at a time when decoding.
BLOCK = 1 << 15


def _largest(scores: NDArray[Any], *, out: NDArray[np.int16]) -> None:
    """Raise `out`, zeros at first, to the number of the channel with the largest score."""
    best = scores[0].copy()
    for channel in range(1, len(scores)):
        np.maximum(out, (scores[channel] > best) * np.int16(channel), out=out)
        np.maximum(best, scores[channel], out=best)


def refuse_outside(low: int, high: int, highest: int) -> None:
    """Refuse canonical label values outside -1 (ignored) to `highest`, which would silently train as nothing.

    Raises:
        LabelError: A value lies outside.
    """
    if low < -1 or high > highest:
        raise LabelError(
            "Training labels do not fit the label space.",
            expected=f"-1 to {highest}",
            got=f"{low} to {high}",
            hint="Prepare the data again; if it persists, report the dataset.yaml.",
        )
