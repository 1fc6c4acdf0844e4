"""One case's image, a slice at a time: whole in memory where that is cheap, straight from the file where it is not."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.case import Case, Dataset
from segwright.core.errors import UsageError
from segwright.core.volume import Volume
from segwright.io.load import load_image
from segwright.view.pool import Pool

#: Volumes up to this many bytes are decoded once and kept; of larger ones only the slices asked for are read.
WHOLE_BYTES = 400_000_000
#: Below this, decoding the whole volume is faster than a person notices.
AT_ONCE_BYTES = 48_000_000
#: A band of rows that is read at once when a large slice is made smaller.
BAND_BYTES = 64_000_000
#: Neighbouring slices read together from a file that has to be unpacked up to them anyway.
SLAB_BYTES = 16_000_000
#: Values looked at for the first window.
SAMPLE = 400_000

Region = tuple[int, int, int, int]


@dataclass
class Scan:
    """The image of a case.

    Attributes:
        dataset: Its dataset.
        case: The case.
        pool: Where decoded arrays are kept.
    """

    dataset: Dataset
    case: Case
    pool: Pool

    def __post_init__(self) -> None:
        self._loading = threading.Lock()

    @cached_property
    def volume(self) -> Volume:
        """The lazy volume; only the header has been read."""
        return load_image(self.dataset, self.case)

    @property
    def nbytes(self) -> int:
        """Bytes of all voxels."""
        data = self.volume.data
        return int(np.prod(data.shape)) * data.dtype.itemsize

    @property
    def key(self) -> tuple[str, str]:
        """Name in the pool."""
        return ("image", self.case.id)

    def whole(self) -> NDArray[Any]:
        """All voxels `(C, z, y, x)`, decoded once."""
        return self.pool.get(self.key, self.volume.array)

    def ready(self) -> bool:
        """Whether slices come from memory."""
        return self.pool.has(self.key) or self.nbytes <= AT_ONCE_BYTES

    def prepare(self) -> None:
        """Decode the whole volume in the background, where that is worth it."""
        wanted = self.nbytes <= WHOLE_BYTES and self.volume.geometry.shape[0] > 1
        if wanted and not self.ready() and self._loading.acquire(blocking=False):
            threading.Thread(target=self._load, daemon=True).start()

    def _load(self) -> None:
        try:
            self.whole()
        except Exception:  # the slice that is asked for tells what is wrong
            return
        finally:
            self._loading.release()

    def plane(self, axis: int, index: int, *, channel: int, step: int = 1, region: Region | None = None) -> Any:
        """A slice across `axis`, rows and columns being the two other axes in order, as stored.

        Args:
            axis: 0, 1 or 2 of `(z, y, x)`.
            index: Which slice.
            channel: Which channel.
            step: Edge of the square of pixels that is averaged to one.
            region: `(row, row end, column, column end)` in full pixels.

        Raises:
            UsageError: No such slice or channel.
        """
        shape = self.volume.data.shape
        if not (0 <= axis < 3 and 0 <= index < shape[1:][axis] and 0 <= channel < shape[0]):
            raise UsageError(
                "There is no such slice.", expected=f"an index inside {shape}", came=(channel, axis, index)
            )
        rows, columns = (n for a, n in enumerate(shape[1:]) if a != axis)
        top, bottom, left, right = _clipped(region or (0, rows, 0, columns), rows, columns)
        wide = (right - left) * self.volume.dtype.itemsize
        band = max(step, int(BAND_BYTES // max(wide, 1)) // step * step)
        parts = []
        for start in range(top, bottom, band):
            part = self._read(axis, index, channel, slice(start, min(start + band, bottom)), slice(left, right))
            parts.append(reduced(part, step))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _read(self, axis: int, index: int, channel: int, rows: slice, columns: slice) -> NDArray[Any]:
        three = [rows, columns]
        three.insert(axis, slice(index, index + 1))
        where = (slice(channel, channel + 1), *three)
        if self.ready():
            return np.take(self.whole()[where][0], 0, axis=axis)
        if axis == 0 and self.nbytes <= WHOLE_BYTES:
            start, slab = self._slab(index, channel)
            self.prepare()
            return np.asarray(slab[index - start, rows, columns])
        return np.take(self.volume.data[where][0], 0, axis=axis)

    def _slab(self, index: int, channel: int) -> tuple[int, NDArray[Any]]:
        """First slice and voxels `(z, y, x)` of the neighbourhood of a slice."""
        _, depth, rows, columns = self.volume.data.shape
        count = slab_slices(rows * columns * self.volume.dtype.itemsize)
        start = index // count * count
        where = (
            slice(channel, channel + 1),
            slice(start, min(start + count, depth)),
            slice(0, rows),
            slice(0, columns),
        )
        key = ("slab", self.case.id, channel, start)
        return start, self.pool.get(key, lambda: self.volume.data[where][0])

    @cached_property
    def percentiles(self) -> list[list[float]]:
        """For each channel the 0, 0.5, 1, 50, 99, 99.5 and 100 percentile of a sample of its voxels."""
        return [_percentiles(self._sample(channel)) for channel in range(self.volume.data.shape[0])]

    def _sample(self, channel: int) -> NDArray[Any]:
        depth, rows, columns = self.volume.geometry.shape
        if self.ready():
            array = self.whole()[channel]
            stride = max(1, round((array.size / SAMPLE) ** (1 / (3 if depth > 1 else 2))))
            return array[:: stride if depth > 1 else 1, ::stride, ::stride]
        middle = depth // 2
        edge = 1024
        top, left = max(0, (rows - edge) // 2), max(0, (columns - edge) // 2)
        part = (top, top + edge, left, left + edge)
        return np.asarray(self.plane(0, middle, channel=channel, region=_clipped(part, rows, columns)))


def slab_slices(slice_bytes: int) -> int:
    """How many slices are read together: at least 1, at most 32.

    Example:
        >>> slab_slices(512 * 512 * 2), slab_slices(1 << 30)
        (30, 1)
    """
    return int(min(32, max(1, SLAB_BYTES // max(slice_bytes, 1))))


def _clipped(region: Region, rows: int, columns: int) -> Region:
    top, bottom, left, right = region
    top, left = min(max(top, 0), rows - 1), min(max(left, 0), columns - 1)
    return top, min(max(bottom, top + 1), rows), left, min(max(right, left + 1), columns)


def reduced(plane: NDArray[Any], step: int) -> NDArray[Any]:
    """A plane with squares of `step` pixels averaged; squares cut off by the edge average what they hold.

    Example:
        >>> reduced(np.array([[0, 2, 8], [2, 4, 8]], np.uint8), 2).tolist()
        [[2, 8]]
    """
    if step <= 1:
        return plane
    if (
        step == 2
        and plane.dtype.kind in "iu"
        and plane.dtype.itemsize <= 2
        and not (plane.shape[0] | plane.shape[1]) % 2
    ):
        total = plane[::2, ::2].astype(np.int32)
        for row, column in ((0, 1), (1, 0), (1, 1)):
            total += plane[row::2, column::2]
        return ((total + 2) >> 2).astype(plane.dtype)  # many times as fast as the mean over axes
    rows, columns = plane.shape
    high, wide = -(-rows // step), -(-columns // step)
    grown = np.pad(plane, ((0, high * step - rows), (0, wide * step - columns)), mode="edge")
    small = grown.reshape(high, step, wide, step).mean(axis=(1, 3), dtype=np.float32)
    return np.rint(small).astype(plane.dtype) if plane.dtype.kind in "iu" else small


def _percentiles(values: NDArray[Any]) -> list[float]:
    real = values[np.isfinite(values)] if values.dtype.kind == "f" else values.reshape(-1)
    if not real.size:
        return [0.0] * 7
    return [float(v) for v in np.percentile(real, (0, 0.5, 1, 50, 99, 99.5, 100))]


def as_levels(plane: NDArray[Any]) -> tuple[bytes, dict[str, Any]]:
    """Pixels as 8 or 16 bits and what they mean: `value = low + scale * pixel`.

    Whole numbers that span fewer than 65,536 levels arrive exactly; other values to 1/65,535 of the slice's range.
    Pixels that are no number become the lowest level.

    Example:
        >>> body, meaning = as_levels(np.array([[-1000, 1000]], np.int16))
        >>> np.frombuffer(body, "<u2").tolist(), meaning["low"], meaning["scale"]
        ([0, 2000], -1000.0, 1.0)
    """
    rows, columns = plane.shape
    shape = {"rows": rows, "columns": columns}
    if plane.dtype == np.uint8:
        return np.ascontiguousarray(plane).tobytes(), {**shape, "bits": 8, "low": 0.0, "scale": 1.0}
    if plane.dtype == np.bool_:
        return plane.astype(np.uint8).tobytes(), {**shape, "bits": 8, "low": 0.0, "scale": 1.0}
    if plane.dtype.kind in "iu" and plane.dtype.itemsize <= 2:
        least = int(plane.min())
        levels = (plane.astype(np.int32) - least).astype("<u2")
        return levels.tobytes(), {**shape, "bits": 16, "low": float(least), "scale": 1.0}
    wide = plane.astype(np.float64)
    finite = np.isfinite(wide)
    low = float(wide.min(where=finite, initial=np.inf))
    high = float(wide.max(where=finite, initial=-np.inf))
    low, high = (low, high) if low <= high else (0.0, 0.0)
    whole = plane.dtype.kind in "iu" and high - low <= 65_535
    scale = 1.0 if whole or high == low else (high - low) / 65_535
    levels = np.rint((np.where(finite, wide, low) - low) / scale).astype("<u2")
    return levels.tobytes(), {**shape, "bits": 16, "low": low, "scale": scale}
