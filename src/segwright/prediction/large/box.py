"""Scores of one box of a scan, equal to what the whole scan would get there: windows lie on the grid of the whole."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from segwright.core.box import Box
from segwright.core.geometry import Triple
from segwright.core.plan import WindowPlan
from segwright.ops.crop import read_box
from segwright.prediction.tta import Forward
from segwright.prediction.window import AxisCover, axis_covers

Read = Callable[[Box], NDArray[np.float32]]


def predict_box(
    read: Read, shape: Triple, forward: Forward, box: Box, *, window: WindowPlan, net: tuple[Triple, Triple]
) -> NDArray[np.float32]:
    """Scores `(K, *box.shape)` of a box, the same as `predict_slabs` gives there for the whole scan.

    Windows that reach over the box's faces are predicted for each box they touch: the price of results that do not
    depend on how a volume is cut.

    Args:
        read: Prepared voxels `(C, ...)` of a box inside the scan.
        shape: Prepared voxels `(z, y, x)` of the whole scan.
        forward: Windows `(B, C, z + 2 * context, y, x)` to scores `(B, K, z, y, x)`.
        box: Part that is wanted.
        window: Size, overlap, windows a batch.
        net: Context and divisor of the network, see `predict_slabs`.
    """
    context, divisor = net
    cover = axis_covers(shape, window, divisor)
    starts = list(itertools.product(*(touching(c, a, b) for c, a, b in zip(cover, box.start, box.stop, strict=True))))
    image = _Image(read, shape, [_input(start, cover, context) for start in (starts[0], starts[-1])])
    sums: NDArray[np.float32] | None = None
    with torch.inference_mode():
        for chunk in _batches(starts, window.batch):
            batch = np.stack([image.part(_input(start, cover, context)) for start in chunk])
            scores = forward(torch.from_numpy(batch)).float().cpu().numpy()
            if sums is None:
                sums = np.zeros((scores.shape[1], *box.shape), dtype=np.float32)
            for start, one in zip(chunk, scores, strict=True):
                _add(sums, box, one, start, cover)
    assert sums is not None
    for axis, (c, a, b) in enumerate(zip(cover, box.start, box.stop, strict=True)):
        sums /= c.total[a + c.before : b + c.before].reshape([-1 if i == axis else 1 for i in range(3)])
    return sums


def touching(cover: AxisCover, start: int, stop: int) -> tuple[int, ...]:
    """Starts, in padded coordinates, of the windows that touch voxels `start <= i < stop` of the scan.

    Example:
        >>> touching(AxisCover.of(16, 4, 1, 0.5), 5, 6)
        (2, 4)
    """
    first, last = start + cover.before, stop + cover.before
    return tuple(s for s in cover.starts if s < last and s + cover.size > first)


def reach(shape: Triple, window: WindowPlan, box: Box, context: Triple, divisor: Triple) -> Box:
    """The part of the scan that scores of a box depend on."""
    cover = axis_covers(shape, window, divisor)
    ends = [touching(c, a, b) for c, a, b in zip(cover, box.start, box.stop, strict=True)]
    low, high = (_input([e[i] for e in ends], cover, context) for i in (0, -1))
    return Box(low.start, high.stop).clip(shape)


class _Image:
    """What all windows of a box read, fetched once; 0 outside the scan, as in training."""

    def __init__(self, read: Read, shape: Triple, corners: Sequence[Box]) -> None:
        self.box = Box(corners[0].start, corners[-1].stop).clip(shape)
        self.array = read(self.box)

    def part(self, box: Box) -> NDArray[np.float32]:
        inside = box.shift([-a for a in self.box.start])
        return np.ascontiguousarray(read_box(self.array, inside, mode="constant"), dtype=np.float32)


def _input(start: Sequence[int], cover: Sequence[AxisCover], context: Triple) -> Box:
    """Input of the window at `start`, in coordinates of the scan."""
    corner = [a - c.before for a, c in zip(start, cover, strict=True)]
    return Box(tuple(corner), tuple(a + c.size for a, c in zip(corner, cover, strict=True))).grow(context)


def _batches(starts: Sequence[tuple[int, ...]], size: int) -> Iterator[Sequence[tuple[int, ...]]]:
    for first in range(0, len(starts), size):
        yield starts[first : first + size]


def _add(
    sums: NDArray[np.float32], box: Box, scores: NDArray[np.float32], start: Sequence[int], cover: Sequence[AxisCover]
) -> None:
    """Add the part of a window's weighted scores that lies in the box."""
    window = tuple(a - c.before for a, c in zip(start, cover, strict=True))
    common = Box(window, tuple(a + c.size for a, c in zip(window, cover, strict=True))).intersect(box)
    part = scores[(slice(None), *common.shift([-a for a in window]).slices)]
    for axis, c in enumerate(cover):
        weight = c.profile[common.start[axis] - window[axis] : common.stop[axis] - window[axis]]
        part = part * weight.reshape([-1 if i == axis else 1 for i in range(3)])
    sums[(slice(None), *common.shift([-a for a in box.start]).slices)] += part
