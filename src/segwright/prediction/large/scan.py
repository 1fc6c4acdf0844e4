"""A prepared scan that exists only where it is looked at: turned, normalised and resampled box by box."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from segwright.core.box import Box
from segwright.core.geometry import Geometry, Triple
from segwright.core.plan import PreparePlan
from segwright.core.trail import Turned, turn, turn_for, unturn
from segwright.core.volume import Volume
from segwright.ops.resample import Taps, axis_taps, largest_share
from segwright.prediction.large.survey import Survey
from segwright.prepare.pipeline import interpolation_orders, seen_grid, target_shape


@dataclass(frozen=True)
class LazyScan:
    """A scan on three grids: its own, turned as the plan asks, and resampled (the prepared grid).

    Every box equals that part of what `prepare_image` makes of the whole scan, but that empty borders are not cut
    away and intensities follow the survey.

    Attributes:
        volume: The scan.
        plan: How it is prepared.
        survey: Its intensities.
    """

    volume: Volume
    plan: PreparePlan
    survey: Survey

    @cached_property
    def turned(self) -> Turned | None:
        """The turn from its own axes to the plan's."""
        return turn_for(self.volume.geometry, self.plan.orientation)

    @property
    def deep(self) -> int:
        """The axis of its own grid that becomes the first of the turned one."""
        return self.turned.order[0] if self.turned else 0

    @cached_property
    def grid(self) -> Geometry:
        """The turned grid."""
        return seen_grid(self.volume.geometry, self.plan)

    @cached_property
    def shape(self) -> Triple:
        """Voxels `(z, y, x)` of the prepared grid."""
        return target_shape(self.grid, self.plan)

    def read(self, box: Box, *, repaired: list[int] | None = None) -> NDArray[np.float32]:
        """Voxels `(C, *box.shape)` of a box inside the prepared grid.

        Args:
            box: What to read.
            repaired: Takes the number of voxels that were NaN or infinite.

        Raises:
            ReadError: A part of the scan it needs cannot be read.
        """
        orders = interpolation_orders(self.grid)
        taps = _taps(self.grid.shape, self.shape, box, orders)
        source = _needed(box, taps)
        array = self.volume.array(self.to_source(source)).astype(np.float32, copy=True)
        broken = [i.apply(channel) for channel, i in zip(array, self.survey.channels, strict=True)]
        if repaired is not None:
            repaired.append(sum(broken))
        return _mapped(turn(array, self.turned) if self.turned else array, taps, source)

    def to_source(self, box: Box) -> Box:
        """A box of the turned grid on the scan's own grid."""
        if self.turned is None:
            return box
        start, stop = [0, 0, 0], [0, 0, 0]
        for axis, old in enumerate(self.turned.order):
            a, b = box.start[axis], box.stop[axis]
            if axis in self.turned.flips:
                a, b = self.grid.shape[axis] - b, self.grid.shape[axis] - a
            start[old], stop[old] = a, b
        return Box(tuple(start), tuple(stop))

    def to_turned(self, box: Box) -> Box:
        """A box of the scan's own grid on the turned grid."""
        if self.turned is None:
            return box
        pairs = []
        for axis, old in enumerate(self.turned.order):
            a, b = box.start[old], box.stop[old]
            n = self.grid.shape[axis]
            pairs.append((n - b, n - a) if axis in self.turned.flips else (a, b))
        return Box(tuple(a for a, _ in pairs), tuple(b for _, b in pairs))

    def needed(self, box: Box) -> Box:
        """The box of the prepared grid that scores for a box of the turned grid are made of."""
        return _needed(box, _taps(self.shape, self.grid.shape, box, (1, 1, 1)))

    def restore(self, scores: NDArray[np.float32], box: Box) -> NDArray[np.float32]:
        """Scores `(K, ...)` of `needed(box)` as scores `(K, *shape)` of that box on the scan's own grid."""
        taps = _taps(self.shape, self.grid.shape, box, (1, 1, 1))
        restored = _mapped(scores, taps, _needed(box, taps))
        return unturn(restored, self.turned) if self.turned else restored

    def restore_ids(self, ids: NDArray[np.uint32], box: Box) -> NDArray[np.uint32]:
        """Ids of `needed(box)`, without gaps, on that box of the scan's own grid `(z, y, x)`, as `resample_labels`."""
        lengths = zip(self.shape, self.grid.shape, strict=True)
        maps = (axis_taps(old, new, order=0 if old == new else 1) for old, new in lengths)
        rows = [table.rows(a, b) for table, a, b in zip(maps, box.start, box.stop, strict=True)]
        start = self.needed(box).start
        restored = largest_share(ids, [table.shift(a) for table, a in zip(rows, start, strict=True)])
        return unturn(restored[None], self.turned)[0] if self.turned else restored


def _taps(old: Triple, new: Triple, box: Box, orders: Triple) -> dict[int, Taps]:
    """Maps onto a box of the new grid, for axes whose length changes."""
    return {
        a: axis_taps(old[a], new[a], orders[a]).rows(box.start[a], box.stop[a]) for a in range(3) if old[a] != new[a]
    }


def _needed(box: Box, taps: dict[int, Taps]) -> Box:
    """Inputs that a box of outputs needs."""
    spans = [taps[a].span if a in taps else (box.start[a], box.stop[a]) for a in range(3)]
    return Box(tuple(a for a, _ in spans), tuple(b for _, b in spans))


def _mapped(array: NDArray[np.float32], taps: dict[int, Taps], source: Box) -> NDArray[np.float32]:
    for axis, table in sorted(taps.items(), key=lambda item: len(item[1].index) / array.shape[item[0] + 1]):
        array = table.shift(source.start[axis]).apply(np.ascontiguousarray(array), axis + 1)
    return array
