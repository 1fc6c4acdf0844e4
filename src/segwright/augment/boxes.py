"""Boxes cut out of patches: blanked, blurred, made noisy, or exchanged between two samples of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
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
class CutBlur(Step):
    """Bring a box of the image down to a coarser grid in its plane and up again: sharpness differs within a patch.

    After Yoo et al. 2020 (arXiv 2004.00448); numbers as the MitoEM challenge's first entry has them (Li et al. 2021,
    arXiv 2104.07961: edges 0.4 of the patch, 2 to 8 times coarser).

    Attributes:
        size: Range of the box's edges as a share of the patch.
        factor: Range of the factor by which y and x get coarser.
    """

    size: Pair = (0.25, 0.4)
    factor: Pair = (2.0, 8.0)

    def values(self, rng: np.random.Generator, batch: int, shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        return {"box": _boxes(rng, (batch,), shape[1:], self.size), "factor": rng.uniform(*self.factor, batch)}

    def change(self, image: Tensor, label: Tensor, values: Values) -> tuple[Tensor, Tensor]:
        image = image.clone()
        for sample, box, factor in zip(image, values["box"], values["factor"].tolist(), strict=True):
            part = sample[_inside(box)]
            if part.numel() == 0:
                continue
            plane = part.shape[2:]
            coarse = F.interpolate(part, size=[max(1, round(n / factor)) for n in plane], mode="area")
            sample[_inside(box)] = F.interpolate(coarse, size=plane, mode="bilinear", align_corners=False)
        return image, label


@dataclass(frozen=True, kw_only=True)
class CutNoise(Step):
    """Add even noise to a box of the image.

    After the MitoEM challenge's first entry, which adds up to 0.3 of the grey range; sections deviate by about a
    fifth of it. Seeded as `Noise` is: always the same on one kind of device.

    Attributes:
        size: Range of the box's edges as a share of the patch.
        amplitude: Range of the largest noise, in units of the image (standard deviations after normalisation).
    """

    size: Pair = (0.25, 0.4)
    amplitude: Pair = (0.5, 1.5)

    def values(self, rng: np.random.Generator, batch: int, shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        return {
            "box": _boxes(rng, (batch,), shape[1:], self.size),
            "amplitude": rng.uniform(*self.amplitude, batch),
            "seed": rng.integers(0, 2**62, batch),
        }

    def change(self, image: Tensor, label: Tensor, values: Values) -> tuple[Tensor, Tensor]:
        image = image.clone()
        source = torch.Generator(image.device)
        drawn = (values[name].tolist() for name in ("amplitude", "seed"))
        for sample, box, most, seed in zip(image, values["box"], *drawn, strict=True):
            part = sample[_inside(box)]
            part += torch.empty_like(part).uniform_(-most, most, generator=source.manual_seed(seed))
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
