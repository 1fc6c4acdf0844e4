"""Intensities of a volume that is never read whole: measured once on a seeded sample, then the same for every block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.appearance import Appearance
from segwright.core.box import Box, tile
from segwright.core.document import Part
from segwright.core.errors import PlanError, ReadError, SegwrightError
from segwright.core.plan import Normalisation
from segwright.core.seed import derive
from segwright.core.volume import Volume
from segwright.ops.appearance import appearance
from segwright.ops.intensity import SAMPLE_VOXELS

#: Boxes that are looked at, and their size `(z, y, x)`; smaller volumes are read whole.
BOXES, SIZE = 64, (16, 256, 256)


class Intensities(Part):
    """How every block maps one channel: repair, clip to `[low, high]`, subtract `mean`, divide by `std`.

    Attributes:
        low: Lower clip, or `None`; infinities take `lowest`.
        high: Upper clip, or `None`.
        lowest: Smallest finite value seen.
        highest: Largest finite value seen.
        nonzero: Voxels that are exactly 0 stay 0.
        constant: Nothing varied in the sample: the channel becomes 0 (with `nonzero`, 1 inside).
    """

    low: float | None = None
    high: float | None = None
    lowest: float = 0.0
    highest: float = 0.0
    mean: float = 0.0
    std: float = 1.0
    nonzero: bool = False
    constant: bool = False

    def apply(self, channel: NDArray[np.float32]) -> int:
        """Map float32 voxels in place; returns how many were NaN or infinite."""
        bad = ~np.isfinite(channel)
        broken = int(np.count_nonzero(bad))
        if broken:
            nan = min(max(0.0, self.lowest), self.highest)
            np.nan_to_num(channel, copy=False, nan=nan, posinf=self.highest, neginf=self.lowest)
        outside = channel == 0 if self.nonzero else None
        if self.constant:
            channel[...] = 0 if outside is None else ~outside
            return broken
        if self.low is not None or self.high is not None:
            np.clip(channel, self.low, self.high, out=channel)
        channel -= np.float32(self.mean)
        channel /= np.float32(self.std if self.std > 0 else 1.0)
        if outside is not None:
            channel[outside] = 0
        return broken


class Survey(Part):
    """What a sample of a volume showed.

    Attributes:
        channels: One mapping a channel.
        boxes: Boxes that were looked at.
        voxels: Values a channel that statistics rest on.
        appearance: How the boxes look; `None` where none could be read whole.
        unreadable: Boxes that could not be read, in words.
    """

    channels: tuple[Intensities, ...]
    boxes: int
    voxels: int
    appearance: Appearance | None = None
    unreadable: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"intensities from {self.voxels:,} voxels of {self.boxes} boxes"


def survey(volume: Volume, rules: Sequence[Normalisation], seed: int = 0) -> Survey:
    """Measure each channel on boxes drawn over the whole volume (all of them, where there are few).

    Raises:
        ReadError: Not one box can be read.

    Example:
        >>> from segwright.core.geometry import Geometry
        >>> scan = Volume.of(np.array([1.0, 3.0]), Geometry.from_spacing((1, 1, 2)))
        >>> survey(scan, [Normalisation(low_percentile=0, high_percentile=100)]).channels[0].mean
        2.0
    """
    chosen = _boxes(volume.geometry.shape, seed)
    limit = max(1, SAMPLE_VOXELS // len(chosen))
    parts: list[NDArray[np.float32]] = []
    planes: list[NDArray[np.float32]] = []
    failed: list[str] = []
    for box in chosen:
        try:
            block = volume.array(box)
            parts.append(_values(block, limit))
            planes.append(block[:, :1].copy())
        except SegwrightError as error:
            failed.append(f"voxels {box.start} to {box.stop}: {error.got or error.what}")
            parts += _readable(volume, box, limit)
    if not parts:
        raise ReadError(
            "No part of the volume can be read.",
            got=failed[0],
            where=str(volume.header.get("path", "")),
            hint="Copy the volume again.",
        )
    sample = np.concatenate(parts, axis=1)
    channels = tuple(_measure(values, rule) for values, rule in zip(sample, rules, strict=True))
    return Survey(
        channels=channels,
        boxes=len(chosen),
        voxels=sample.shape[1],
        appearance=appearance(planes) if planes else None,
        unreadable=tuple(failed[:20]),
    )


def _values(block: NDArray[Any], limit: int) -> NDArray[np.float32]:
    """At most about `limit` values a channel of `(C, z, y, x)`, `(C, n)`."""
    values = block.reshape(len(block), -1).astype(np.float32)
    return values[:, :: max(1, values.shape[1] // limit) | 1 if values.shape[1] > limit else 1]


def _readable(volume: Volume, box: Box, limit: int) -> list[NDArray[np.float32]]:
    """What can be read of a box: small pieces beside a broken chunk, or else planes between broken sections."""
    for size in ((SIZE[0], SIZE[1] // 16, SIZE[2] // 16), (1, SIZE[1], SIZE[2])):
        parts = []
        for piece in tile(box.shape, size):
            with suppress(SegwrightError):
                parts.append(_values(volume.array(piece.shift(box.start)), limit))
        if parts:
            return parts
    return []


def _boxes(shape: tuple[int, int, int], seed: int) -> list[Box]:
    """Boxes in grid order: all of a small volume, a seeded choice of a large one."""
    counts = [-(-n // s) for n, s in zip(shape, SIZE, strict=True)]
    total = math.prod(counts)
    if total <= BOXES:
        return list(tile(shape, SIZE))
    chosen = np.sort(derive(seed, "survey", *shape).choice(total, BOXES, replace=False))
    starts = np.stack(np.unravel_index(chosen, counts), axis=1) * np.array(SIZE)
    return [Box(tuple(s), tuple(np.minimum(s + np.array(SIZE), shape))) for s in starts]


def _measure(values: NDArray[np.float32], rule: Normalisation) -> Intensities:
    if rule.scheme == "local":
        hint = "Predict it whole (without --workers), or fit with normalise=case."
        raise PlanError("Local contrast is not taken block by block.", where="normalise", hint=hint)
    finite = values[np.isfinite(values)]
    lowest, highest = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if rule.scheme == "none":
        return Intensities(lowest=lowest, highest=highest)
    seen = partial(Intensities, lowest=lowest, highest=highest)
    if rule.scheme == "fixed":
        return seen(low=rule.low, high=rule.high, mean=rule.mean, std=rule.std)
    sample = finite[finite != 0] if rule.nonzero else finite
    if sample.size == 0 or sample.min() == sample.max():
        return seen(nonzero=rule.nonzero, constant=True)
    low, high = np.percentile(sample, (rule.low_percentile, rule.high_percentile))
    if not low < high:  # nearly constant with rare content, which clipping would erase
        low, high = sample.min(), sample.max()
    sample = np.clip(sample, low, high)
    mean, std = float(sample.mean(dtype=np.float64)), float(sample.std(dtype=np.float64))
    return seen(low=float(low), high=float(high), mean=mean, std=std, nonzero=rule.nonzero)
