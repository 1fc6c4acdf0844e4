"""Changes of intensity: noise, blur, contrast, bias fields, and images as of lower resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from segwright.augment.protocol import Pair, Step, Values, around_one, column

SPACE = (2, 3, 4)


@dataclass(frozen=True, kw_only=True)
class Brightness(Step):
    """Multiply by a factor, then add a shift; both drawn for each channel.

    Attributes:
        factor: Range of the factor.
        shift: Range of the shift, in units of the image (standard deviations after normalisation).
    """

    factor: Pair = (0.75, 1.25)
    shift: Pair = (0.0, 0.0)

    def values(self, rng: np.random.Generator, batch: int, shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        size = (batch, shape[0])
        return {"factor": rng.uniform(*self.factor, size), "shift": rng.uniform(*self.shift, size)}

    def change(self, image: Tensor, label: Tensor, values: Values) -> tuple[Tensor, Tensor]:
        return image * column(values["factor"], image) + column(values["shift"], image), label


@dataclass(frozen=True, kw_only=True)
class Contrast(Step):
    """Spread values about the mean of the sample's channel; its old minimum and maximum bound the result.

    Attributes:
        factor: Range of the factor; below 1 flattens.
    """

    factor: Pair = (0.75, 1.25)

    def values(self, rng: np.random.Generator, batch: int, shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        return {"factor": around_one(rng, self.factor, (batch, shape[0]))}

    def change(self, image: Tensor, label: Tensor, values: Values) -> tuple[Tensor, Tensor]:
        mean = image.mean(dim=SPACE, keepdim=True)
        spread = (image - mean).mul_(column(values["factor"], image)).add_(mean)
        low, high = image.amin(dim=SPACE, keepdim=True), image.amax(dim=SPACE, keepdim=True)
        return torch.clamp(spread, low, high), label


@dataclass(frozen=True, kw_only=True)
class Gamma(Step):
    """Power law on values scaled to 0-1, after which mean and standard deviation are put back.

    Attributes:
        power: Range of the exponent.
        inverted: Work on the negative, which bends bright values instead of dark ones.
    """

    power: Pair = (0.7, 1.5)
    inverted: bool = False

    def values(self, rng: np.random.Generator, batch: int, shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        return {"power": around_one(rng, self.power, (batch, shape[0]))}

    def change(self, image: Tensor, label: Tensor, values: Values) -> tuple[Tensor, Tensor]:
        low, high = image.amin(dim=SPACE, keepdim=True), image.amax(dim=SPACE, keepdim=True)
        extent = (high - low).clamp_min(1e-8)
        unit = (high - image if self.inverted else image - low).div_(extent).clamp_(0, 1)
        bent = unit.pow_(column(values["power"], image))
        if self.inverted:
            bent = bent.neg_()
        # Constant channels have no spread to restore; the floor keeps them at their mean.
        ratio = image.std(dim=SPACE, keepdim=True, correction=0) / _spread(bent)
        return bent.sub_(bent.mean(dim=SPACE, keepdim=True)).mul_(ratio).add_(
            image.mean(dim=SPACE, keepdim=True)
        ), label


def _spread(image: Tensor) -> Tensor:
    return image.std(dim=SPACE, keepdim=True, correction=0).clamp_min(1e-8)


@dataclass(frozen=True, kw_only=True)
class Noise(Step):
    """Add Gaussian noise.

    The drawn numbers hold a seed a sample, and the noise is made where the image is: the same seed gives other
    noise on a GPU than on a CPU, but always the same on one kind of device.

    Attributes:
        deviation: Range of the standard deviation.
    """

    deviation: Pair = (0.0, 0.1)

    def values(self, rng: np.random.Generator, batch: int, shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        deviation = rng.uniform(*self.deviation, (batch, shape[0]))
        return {"deviation": deviation, "seed": rng.integers(0, 2**62, batch)}

    def change(self, image: Tensor, label: Tensor, values: Values) -> tuple[Tensor, Tensor]:
        noise = torch.empty_like(image)
        source = torch.Generator(image.device)
        for sample, seed in zip(noise, values["seed"].tolist(), strict=True):
            source.manual_seed(seed)
            sample.normal_(generator=source)
        return noise.mul_(column(values["deviation"], image)).add_(image), label


@dataclass(frozen=True, kw_only=True)
class Blur(Step):
    """Separable Gaussian blur, its width drawn for each channel; axes of one voxel are left alone.

    Attributes:
        sigma: Range of the standard deviation in voxels.
        in_plane: Blur y and x only.
    """

    sigma: Pair = (0.5, 1.0)
    in_plane: bool = False

    def values(self, rng: np.random.Generator, batch: int, shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        return {"sigma": rng.uniform(*self.sigma, (batch, shape[0]))}

    def change(self, image: Tensor, label: Tensor, values: Values) -> tuple[Tensor, Tensor]:
        weights = gaussian(values["sigma"])
        for axis in (3, 4) if self.in_plane else (2, 3, 4):
            if image.shape[axis] > 1:
                image = _smooth(image, axis, weights)
        return image, label


def gaussian(sigma: NDArray[Any]) -> NDArray[np.float64]:
    """One side of normalised kernels, `(radius + 1, *sigma.shape)`, each cut at four standard deviations.

    Example:
        >>> gaussian(np.array([1.0]))[:2, 0].round(3).tolist()
        [0.399, 0.242]
    """
    reach = np.floor(4 * sigma + 0.5)
    offset = np.arange(int(reach.max()) + 1).reshape(-1, *(1,) * sigma.ndim)
    weight = np.where(offset <= reach, np.exp(-0.5 * (offset / np.maximum(sigma, 1e-6)) ** 2), 0.0)
    return weight / (2 * weight.sum(axis=0) - weight[0])


def _smooth(image: Tensor, axis: int, weights: NDArray[np.float64]) -> Tensor:
    """Weighted sum of shifted copies along an axis, edges repeated.

    On a CPU this is several times faster than a depthwise convolution with a kernel a sample.
    """
    radius, length = len(weights) - 1, image.shape[axis]
    index = torch.arange(-radius, length + radius, device=image.device).clamp_(0, length - 1)
    wide = image.index_select(axis, index)
    out = image * column(weights[0], image)
    for k in range(1, radius + 1):
        pair = wide.narrow(axis, radius - k, length) + wide.narrow(axis, radius + k, length)
        out.addcmul_(pair, column(weights[k], image))
    return out


@dataclass(frozen=True, kw_only=True)
class LowResolution(Step):
    """Take fewer voxels (nearest) and interpolate back (linear), as if scanned with larger voxels.

    Attributes:
        factor: Range of the share of voxels kept an axis.
        in_plane: Keep all slices.
    """

    factor: Pair = (0.5, 1.0)
    in_plane: bool = False

    def values(self, rng: np.random.Generator, batch: int, shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        return {"factor": rng.uniform(*self.factor, (batch, shape[0]))}

    def change(self, image: Tensor, label: Tensor, values: Values) -> tuple[Tensor, Tensor]:
        out = torch.empty_like(image)
        for sample, channel in np.ndindex(values["factor"].shape):
            one = image[sample : sample + 1, channel : channel + 1]
            out[sample, channel] = self._coarse(one, float(values["factor"][sample, channel]))[0, 0]
        return out, label

    def _coarse(self, image: Tensor, factor: float) -> Tensor:
        shape = image.shape[2:]
        small = [max(1, round(n * factor)) for n in shape]
        if self.in_plane:
            small[0] = shape[0]
        if tuple(small) == tuple(shape):
            return image
        kept = F.interpolate(image, size=small, mode="nearest-exact")
        return F.interpolate(kept, size=shape, mode="trilinear", align_corners=False)
