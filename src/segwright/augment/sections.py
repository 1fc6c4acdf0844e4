"""What happens to single sections of a stack under an electron microscope: missing, slipped, out of line, smeared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from segwright.augment.protocol import Draw, Pair, Step, Values
from segwright.augment.spatial import turn, warp
from segwright.core.labels import IGNORE


@dataclass(frozen=True, kw_only=True)
class _OfStack(Step):
    """A step that has a meaning only where a section has neighbours; patches with fewer sections stay as they are."""

    least: ClassVar[int] = 3

    def draw(
        self, rng: np.random.Generator, batch: int, shape: Sequence[int], spacing: NDArray[Any] | None = None
    ) -> Draw:
        """See `Step.draw`."""
        drawn = super().draw(rng, batch, shape, spacing)
        return drawn if shape[1] >= self.least else Draw(np.zeros(batch, bool), drawn.values)


@dataclass(frozen=True, kw_only=True)
class MissingSections(_OfStack):
    """Blank whole sections between others: the label stays, so that the neighbours have to tell what was there.

    The MitoEM challenge's first entry (Li et al. 2021, arXiv 2104.07961) loses up to two sections with probability one
    half; there they are taken out and the stack closes, here they stay in their places without content, as they
    arrive from a microscope.

    Attributes:
        count: Range of the number of sections.
        dark: Probability that a section has the sample's lowest value instead of its mean.
    """

    count: Pair = (1, 2)
    dark: float = 0.5

    def values(self, rng: np.random.Generator, batch: int, shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        where = _some(rng, batch, shape[1], self.count, inner=True)
        return {"where": where, "dark": rng.random(where.shape) < self.dark}

    def change(self, image: Tensor, label: Tensor, values: Values) -> tuple[Tensor, Tensor]:
        space = (2, 3, 4)
        low, mean = image.amin(space, keepdim=True), image.mean(space, keepdim=True)
        fill = torch.where(_by_section(values["dark"], image), low, mean)
        return torch.where(_by_section(values["where"], image), fill, image), label


@dataclass(frozen=True, kw_only=True)
class _Moved(_OfStack):
    """Sections moved in their plane, image and label together, nothing wrapped around.

    What comes in from outside the patch is unknown: the image is 0 there and the label ignored. Sections are shifted
    by whole voxels, or turned about the middle of the patch until its corners move as far as the longest shift.

    Attributes:
        shift: Range of the shift along y and x in voxels.
        p_turn: Probability of a turn instead of a shift.
    """

    shift: Pair = (-16.0, 16.0)
    p_turn: float = 0.5
    moves: ClassVar[bool] = True

    def _motion(self, rng: np.random.Generator, batch: int, shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        """One motion a sample: `shift` (B, 2) in voxels and `angle` (B,) in degrees, one of them 0."""
        low, high = (round(bound) for bound in self.shift)
        shift = rng.integers(low, high + 1, (batch, 2)).astype(np.float64)
        corner = np.hypot(shape[2], shape[3])  # twice the way from the middle
        most = 2 * np.rad2deg(np.arcsin(min(1.0, max(abs(low), abs(high)) / corner)))
        turned = rng.random(batch) < self.p_turn
        angle = rng.uniform(-most, most, batch) * turned
        return {"shift": shift * ~turned[:, None], "angle": angle}

    def change(self, image: Tensor, label: Tensor, values: Values) -> tuple[Tensor, Tensor]:
        found = np.nonzero(values["where"])
        if not found[0].size:
            return image, label
        sample, z = (torch.as_tensor(index, device=image.device) for index in found)
        matrix = turn(values["angle"][found[0], None] * np.array([1.0, 0.0, 0.0]))
        offset = np.pad(-values["shift"][found[0]], ((0, 0), (1, 0)))
        place = (torch.as_tensor(value, dtype=image.dtype, device=image.device) for value in (matrix, offset))
        known = label[sample, :, z][:, :, None].to(torch.int32) - IGNORE  # so that 0, read outside, means ignored
        picture = image[sample, :, z][:, :, None]
        moved, marks = warp(picture, known, matrix=next(place), offset=next(place), field=None, flat=True)
        image, label = image.clone(), label.clone()
        image[sample, :, z] = moved[:, :, 0]
        label[sample, :, z] = (marks[:, :, 0] + IGNORE).to(label.dtype)
        return image, label


@dataclass(frozen=True, kw_only=True)
class ShiftedSection(_Moved):
    """A single section between others lies beside its place, and its label with it.

    With `Misalignment` the two modes of the MitoEM first entry's misalignment (at most 16 voxels, half by rotation).
    """

    def values(self, rng: np.random.Generator, batch: int, shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        return {"where": _some(rng, batch, shape[1], (1, 1), inner=True), **self._motion(rng, batch, shape)}


@dataclass(frozen=True, kw_only=True)
class Misalignment(_Moved):
    """All sections from a cut on lie beside their places, and their labels with them."""

    least: ClassVar[int] = 2

    def values(self, rng: np.random.Generator, batch: int, shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        cut = rng.integers(1, max(shape[1], 2), batch)
        return {"where": np.arange(shape[1]) >= cut[:, None], **self._motion(rng, batch, shape)}


@dataclass(frozen=True, kw_only=True)
class MotionBlur(Step):
    """Smear some sections along a line in their plane; edges are repeated.

    The MitoEM first entry smears two sections over 11 voxels, down or across, with probability one half; here the line
    has any direction.

    Attributes:
        count: Range of the number of sections.
        length: Range of the line's length in voxels; 1 changes nothing.
    """

    count: Pair = (1, 2)
    length: Pair = (5.0, 11.0)

    def values(self, rng: np.random.Generator, batch: int, shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        length = np.rint(rng.uniform(*self.length, batch)).astype(int)
        kernel = line(length, rng.uniform(0, 180, batch), radius=max(0, round(self.length[1])) // 2)
        return {"where": _some(rng, batch, shape[1], self.count), "kernel": kernel}

    def change(self, image: Tensor, label: Tensor, values: Values) -> tuple[Tensor, Tensor]:
        found = np.nonzero(values["where"])
        if not found[0].size:
            return image, label
        sample, z = (torch.as_tensor(index, device=image.device) for index in found)
        picture = image[sample, :, z]
        kernel = np.repeat(values["kernel"][found[0]], picture.shape[1], axis=0)[:, None]
        weight = torch.as_tensor(kernel, dtype=image.dtype, device=image.device)
        pad = (weight.shape[-1] // 2,) * 4
        planes = F.pad(picture.reshape(1, -1, *picture.shape[2:]), pad, mode="replicate")
        image = image.clone()
        image[sample, :, z] = F.conv2d(planes, weight, groups=len(weight)).reshape(picture.shape)
        return image, label


def line(length: NDArray[np.int64], degrees: NDArray[np.float64], *, radius: int) -> NDArray[np.float64]:
    """Lines of weights that sum to 1, `(n, 2 radius + 1, 2 radius + 1)`: 0 degrees lies along x, 90 along y.

    Args:
        length: Voxels of each line `(n,)`, at most `2 radius + 1`.
        degrees: Direction of each `(n,)`.
        radius: Of the squares.

    Example:
        >>> line(np.array([3]), np.array([0.0]), radius=1).round(2).tolist()
        [[[0.0, 0.0, 0.0], [0.33, 0.33, 0.33], [0.0, 0.0, 0.0]]]
    """
    square = np.zeros((len(length), 2 * radius + 3, 2 * radius + 3))  # a rim takes weights of 0 beyond the ends
    for one, count, angle in zip(square, length, np.deg2rad(degrees), strict=True):
        along = np.arange(count) - (count - 1) / 2
        y, x = (np.round(part * along, 9) + radius + 1 for part in (np.sin(angle), np.cos(angle)))
        top, left = np.floor(y).astype(int), np.floor(x).astype(int)
        for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
            share = np.abs(1 - dy - (y - top)) * np.abs(1 - dx - (x - left))
            np.add.at(one, (top + dy, left + dx), share / count)
    return square[:, 1:-1, 1:-1]


def _some(rng: np.random.Generator, batch: int, depth: int, count: Pair, *, inner: bool = False) -> NDArray[np.bool_]:
    """A random choice of sections `(B, z)`; `inner` spares the first and the last, which lack a neighbour."""
    luck = rng.random((batch, depth))
    if inner:
        luck[:, [0, -1]] = np.inf
    low, high = (round(bound) for bound in count)
    many = np.minimum(rng.integers(low, high + 1, batch), max(depth - 2 * inner, 0))
    return luck.argsort(axis=1).argsort(axis=1) < many[:, None]


def _by_section(value: NDArray[Any], like: Tensor) -> Tensor:
    """Parameters `(B, z)` as a tensor that broadcasts against `(B, C, z, y, x)`."""
    return torch.as_tensor(value, device=like.device)[:, None, :, None, None]
