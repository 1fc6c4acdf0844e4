"""The way back: results on the prepared grid become labels on the scan's own grid, slab by slab."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import GeometryError
from segwright.core.labels import LabelSpace
from segwright.core.trail import Trail
from segwright.ops.resample import axis_taps, resample, resample_labels, resample_slab
from segwright.prepare.pipeline import unresampled

Decode = Callable[[NDArray[np.float32]], NDArray[Any]]
Keep = Callable[[NDArray[np.float32]], NDArray[np.float32]]

#: Score values a restored slab may hold at once (64 MB); a single slice may exceed it.
SLAB_VALUES = 16_000_000


def restore_labels(labels: NDArray[Any], trail: Trail, space: LabelSpace) -> NDArray[Any]:
    """Canonical labels `(P, z, y, x)` of the prepared grid on the trail's source grid; 0 outside the crop.

    Raises:
        GeometryError: The labels do not lie on the trail's target grid.
    """
    _same_shape(labels.shape[1:], trail.target.shape)
    restored = np.zeros((labels.shape[0], *trail.source.shape), dtype=labels.dtype)
    view = unresampled(restored, trail)
    view[...] = resample_labels(labels, view.shape[1:], space=space)
    return restored


def restore_scores(scores: NDArray[np.uint8], trail: Trail) -> NDArray[np.uint8]:
    """Scores `(K, z, y, x)` of the prepared grid, resampled linearly, on the trail's source grid; 0 outside the crop.

    Raises:
        GeometryError: The scores do not lie on the trail's target grid.
    """
    _same_shape(scores.shape[1:], trail.target.shape)
    restored = np.zeros((len(scores), *trail.source.shape), np.uint8)
    view = unresampled(restored, trail)
    for plane, out in zip(scores, view, strict=True):
        out[...] = np.rint(resample(plane[None].astype(np.float32), view.shape[1:])[0])
    return restored


def _same_shape(got: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if tuple(got) != tuple(expected):
        raise GeometryError("The result does not lie on the prepared grid.", expected=expected, got=tuple(got))


class ScoreRestorer:
    """Turns score slabs of the prepared grid, given in z order, into labels on the scan's own grid.

    Each slab is resampled linearly as soon as the slices it needs have come, decoded, and written into the label
    array; scores of the whole scan never exist at full size.

    Args:
        trail: Way from the scan to the prepared grid.
        space: Meaning of the labels.
        decode: Scores `(K, dz, y, x)` to canonical labels `(P, dz, y, x)`.
        keep: What of the scores to keep beside the labels, as uint8 (255 is 1) on the scan's grid: those of the
            structures, or all that objects are decoded from; nothing by default.

    Example:
        >>> from segwright.core.geometry import Geometry
        >>> grid = Geometry.from_spacing((2, 1, 1))
        >>> space = LabelSpace(structures=[{"name": "a"}])
        >>> restorer = ScoreRestorer(Trail(grid, grid), space, lambda scores: scores > 0.5)
        >>> restorer.feed(0, 2, np.array([0.2, 0.9], np.float32).reshape(1, 2, 1, 1))
        >>> restorer.finish().ravel().tolist()
        [0, 1]
    """

    def __init__(self, trail: Trail, space: LabelSpace, decode: Decode, *, keep: Keep | None = None) -> None:
        self._decode = decode
        self._length = trail.target.shape[0]
        self._labels = np.zeros((space.planes, *trail.source.shape), dtype=space.dtype)
        self._view = unresampled(self._labels, trail)
        self._shape = self._view.shape[1:]
        self._prepared = trail.target.shape
        if not trail.resampled:
            _same_shape(self._shape, self._prepared)
        self.scores: NDArray[np.uint8] | None = None
        self._keep = keep
        self._trail = trail
        self._taps = axis_taps(self._length, self._shape[0], order=0 if self._length == self._shape[0] else 1)
        self._block: NDArray[np.float32] | None = None
        self._first = 0
        self._got = 0
        self._done = 0

    def feed(self, z0: int, z1: int, scores: NDArray[np.float32]) -> None:
        """Take slices `z0 <= z < z1` of the prepared grid, `(K, z1 - z0, y, x)`; they must follow the last ones.

        Raises:
            GeometryError: Slices are missing, repeated, or of another shape.
        """
        if z0 != self._got:
            raise GeometryError("Score slabs must come in z order.", expected=f"slice {self._got}", got=f"slice {z0}")
        _same_shape(scores.shape[1:], (z1 - z0, *self._prepared[1:]))
        self._block = scores if self._block is None else np.concatenate([self._block, scores], axis=1)
        self._got = z1
        ready = int(np.searchsorted(self._taps.index[:, -1], z1, side="left"))
        size = max(1, SLAB_VALUES // (scores.shape[0] * self._shape[1] * self._shape[2]))
        for start in range(self._done, ready, size):
            self._write(start, min(start + size, ready))
        self._done = ready
        self._forget()

    def _write(self, start: int, stop: int) -> None:
        """Restore, decode and store slices of the scan's (turned, cropped) grid."""
        low, high = self._taps.rows(start, stop).span
        assert self._block is not None
        part = self._block[:, low - self._first : high - self._first]
        slab = resample_slab(part, self._shape, rows=(start, stop), first=low, length=self._length)
        self._view[:, start:stop] = self._decode(slab)
        if self._keep is not None:
            kept = self._keep(slab)
            if self.scores is None:
                self.scores = np.zeros((len(kept), *self._trail.source.shape), dtype=np.uint8)
                self._score_view = unresampled(self.scores, self._trail)
            self._score_view[:, start:stop] = np.rint(np.clip(kept, 0, 1) * 255)

    def _forget(self) -> None:
        """Drop slices that no later output needs; the copy lets the larger block go."""
        assert self._block is not None
        needed = min(int(self._taps.index[self._done, 0]), self._got) if self._done < self._shape[0] else self._got
        self._block = self._block[:, max(0, needed - self._first) :].copy()
        self._first = max(needed, self._first)

    def finish(self) -> NDArray[Any]:
        """Canonical labels `(P, z, y, x)` on the scan's own grid.

        Raises:
            GeometryError: Slices are still missing.
        """
        if self._got != self._length:
            raise GeometryError("Scores ended early.", expected=f"{self._length} slices", got=f"{self._got} slices")
        return self._labels
