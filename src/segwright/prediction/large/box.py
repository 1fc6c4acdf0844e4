"""Scores of boxes of a scan, equal to what the whole scan would get there: windows lie on the grid of the whole."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from segwright.core.box import Box
from segwright.core.geometry import Triple
from segwright.core.plan import WindowPlan
from segwright.ops.crop import read_box
from segwright.prediction.ensemble import Forward
from segwright.prediction.window import AxisCover, axis_covers

Read = Callable[[Box], NDArray[np.float32]]

#: Slices that are read at once, so that chunks which reach over several slices are not decoded for each of them.
DEEP = 32


def predict_boxes(
    read: Read, shape: Triple, forward: Forward, boxes: Sequence[Box], *, window: WindowPlan, net: tuple[Triple, Triple]
) -> Iterator[NDArray[np.float32]]:
    """Scores `(K, *box.shape)` of a row of boxes, the same as `predict_slabs` gives there for the whole scan.

    Windows that reach over the row's outer faces are predicted for each row they touch: the price of results that do
    not depend on how a volume is cut. Within the row each window is predicted once, and no more is held than the slices
    of one layer of windows and the boxes that it touches, so that a row may be long.

    Args:
        read: Prepared voxels `(C, ...)` of a box inside the scan; each voxel is asked for once.
        shape: Prepared voxels `(z, y, x)` of the whole scan.
        forward: Windows `(B, C, z + 2 * context, y, x)` to scores `(B, K, z, y, x)`.
        boxes: Parts that are wanted, of one extent in y and x, in the order of their slices; they may share some.
        window: Size, overlap, windows a batch.
        net: Context and divisor of the network, see `predict_slabs`.
    """
    context, divisor = net
    cover = axis_covers(shape, window, divisor)
    row = Box(boxes[0].start, boxes[-1].stop)
    layers, *plane = [touching(c, a, b) for c, a, b in zip(cover, row.start, row.stop, strict=True)]
    corners = [_input([ends[i] for ends in (layers, *plane)], cover, context) for i in (0, -1)]
    image = _Image(read, Box(corners[0].start, corners[1].stop).clip(shape))
    weight = _weight(cover)
    waiting, still_open = deque(boxes), deque[_Sum]()
    for z in layers:
        first = z - cover[0].before
        while still_open and still_open[0].box.stop[0] <= first:
            yield still_open.popleft().mean(cover)
        while waiting and waiting[0].start[0] < first + cover[0].size:
            still_open.append(_Sum(waiting.popleft()))
        for chunk in _batches([(z, y, x) for y, x in itertools.product(*plane)], window.batch):
            batch = np.stack([image.part(_input(start, cover, context)) for start in chunk])
            for start, scores in zip(chunk, _scores(forward, batch), strict=True):
                scores *= weight
                for one in still_open:
                    one.add(scores, _input(start, cover, (0, 0, 0)))
    while still_open:
        yield still_open.popleft().mean(cover)


def _scores(forward: Forward, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores of a batch of windows, channel after channel, in an array of its own."""
    with torch.inference_mode():
        scores = forward(torch.from_numpy(batch)).to(device="cpu", dtype=torch.float32)
        given: NDArray[np.float32] = scores.clone(memory_format=torch.contiguous_format).numpy()
    return given


def _weight(cover: Sequence[AxisCover]) -> NDArray[np.float32]:
    """How much each voxel of a window counts."""
    z, y, x = (axis.profile for axis in cover)
    return z[:, None, None] * y[:, None] * x


def touching(cover: AxisCover, start: int, stop: int) -> tuple[int, ...]:
    """Starts, in padded coordinates, of the windows that touch voxels `start <= i < stop` of the scan.

    Example:
        >>> touching(AxisCover.of(16, 4, 1, 0.5), 5, 6)
        (2, 4)
    """
    first, last = start + cover.before, stop + cover.before
    return tuple(s for s in cover.starts if s < last and s + cover.size > first)


def count_windows(shape: Triple, boxes: Sequence[Box], window: WindowPlan, divisor: Triple) -> int:
    """How many windows `predict_boxes` predicts for a row of boxes."""
    cover = axis_covers(shape, window, divisor)
    ends = zip(cover, boxes[0].start, boxes[-1].stop, strict=True)
    return math.prod(len(touching(axis, low, high)) for axis, low, high in ends)


def reach(shape: Triple, window: WindowPlan, box: Box, context: Triple, divisor: Triple) -> Box:
    """The part of the scan that scores of a box depend on."""
    cover = axis_covers(shape, window, divisor)
    ends = [touching(c, a, b) for c, a, b in zip(cover, box.start, box.stop, strict=True)]
    low, high = (_input([e[i] for e in ends], cover, context) for i in (0, -1))
    return Box(low.start, high.stop).clip(shape)


class _Image:
    """What the windows of a row read, in the order of slices; 0 outside the scan, as in training.

    Args:
        read: Prepared voxels of a box.
        box: All that will be looked at.
    """

    def __init__(self, read: Read, box: Box) -> None:
        self.read, self.box = read, box
        self.planes: dict[int, NDArray[np.float32]] = {}
        self.next = box.start[0]

    def part(self, box: Box) -> NDArray[np.float32]:
        """Voxels of a window; slices in front of it are forgotten."""
        common = box.intersect(self.box)
        for z in [z for z in self.planes if z < common.start[0]]:
            del self.planes[z]
        while self.next < common.stop[0]:
            self._advance()
        _, y, x = common.shift([-a for a in self.box.start]).slices
        seen = np.stack([self.planes[z][:, y, x] for z in range(common.start[0], common.stop[0])], axis=1)
        return read_box(seen, box.shift([-a for a in common.start]), mode="constant")

    def _advance(self) -> None:
        """Read the next slices; each is kept by itself, so that it can be let go by itself."""
        (_, *low), (_, *high) = self.box.start, self.box.stop
        stop = min(self.next + DEEP, self.box.stop[0])
        array = self.read(Box((self.next, *low), (stop, *high)))
        for offset, plane in enumerate(array.swapaxes(0, 1)):
            self.planes[self.next + offset] = np.array(plane, dtype=np.float32)
        self.next = stop


class _Sum:
    """Weighted scores of a box, as far as its windows have come."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.values: NDArray[np.float32] | None = None

    def add(self, scores: NDArray[np.float32], window: Box) -> None:
        """Add the part of a window's weighted scores `(K, *window.shape)` that lies in the box."""
        if self.values is None:
            self.values = np.zeros((len(scores), *self.box.shape), dtype=np.float32)
        common = window.intersect(self.box)
        here, there = (common.shift([-a for a in one.start]).slices for one in (self.box, window))
        self.values[:, *here] += scores[:, *there]

    def mean(self, cover: Sequence[AxisCover]) -> NDArray[np.float32]:
        """The scores divided by the weights of all windows; call it once, it overwrites the sums."""
        assert self.values is not None
        total = [
            c.total[a + c.before : b + c.before] for c, a, b in zip(cover, self.box.start, self.box.stop, strict=True)
        ]
        plane = np.multiply.outer(total[1], total[2])
        for z, weight in enumerate(total[0]):
            self.values[:, z] /= plane * weight
        return self.values


def _input(start: Sequence[int], cover: Sequence[AxisCover], context: Triple) -> Box:
    """Input of the window at `start`, in coordinates of the scan."""
    corner = [a - c.before for a, c in zip(start, cover, strict=True)]
    return Box(tuple(corner), tuple(a + c.size for a, c in zip(corner, cover, strict=True))).grow(context)


def _batches(starts: Sequence[tuple[int, ...]], size: int) -> Iterator[Sequence[tuple[int, ...]]]:
    for first in range(0, len(starts), size):
        yield starts[first : first + size]
