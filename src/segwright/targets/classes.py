"""Targets of classes: exclusive, overlapping, and soft shares of a voxel."""

from __future__ import annotations

from collections.abc import Sequence
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


class RegionsTarget:
    """Codec of overlapping labels `(B, K, z, y, x)`; see `targets.protocol.Target`.

    A voxel that is ignored for one structure is ignored for all, as in `LabelSpace.ignored`.

    Args:
        space: Overlapping structures.
        thresholds: Score above which a voxel belongs to a structure, one each; 0.5 by default.

    Example:
        >>> space = LabelSpace(structures=[{"name": "a"}, {"name": "b"}], kind="overlapping")
        >>> RegionsTarget(space).decode(np.array([0.2, 0.9]).reshape(2, 1, 1, 1)).ravel().tolist()
        [0, 1]
    """

    def __init__(self, space: LabelSpace, thresholds: Sequence[float] | None = None) -> None:
        if space.exclusive:
            raise PlanError("Target 'regions' needs overlapping structures.", got=space.kind, hint="Use 'classes'.")
        self.space = space
        self.channels = len(space.structures)
        self.thresholds = tuple(thresholds) if thresholds is not None else (0.5,) * self.channels
        if len(self.thresholds) != self.channels:
            raise PlanError("Each structure has one threshold.", expected=self.channels, got=len(self.thresholds))

    def encode(self, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Labels `(B, K, z, y, x)` to 0 or 1 in float32 and weight `(B, 1, z, y, x)`."""
        low, high = (int(bound) for bound in labels.aminmax())
        refuse_outside(low, high, 1)
        if low >= 0:
            return labels.float(), None
        weight = (labels >= 0).all(dim=1, keepdim=True).float()
        return labels.clamp_min(0).float() * weight, weight

    def activate(self, logits: Tensor) -> Tensor:
        """Sigmoid of each channel in float32."""
        return logits.float().sigmoid()

    def structure_scores(self, scores: Scores) -> Scores:
        """The scores themselves, `(K, ...)`."""
        return scores

    def decode(self, scores: NDArray[Any]) -> NDArray[np.int8]:
        """Scores `(K, z, y, x)` above their thresholds, as 0 or 1."""
        unit = 255.0 if scores.dtype == np.uint8 else 1.0
        labels = np.empty(scores.shape, dtype=np.int8)
        for plane, values, threshold in zip(labels, scores, self.thresholds, strict=True):
            np.greater(values, threshold * unit, out=plane.view(np.bool_))
        return labels


class SharesTarget:
    """Codec of exclusive or hardly overlapping labels; see `targets.protocol.Target`.

    Channels: background and structures (softmax). A voxel of several structures counts for each in parts. Structures
    that exclude each other are learnt much sooner so than each against all the rest by a sigmoid of its own: of 32
    teeth in films, Dice after 600 steps was 0.55 with sigmoids and 0.76 with shares (0.80 with a start that knows how
    rare they are).

    Decoding gives every voxel one structure, the one with the largest share, where all structures together reach one
    half; so two drawn outlines that touch lose the seam they share, and organs that truly lie on each other want
    `regions`.

    Args:
        space: Structures, exclusive or overlapping.

    Example:
        >>> target = SharesTarget(LabelSpace(structures=[{"name": "a"}, {"name": "b"}], kind="overlapping"))
        >>> planes = torch.tensor([[0, 1, 1], [0, 0, 1]]).reshape(1, 2, 1, 1, 3)
        >>> target.encode(planes)[0].flatten(2).tolist()
        [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 0.5]]]
    """

    def __init__(self, space: LabelSpace) -> None:
        if space.instances:
            raise PlanError("Target 'shares' names structures, not objects.", got=space.kind, hint="Use 'boundary'.")
        self.space = space
        self.channels = len(space.structures) + 1

    def encode(self, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Labels `(B, P, z, y, x)` to background and shares of structures `(B, K + 1, z, y, x)`, and weight."""
        low, high = (int(bound) for bound in labels.aminmax())
        refuse_outside(low, high, len(self.space.structures) if self.space.exclusive else 1)
        masks = self.masks(labels)
        several = masks.sum(dim=1, keepdim=True)
        target = torch.cat([(several == 0).float(), masks / several.clamp_min(1.0)], dim=1)
        if low >= 0:
            return target, None
        weight = (labels >= 0).all(dim=1, keepdim=True).float()
        return target * weight, weight

    def masks(self, labels: Tensor) -> Tensor:
        """One plane of 0 and 1 a structure, float32 `(B, K, z, y, x)`."""
        if not self.space.exclusive:
            return (labels > 0).float()
        numbers = torch.arange(1, self.channels, dtype=labels.dtype, device=labels.device)
        return (labels == numbers.reshape(1, -1, 1, 1, 1)).float()

    def activate(self, logits: Tensor) -> Tensor:
        """Softmax over channels `(B, K + 1, ...)` in float32."""
        return logits.float().softmax(dim=1)

    def structure_scores(self, scores: Scores) -> Scores:
        """The score of all together where a structure has the largest share, 0 elsewhere, `(K, ...)`: thresholds of
        one half then mean what decoding means."""
        background, names = scores[0], scores[1:]
        best = names.argmax(0)
        if isinstance(scores, Tensor):
            numbers = torch.arange(len(names), device=scores.device)
            return (best[None] == numbers.reshape(-1, *(1,) * best.ndim)) * (1 - background)
        rows = np.arange(len(names)).reshape(-1, *(1,) * best.ndim)
        return np.where(best[None] == rows, 1 - background, 0).astype(scores.dtype)

    def decode(self, scores: NDArray[Any]) -> NDArray[Any]:
        """The structure with the largest share where all together outweigh the background, as canonical labels;
        the lowest wins a tie, background before all."""
        unit = 255.0 if scores.dtype == np.uint8 else 1.0
        number = np.where(scores[0] < unit / 2, scores[1:].argmax(axis=0) + 1, 0)
        if self.space.exclusive:
            return number[None].astype(self.space.dtype)
        planes = np.arange(1, self.channels).reshape(-1, 1, 1, 1)
        return (number[None] == planes).astype(self.space.dtype)
