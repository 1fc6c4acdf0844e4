"""One case's image, a slice at a time: whole in memory where that is cheap, straight from the file where not."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.core.case import Case, Dataset
from segwright.core.errors import SegwrightError, UsageError
from segwright.core.geometry import Triple
from segwright.core.volume import Volume
from segwright.io.load import load_image
from segwright.view.chunk_cache import ArrayCache, ChunkedArray, Part, Stamp
from segwright.view.slices import fitted, percentiles, reduced

#: Volumes up to this many bytes are decoded once and kept; of larger ones only the slices asked for are read.
WHOLE_BYTES = 400_000_000
#: Below this, decoding the whole volume is faster than a person notices.
AT_ONCE_BYTES = 48_000_000
#: A band of rows that is read at once when a large slice is made smaller.
BAND_BYTES = 64_000_000
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
        stamp: When its files were changed.
    """

    dataset: Dataset
    case: Case
    pool: ArrayCache
    stamp: Stamp = ()

    def __post_init__(self) -> None:
        self._loading = threading.Lock()
        self._following = threading.Lock()
        self._last = 0

    @cached_property
    def volume(self) -> Volume:
        """The lazy volume; only the header has been read."""
        return load_image(self.dataset, self.case)

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """The volume and its smaller copies, where the file keeps some, finest first."""
        return levels_of(self.dataset, self.case, self.volume, self.pool, self.stamp)

    @property
    def nbytes(self) -> int:
        """Bytes of all voxels."""
        data = self.volume.data
        return int(np.prod(data.shape)) * data.dtype.itemsize

    @property
    def key(self) -> tuple[str, str, Stamp]:
        """Name in the pool."""
        return ("image", self.case.id, self.stamp)

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
            step: Edge of the square of pixels that is averaged to one; a smaller copy in the file serves if it has
                averaged no more than that.
            region: `(row, row end, column, column end)` in full pixels.

        Raises:
            UsageError: No such slice or channel.
        """
        shape = self.volume.data.shape
        if not (0 <= axis < 3 and 0 <= index < shape[1:][axis] and 0 <= channel < shape[0]):
            raise UsageError("There is no such slice.", expected=f"an index inside {shape}", got=(channel, axis, index))
        rows, columns = (n for a, n in enumerate(shape[1:]) if a != axis)
        region = clipped(region or (0, rows, 0, columns), rows, columns)
        if self.ready() or (axis and self.nbytes <= WHOLE_BYTES):
            top, bottom, left, right = region
            return reduced(np.take(self.whole()[channel], index, axis=axis)[top:bottom, left:right], step)
        level = next(level for level in reversed(self.levels) if level.serves(axis, step))
        plane = self._from(level, axis, index, channel=channel, step=step, region=region)
        if axis == 0:
            self._follow(level, index, channel, region)
        return plane

    def _from(self, level: Level, axis: int, index: int, *, channel: int, step: int, region: Region) -> NDArray[Any]:
        """The slice out of a level, in bands of rows, so that little is held at full size."""
        down, across = (f for a, f in enumerate(level.factors) if a != axis)
        top, bottom, left, right = region
        high, wide = -(-(bottom - top) // step), -(-(right - left) // step)
        size = step // down, step // across
        band = max(size[0], BAND_BYTES // max((right - left) // across * self.volume.dtype.itemsize, 1))
        band = band // size[0] * size[0]
        parts = []
        for start in range(top // down, -(-bottom // down), band):
            lines = start, min(start + band, -(-bottom // down))
            part = level.part(axis, index, lines, (left // across, -(-right // across)))
            parts.append(reduced(np.take(level.chunks.read(channel, part), 0, axis=axis), size))
        return fitted(parts[0] if len(parts) == 1 else np.concatenate(parts), high, wide)

    def _follow(self, level: Level, index: int, channel: int, region: Region) -> None:
        """Decode what comes next in the direction of travel in the background, unless all of it will be."""
        way, self._last = (1 if index >= self._last else -1), index
        if self.nbytes <= WHOLE_BYTES:
            self.prepare()
            return
        (down, across), (top, bottom, left, right) = level.factors[1:], region
        part = level.part(0, index, (top // down, -(-bottom // down)), (left // across, -(-right // across)))
        if self._following.acquire(blocking=False):
            threading.Thread(target=self._fetch, args=(level.chunks, channel, part, way), daemon=True).start()

    def _fetch(self, chunks: ChunkedArray, channel: int, part: Part, way: int) -> None:
        try:
            for following in chunks.ahead(part, way):
                chunks.read(channel, following)
        except Exception:  # told when that slice is asked for
            return
        finally:
            self._following.release()

    @cached_property
    def percentiles(self) -> list[list[float]]:
        """For each channel the 0, 0.5, 1, 50, 99, 99.5 and 100 percentile of a sample of its voxels."""
        return [percentiles(self._sample(channel)) for channel in range(self.volume.data.shape[0])]

    def _sample(self, channel: int) -> NDArray[Any]:
        depth, rows, columns = self.volume.geometry.shape
        if self.ready():
            array = self.whole()[channel]
            stride = max(1, round((array.size / SAMPLE) ** (1 / (3 if depth > 1 else 2))))
            return array[:: stride if depth > 1 else 1, ::stride, ::stride]
        middle = depth // 2
        edge = 1024
        top, left = max(0, (rows - edge) // 2), max(0, (columns - edge) // 2)
        region = clipped((top, top + edge, left, left + edge), rows, columns)
        return self._from(self.levels[0], 0, middle, channel=channel, step=1, region=region)


def clipped(region: Region, rows: int, columns: int) -> Region:
    """A part of a slice, cut to what there is: a pixel at least.

    Example:
        >>> clipped((-5, 3, 9, 2), 4, 8)
        (0, 3, 7, 8)
    """
    top, bottom, left, right = region
    top, left = min(max(top, 0), rows - 1), min(max(left, 0), columns - 1)
    return top, min(max(bottom, top + 1), rows), left, min(max(right, left + 1), columns)


@dataclass(frozen=True)
class Level:
    """One resolution.

    Attributes:
        chunks: Its voxels.
        factors: Full voxels `(z, y, x)` that one of its voxels stands for.
    """

    chunks: ChunkedArray
    factors: Triple = (1, 1, 1)

    @property
    def shape(self) -> Triple:
        """Voxels `(z, y, x)`."""
        return self.chunks.volume.geometry.shape

    def serves(self, axis: int, step: int) -> bool:
        """Whether slices across an axis can be averaged from it to squares of `step` full pixels."""
        flat = [f for a, f in enumerate(self.factors) if a != axis]
        return self.factors[axis] <= step and all(step % f == 0 for f in flat)

    def part(self, axis: int, index: int, rows: tuple[int, int], columns: tuple[int, int]) -> Part:
        """Where a full slice's index and a range of this level's own rows and columns lie, inside the array."""
        at = min(index // self.factors[axis], self.shape[axis] - 1)
        lines = [slice(*rows), slice(*columns)]
        lines.insert(axis, slice(at, at + 1))
        z, y, x = (slice(min(s.start, n - 1), min(s.stop, n)) for s, n in zip(lines, self.shape, strict=True))
        return z, y, x


def levels_of(dataset: Dataset, case: Case, volume: Volume, pool: ArrayCache, stamp: Stamp = ()) -> tuple[Level, ...]:
    """The scan as it is, and smaller copies out of its file, where they hold the same channels; finest first."""
    full = Level(ChunkedArray(("image", case.id, 0, stamp), volume, pool))
    if len(case.images) != 1 or case.sections is not None or case.images[0].plane is not None:
        return (full,)
    try:
        copies = io.read_coarser(dataset.path(case.images[0]), case.images[0].key)
    except SegwrightError:
        return (full,)
    found = [full]
    for number, copy in enumerate(copies, start=1):
        if copy.data.shape[0] == volume.data.shape[0] and copy.dtype == volume.dtype:
            found.append(Level(ChunkedArray(("image", case.id, number, stamp), copy, pool), _factors(volume, copy)))
    return tuple(found)


def _factors(volume: Volume, copy: Volume) -> Triple:
    """Full voxels a voxel of a copy; levels round their lengths up or down, so the nearest whole number."""
    z, y, x = (max(1, round(n / m)) for n, m in zip(volume.geometry.shape, copy.geometry.shape, strict=True))
    return z, y, x
