"""The chain of augmentations of a plan: built and checked once, then drawn and applied batch by batch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segwright.augment import AUGMENTS
from segwright.augment.protocol import Draw, Step
from segwright.augment.spatial import Mirror, Pairs
from segwright.core.errors import GeometryError, RecipeError, UnknownNameError
from segwright.core.recipe import PartChoice


@dataclass(frozen=True)
class Augmenter:
    """Steps in order, then mirroring; `augmenter(image, label, rng)` draws and applies.

    Attributes:
        steps: Rows of the augments table with parameters.
        mirror: Axes that may be mirrored (0 z, 1 y, 2 x), each with probability one half.
        in_plane_only: Keep every step that could touch z inside the slices.
        exchange: For an axis, pairs of structure indices that change places when it is mirrored.
        margin: Voxels a side that the batch was read too large; cut off once nothing moves any more.

    Raises:
        UnknownNameError: A step that is no row.
        RecipeError: A parameter that the row does not take, or a range upside down.

    Example:
        >>> augmenter = Augmenter((PartChoice(name="brightness", params={"factor": (2, 2)}),))
        >>> image, label = torch.ones(1, 1, 1, 2, 2), torch.zeros(1, 1, 1, 2, 2, dtype=torch.int16)
        >>> augmenter(image, label, np.random.default_rng(0))[0].unique().tolist()
        [2.0]
    """

    steps: tuple[PartChoice, ...] = ()
    mirror: tuple[int, ...] = ()
    in_plane_only: bool = False
    exchange: Mapping[int, Pairs] = field(default_factory=dict)
    margin: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self) -> None:
        _ = self.parts  # a misspelt step stops the run before it starts

    @cached_property
    def parts(self) -> tuple[Step, ...]:
        """The steps themselves, mirroring last."""
        parts = [build(choice, in_plane=self.in_plane_only) for choice in self.steps]
        if self.mirror:
            parts.append(Mirror(axes=self.mirror, exchange=self.exchange))
        return tuple(parts)

    def draw(
        self, rng: np.random.Generator, batch: int, shape: Sequence[int], spacing: NDArray[Any] | Tensor | None = None
    ) -> tuple[Draw, ...]:
        """All random numbers for a batch of samples of `shape` `(C, z, y, x)` as read, margin included.

        Args:
            rng: For example `derive(seed, "augment", fold, step)`.
            batch: Number of samples.
            shape: Of one sample.
            spacing: mm a voxel `(B, 3)`, NaN where unknown.
        """
        mm = None if spacing is None else np.asarray(spacing.cpu() if isinstance(spacing, Tensor) else spacing)
        cropped = (shape[0], *(n - 2 * m for n, m in zip(shape[1:], self.margin, strict=True)))
        return tuple(
            part.draw(rng, batch, shape if place < self._crop_before else cropped, mm)
            for place, part in enumerate(self.parts)
        )

    @property
    def _crop_before(self) -> int:
        """Place of the step before which the margin goes: behind the last one that draws on it."""
        moving = [place for place, part in enumerate(self.parts) if part.moves and not isinstance(part, Mirror)]
        return moving[-1] + 1 if moving else 0

    @torch.no_grad()
    def apply(self, image: Tensor, label: Tensor, draws: Sequence[Draw]) -> tuple[Tensor, Tensor]:
        """Apply what was drawn to `image` (float32) and `label`, `(B, ., z, y, x)`; the inputs stay as they are."""
        _refuse(image, label)
        for place, (part, draw) in enumerate(zip(self.parts, draws, strict=True)):
            if place == self._crop_before:
                image, label = self._crop(image), self._crop(label)
            image, label = part.apply(image, label, draw)
        if len(self.parts) == self._crop_before:
            image, label = self._crop(image), self._crop(label)
        return image, label

    def _crop(self, tensor: Tensor) -> Tensor:
        for axis, m in enumerate(self.margin):
            tensor = tensor.narrow(2 + axis, m, tensor.shape[2 + axis] - 2 * m)
        return tensor

    def __call__(
        self, image: Tensor, label: Tensor, rng: np.random.Generator, spacing: NDArray[Any] | Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw, then apply."""
        _refuse(image, label)
        return self.apply(image, label, self.draw(rng, len(image), tuple(image.shape[1:]), spacing))


def _refuse(image: Tensor, label: Tensor) -> None:
    grids_fit = image.ndim == label.ndim == 5 and image.shape[2:] == label.shape[2:] and len(image) == len(label)
    if not grids_fit or image.dtype != torch.float32 or label.is_floating_point():
        raise GeometryError(
            "Image and label of a batch do not fit together.",
            expected="float32 (B, C, z, y, x) and integers (B, P, z, y, x) on one grid",
            got=f"{image.dtype} {tuple(image.shape)} and {label.dtype} {tuple(label.shape)}",
            hint="Pass batches as cut by the sampler.",
        )


def build(choice: PartChoice, *, in_plane: bool = False) -> Step:
    """The step behind a choice, its parameters checked against what the row takes.

    Args:
        choice: Row and parameters; lists become tuples.
        in_plane: Sets the parameter of that name where the row has one.

    Raises:
        UnknownNameError: No such row.
        RecipeError: An unknown parameter (the nearest is suggested), a range upside down, or a probability off 0-1.
    """
    row = AUGMENTS.load(choice.name)
    known = inspect.signature(row).parameters
    params = {name: _frozen(value) for name, value in choice.params.items()}
    for name, value in params.items():
        if name not in known:
            near = UnknownNameError.among(f"parameter of augmentation {choice.name!r}:", name, known)
            raise RecipeError(near.what, expected=near.expected, where="augment", hint=near.hint)
        _check(choice.name, name, value, str(known[name].annotation))
    if in_plane and "in_plane" in known:
        params["in_plane"] = True
    return cast(Step, row(**params))


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, (list, tuple)) else value


def _check(row: str, name: str, value: Any, kind: str) -> None:
    """Ranges must be two ascending numbers, probabilities lie between 0 and 1."""
    is_range = kind.startswith("Pair") and not (value is None and "None" in kind)
    if is_range:
        numbers = isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, (int, float)) for v in value)
        right, expected = numbers and value[0] <= value[1], "two numbers, the lower first"
    elif name == "p" or name.startswith("p_"):
        right, expected = isinstance(value, (int, float)) and 0 <= value <= 1, "a probability from 0 to 1"
    else:
        return
    if not right:
        raise RecipeError(
            f"Parameter {name!r} of augmentation {row!r} is not valid.",
            expected=expected,
            got=repr(value),
            where="augment",
            hint=f"Write {name}: [low, high]." if is_range else f"Write {name}: 0.3, for example.",
        )
