"""Boxes cut out of patches: blanked, or exchanged between two samples of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from segwright.augment.protocol import Draw, Pair, Step, Values


def _boxes(rng: np.random.Generator, many: tuple[int, ...], shape: Sequence[int], size: Pair) -> NDArray[np.int64]:
    """Random boxes inside `shape`, `(*many, 3, 2)` start and stop; edges are a share `size` of the patch."""
    whole = np.asarray(shape)
    edge = np.rint(rng.uniform(*size, (*many, 3)) * whole).astype(np.int64)
    edge = np.clip(np.where(whole == 1, 1, edge), 0, whole)
    start = np.floor(rng.random((*many, 3)) * (whole - edge + 1)).astype(np.int64)
    return np.stack([start, start + edge], axis=-1)


def _inside(box: NDArray[np.int64]) -> tuple[slice, ...]:
    return (slice(None), *(slice(int(a), int(b)) for a, b in box))


@dataclass(frozen=True, kw_only=True)
class BlankBoxes(Step):
    """Set boxes of the image to the sample's mean; the label stays, so that context has to tell what is hidden.

    Attributes:
        count: Range of the number of boxes.
        size: Range of their edges as a share of the patch.
    """

    count: Pair = (1, 4)
    size: Pair = (0.1, 0.3)

    def values(self, rng: np.random.Generator, batch: int, shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        low, high = (round(bound) for bound in self.count)
        boxes = _boxes(rng, (batch, high), shape[1:], self.size)
        unused = np.arange(high)[None] >= rng.integers(low, high + 1, batch)[:, None]
        boxes[unused] = 0
        return {"boxes": boxes}

    def change(self, image: Tensor, label: Tensor, values: Values) -> tuple[Tensor, Tensor]:
        mean = image.mean(dim=(2, 3, 4), keepdim=True)
        image = image.clone()
        for sample, fill, boxes in zip(image, mean, values["boxes"], strict=True):
            for box in boxes:
                sample[_inside(box)] = fill
        return image, label


@dataclass(frozen=True, kw_only=True)
class CutMix(Step):
    """Replace a box of a sample, image and label, by the same box of another sample of the batch.

    After Yun et al. 2019 (arXiv 1905.04899), for segmentation. With a batch of one nothing happens.

    Attributes:
        size: Range of the box's edges as a share of the patch.
    """

    p: float = 0.0
    size: Pair = (0.25, 0.6)

    def values(self, rng: np.random.Generator, batch: int, shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        step = rng.integers(1, max(batch, 2), batch)
        partner = (np.arange(batch) + step) % batch
        return {"partner": partner, "box": _boxes(rng, (batch,), shape[1:], self.size)}

    def apply(self, image: Tensor, label: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        if not draw.on.any():
            return image, label
        mixed, mixed_label = image.clone(), label.clone()
        for sample in np.flatnonzero(draw.on):
            where, partner = _inside(draw.values["box"][sample]), int(draw.values["partner"][sample])
            mixed[sample][where] = image[partner][where]
            mixed_label[sample][where] = label[partner][where]
        return mixed, mixed_label
