"""Sliding windows over a prepared scan, streamed through restoring and decoding, without scores at full size."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segwright.core.box import Box
from segwright.core.errors import GeometryError
from segwright.core.geometry import Triple
from segwright.core.plan import Plan, RowPlan, WindowPlan
from segwright.ops.crop import Mode, read_box
from segwright.ops.distance import step_lengths
from segwright.ops.windows import importance_profile, total_weight, window_starts
from segwright.prediction.ensemble import Forward
from segwright.prepare.pipeline import Prepared
from segwright.prepare.restore import Decode, Keep, ScoreRestorer

#: Score values a slab may hold at once (64 MB); a single slice may exceed it.
SLAB_VALUES = 16_000_000

Slab = tuple[int, int, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class AxisCover:
    """How windows lie along one axis, in padded coordinates.

    Attributes:
        length: Voxels of the scan.
        before: Padding in front of the scan.
        size: Voxels a window.
        starts: First voxel of each window.
        profile: `(size,)` weight inside a window; all 1 where a single window covers the axis.
        total: Sum of weights of each padded voxel.
    """

    length: int
    before: int
    size: int
    starts: tuple[int, ...]
    profile: NDArray[np.float32]
    total: NDArray[np.float32]

    @classmethod
    def of(cls, length: int, size: int, divisor: int, overlap: float, *, alike: bool = False) -> AxisCover:
        """Cover `length` voxels by windows of `size`, which is rounded up to a multiple of `divisor`.

        A shorter axis is padded evenly up to a multiple of `divisor`, and to two of them if the window has room:
        normalisation over a single coarse voxel would erase it. Its voxels count `alike`, or most in the middle.
        """
        size = -(-size // divisor) * divisor
        if length <= size:
            size = min(size, max(-(-length // divisor), 2) * divisor)
            ones = np.ones(size, dtype=np.float32)
            return cls(length, (size - length) // 2, size, (0,), ones, ones)
        starts = window_starts(length, size, overlap)
        profile = np.ones(size, dtype=np.float32) if alike else importance_profile(size)
        return cls(length, 0, size, starts, profile, total_weight(profile, starts, length))


def axis_covers(shape: Sequence[int], window: WindowPlan, divisor: Sequence[int]) -> list[AxisCover]:
    """How a plan's windows cover a scan of `shape` `(z, y, x)`, axis by axis."""
    alike = (window.blend == "slices", False, False)
    axes = zip(shape, window.size, divisor, alike, strict=True)
    return [AxisCover.of(length, size, step, window.overlap, alike=same) for length, size, step, same in axes]


def predict_slabs(
    image: NDArray[np.float32],
    forward: Forward,
    *,
    window: WindowPlan,
    context: Triple = (0, 0, 0),
    divisor: Triple = (1, 1, 1),
    pad: Mode = "constant",
) -> Iterator[Slab]:
    """Scores of a prepared scan of any size, slab by slab in z order.

    Windows overlap and blend with the plan's weights; only slices that a later window may still change are held. A scan
    that one window covers goes through `forward` once, unweighted. Run it under `torch.inference_mode`.

    Args:
        image: float32 `(C, z, y, x)`; any array that can be sliced, a memory map too.
        forward: `(B, C, z + 2 * context, y, x)` to scores `(B, K, z, y, x)`; moves to its own device.
        window: Size that is written `(z, y, x)`, overlap, windows a batch. Results do not depend on the batch.
        context: Slices a side that the network reads but does not predict.
        divisor: Window lengths are multiples of this.
        pad: What lies outside the scan: 0 as in training (the mean of a normalised scan), or the nearest voxel.

    Yields:
        `z0, z1, scores`: float32 `(K, z1 - z0, y, x)`; slabs follow one another and cover every slice once.

    Raises:
        GeometryError: `forward` returned another size than the window's.
    """
    lengths = image.shape[1:]
    cover = axis_covers(lengths, window, divisor)
    band = _Band(cover)
    starts = list(itertools.product(*(axis.starts for axis in cover)))
    for first in range(0, len(starts), window.batch):
        chunk = starts[first : first + window.batch]
        batch = torch.from_numpy(np.stack([_read(image, start, cover, context, pad) for start in chunk]))
        band.add(chunk, forward(batch))
        after = first + len(chunk)
        yield from band.finished(starts[after][0] if after < len(starts) else None)


def _read(
    image: NDArray[np.float32], start: Sequence[int], cover: Sequence[AxisCover], context: Triple, pad: Mode
) -> NDArray[np.float32]:
    """The input of one window: its box grown by the context."""
    corner = [a - axis.before for a, axis in zip(start, cover, strict=True)]
    box = Box(tuple(corner), tuple(a + axis.size for a, axis in zip(corner, cover, strict=True))).grow(context)
    return np.ascontiguousarray(read_box(image, box, mode=pad), dtype=np.float32)


class _Band:
    """Weighted score sums of the slices that are still open, one tensor `(K, y, x)` a slice."""

    def __init__(self, cover: Sequence[AxisCover]) -> None:
        self.cover = cover
        self.open: dict[int, Tensor] = {}
        self.next = cover[0].before
        self.inner = tuple(slice(axis.before, axis.before + axis.length) for axis in cover[1:])
        self.in_plane = torch.from_numpy(np.multiply.outer(cover[1].profile, cover[2].profile))
        self.total = np.multiply.outer(cover[1].total, cover[2].total)[self.inner]

    def add(self, starts: Sequence[Sequence[int]], scores: Tensor) -> None:
        """Add the scores `(B, K, z, y, x)` of windows at `starts`, each slice weighted."""
        size = tuple(axis.size for axis in self.cover)
        if scores.shape[0] != len(starts) or tuple(scores.shape[2:]) != size:
            raise GeometryError(
                "The network returned another size than its window.",
                expected=(len(starts), "K", *size),
                got=tuple(scores.shape),
                hint="Check the network's divisor and context.",
            )
        if self.in_plane.device != scores.device:
            self.in_plane = self.in_plane.to(scores.device)
        for (z, y, x), window in zip(starts, scores.detach(), strict=True):
            weighted = (window.float() * self.in_plane).cpu()
            for k, weight in enumerate(self.cover[0].profile):
                if self._inside(z + k):
                    part = self._slice(z + k, weighted.shape[0])[:, y : y + size[1], x : x + size[2]]
                    part.add_(weighted[:, k], alpha=float(weight))

    def _inside(self, z: int) -> bool:
        return self.cover[0].before <= z < self.cover[0].before + self.cover[0].length

    def _slice(self, z: int, channels: int) -> Tensor:
        """The open sum of a padded slice, begun with zeros."""
        if z not in self.open:
            self.open[z] = torch.zeros(channels, len(self.cover[1].total), len(self.cover[2].total))
        return self.open[z]

    def finished(self, upto: int | None) -> Iterator[Slab]:
        """Close the slices below `upto` (all if `None`) and hand them out, divided by their weights."""
        axis = self.cover[0]
        last = axis.before + axis.length
        stop = last if upto is None else min(upto, last)
        while self.next < stop:
            size = max(1, SLAB_VALUES // self.open[self.next].numel())
            stack = range(self.next, min(self.next + size, stop))
            scores = np.stack([self._closed(z) for z in stack], axis=1)
            yield stack.start - axis.before, stack.stop - axis.before, scores
            self.next = stack.stop

    def _closed(self, z: int) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = self.open.pop(z)[:, self.inner[0], self.inner[1]].numpy()
        return scores / (self.total * self.cover[0].total[z])


#: Scores `(C, z, y, x)` of a whole scan and the lengths of its voxels, to scores and what was decided on the way.
Lengths = tuple[float, float, float]
Settle = Callable[[NDArray[np.float32], Lengths, RowPlan | None], tuple[NDArray[np.float32], dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Streamed:
    """What a scan became.

    Attributes:
        labels: Canonical labels `(P, z, y, x)` on the scan's own grid.
        scores: Structure scores uint8 `(K, z, y, x)` on that grid, or `None`.
        repaired: Voxels that were NaN or infinite and were replaced.
        told: What `settle` decided.
    """

    labels: NDArray[Any]
    scores: NDArray[np.uint8] | None
    repaired: int
    told: dict[str, Any] = field(default_factory=dict)


def segment_prepared(
    prepared: Prepared,
    forward: Forward,
    *,
    plan: Plan,
    decode: Decode,
    settle: Settle | None = None,
    keep: Keep | None = None,
) -> Streamed:
    """Segment a prepared scan of any size on its own grid.

    Args:
        prepared: From `prepare_image`, or from the cache.
        forward: Windows `(B, C, z, y, x)` to scores `(B, K, z, y, x)`, mirrored copies and members included.
        plan: Its `window`, `labels`, `net` and `row` are read.
        decode: Scores `(K, dz, y, x)` to canonical labels `(P, dz, y, x)`.
        settle: Applied to the scores of the whole prepared scan before they are restored, where a target needs to
            see all of it at once; without it, scores of the whole scan never exist.
        keep: Which scores to return as well, `target.structure_scores` or all; none by default.
    """
    restorer = ScoreRestorer(prepared.trail, plan.labels, decode, keep=keep)
    told: dict[str, Any] = {}
    with torch.inference_mode():
        slabs: Iterable[Slab] = predict_slabs(
            prepared.array, forward, window=plan.window, context=plan.net.context, divisor=plan.net.divisor
        )
        if settle is not None:
            target = prepared.trail.target
            whole = np.concatenate([scores for _, _, scores in slabs], axis=1)
            settled, told = settle(whole, step_lengths(target.shape, target.spacing)[0], plan.row)
            slabs = [(0, settled.shape[1], settled)]
        for z0, z1, scores in slabs:
            restorer.feed(z0, z1, scores)
    return Streamed(restorer.finish(), restorer.scores, prepared.repaired, told)
