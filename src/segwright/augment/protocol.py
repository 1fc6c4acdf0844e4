"""What every augmentation is: numbers drawn on the host first, then a change of the selected samples on any device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: A range `(low, high)`.
Pair = tuple[float, float]
Values = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Draw:
    """All randomness of one step on one batch; applying it twice gives the same result twice.

    Attributes:
        on: Which samples are changed, `(B,)`.
        values: Parameters by name, first axis B.
    """

    on: NDArray[np.bool_]
    values: Values = field(default_factory=dict)

    def take(self, index: Sequence[int] | NDArray[Any]) -> Draw:
        """The draw of some samples only."""
        return Draw(self.on[index], {name: value[index] for name, value in self.values.items()})


@dataclass(frozen=True, kw_only=True)
class Step:
    """Base of all rows. A subclass says which numbers it needs (`values`) and what they do (`change`).

    Attributes:
        p: Probability that a sample is changed; the others stay bit for bit as they are.
    """

    p: float = 1.0
    #: Whether voxels move, so that label and image must go together and borders lose their content.
    moves: ClassVar[bool] = False

    def draw(
        self, rng: np.random.Generator, batch: int, shape: Sequence[int], spacing: NDArray[Any] | None = None
    ) -> Draw:
        """Draw for a batch.

        Args:
            rng: Source of randomness.
            batch: Number of samples.
            shape: `(C, z, y, x)` of one sample.
            spacing: mm a voxel, `(B, 3)`, NaN where unknown.
        """
        on = rng.random(batch) < self.p
        return Draw(on, self.values(rng, batch, shape))

    def values(self, rng: np.random.Generator, batch: int, shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        """Parameters for every sample, selected or not, so that one sample's luck never shifts another's."""
        return {}

    def apply(self, image: Tensor, label: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Change the selected samples of `image` and `label`, `(B, ., z, y, x)`; the inputs stay as they are."""
        index = np.flatnonzero(draw.on)
        if index.size == 0:
            return image, label
        if index.size == len(draw.on):
            return self.change(image, label, draw.values)
        where = torch.as_tensor(index, device=image.device)
        old_label = label[where] if self.moves else label
        new_image, new_label = self.change(image[where], old_label, draw.take(index).values)
        image = image.index_copy(0, where, new_image)
        return image, label.index_copy(0, where, new_label) if self.moves else label

    def change(self, image: Tensor, label: Tensor, values: Values) -> tuple[Tensor, Tensor]:
        """Change all samples given. A step that does not move voxels returns `label` as it came."""
        return image, label


def column(value: NDArray[Any], like: Tensor) -> Tensor:
    """Parameters `(B,)` or `(B, C)` as a tensor that broadcasts against `(B, C, z, y, x)`."""
    tensor = torch.as_tensor(np.ascontiguousarray(value), dtype=like.dtype, device=like.device)
    return tensor.reshape(*value.shape, *(1,) * (like.ndim - value.ndim))


def around_one(rng: np.random.Generator, bounds: Pair, size: tuple[int, ...]) -> NDArray[np.float64]:
    """Factors from `bounds`: half of them below 1 and half above, where the range has both sides.

    Drawing evenly from 0.7 to 1.4 would enlarge more often than shrink.
    """
    low, high = bounds
    below = rng.uniform(low, min(high, 1.0), size) if low < 1 else np.full(size, low)
    above = rng.uniform(max(low, 1.0), high, size) if high > 1 else np.full(size, high)
    if low < 1 < high:
        return np.where(rng.random(size) < 0.5, below, above)
    return below if low < 1 else above
