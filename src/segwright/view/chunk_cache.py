"""Decoded chunks of arrays, kept up to a number of bytes, under keys that change when their files do."""

from __future__ import annotations

import itertools
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from segwright.core.geometry import Triple
from segwright.core.volume import Volume


class Sized(Protocol):
    """Whatever knows its bytes."""

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        ...


T = TypeVar("T", bound=Sized)


class ArrayCache:
    """A least-recently-used store with a limit in bytes; a value asked for by several threads is made once.

    Example:
        >>> import numpy as np
        >>> pool = ArrayCache(limit=100)
        >>> pool.get("a", lambda: np.zeros(60, np.uint8)).nbytes, pool.get("b", lambda: np.zeros(60, np.uint8)).nbytes
        (60, 60)
        >>> pool.has("a"), pool.has("b"), pool.used
        (False, True, 60)
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Sized] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}

    def has(self, key: Hashable) -> bool:
        """Whether a value is there already."""
        with self._lock:
            return key in self._kept

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of `key`, made by `make` if it is not there; larger than the whole pool, it is not kept."""
        found = self._found(key)
        if found is not None:
            return found  # type: ignore[return-value]
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            found = self._found(key)
            if found is not None:
                return found  # type: ignore[return-value]
            try:
                value = make()
                self._keep(key, value)
            finally:
                with self._lock:
                    self._making.pop(key, None)
            return value

    def drop(self, wanted: Callable[[Hashable], bool]) -> None:
        """Forget the values whose keys are `wanted`."""
        with self._lock:
            for key in [key for key in self._kept if wanted(key)]:
                self.used -= self._kept.pop(key).nbytes

    def _found(self, key: Hashable) -> Sized | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        return None

    def _keep(self, key: Hashable, value: Sized) -> None:
        with self._lock:
            if value.nbytes > self.limit:
                return
            self._kept[key] = value
            self.used += value.nbytes
            while self.used > self.limit:
                _, old = self._kept.popitem(last=False)
                self.used -= old.nbytes


#: Time of change and bytes, of each file.
Stamp = tuple[tuple[int, int], ...]


def stamp_of(paths: Iterable[Path]) -> Stamp:
    """Times and sizes of files, and of what folders hold directly (a series, a store); a missing one is zeros.

    Example:
        >>> stamp_of([Path("no/such/file")])
        ((0, 0),)
    """
    return tuple(found for path in paths for found in _each(path))


def _each(path: Path) -> list[tuple[int, int]]:
    try:
        told = path.stat()
        listed = sorted(os.scandir(path), key=lambda entry: entry.name) if path.is_dir() else []
        return [(s.st_mtime_ns, s.st_size) for s in (told, *(entry.stat() for entry in listed))]
    except OSError:
        return [(0, 0)]


#: Bytes of a part; neighbouring chunks are joined up to this, as each call of a decoder costs time of its own.
CHUNK_BYTES = 1 << 24
#: A cut that touches more than this is read as it is: keeping its parts would push everything else out.
MOST_BYTES = 200_000_000

Part = tuple[slice, slice, slice]


@dataclass(frozen=True)
class ChunkedArray:
    """One array in parts that follow its chunks.

    Attributes:
        name: Key of the array in the pool.
        volume: The array.
        pool: Where decoded parts are kept.

    Example:
        >>> from segwright.core.geometry import Geometry
        >>> array = np.arange(24).reshape(2, 3, 4)
        >>> chunks = ChunkedArray("a", Volume.of(array, Geometry.from_spacing((2, 3, 4))), ArrayCache(1000))
        >>> chunks.read(0, (slice(1, 2), slice(0, 2), slice(1, 3))).tolist()
        [[[13, 14], [17, 18]]]
    """

    name: Hashable
    volume: Volume
    pool: ArrayCache

    @cached_property
    def lengths(self) -> Triple:
        """Voxels `(z, y, x)` of a part: whole chunks, grown along x, then y, then z."""
        shape = self.volume.geometry.shape
        chunk = self.volume.header.get("chunks") or (1, shape[1], shape[2])
        lengths = [min(int(c), n) for c, n in zip(chunk, shape, strict=True)]
        for axis in (2, 1, 0):
            while lengths[axis] < shape[axis] and 2 * self._bytes(lengths) <= CHUNK_BYTES:
                lengths[axis] *= 2
        z, y, x = (min(a, n) for a, n in zip(lengths, shape, strict=True))
        return z, y, x

    def _bytes(self, lengths: list[int] | Triple) -> int:
        return math.prod(lengths) * self.volume.dtype.itemsize

    def cost(self, part: Part) -> int:
        """Bytes that are decoded to read a part."""
        return math.prod(len(line) for line in self._places(part)) * self._bytes(self.lengths)

    def _places(self, part: Part) -> list[range]:
        return [range(s.start // n, -(-s.stop // n)) for s, n in zip(part, self.lengths, strict=True)]

    def read(self, channel: int, part: Part) -> NDArray[Any]:
        """Voxels `(z, y, x)` of a part; the caller must not change them."""
        if self.cost(part) > MOST_BYTES:
            return self.volume.data[(slice(channel, channel + 1), *part)][0]
        places = list(itertools.product(*self._places(part)))
        if len(places) == 1:
            return self._chunk(channel, places[0])[self._inside(part, places[0])[1]]
        found = np.empty([s.stop - s.start for s in part], self.volume.dtype)
        for place in places:
            into, out_of = self._inside(part, place)
            found[into] = self._chunk(channel, place)[out_of]
        return found

    def _inside(self, part: Part, place: tuple[int, ...]) -> tuple[Part, Part]:
        """What a chunk holds of a part: where that lies in the part, and where in the chunk."""
        into, out_of = [], []
        for wanted, at, length in zip(part, place, self.lengths, strict=True):
            start, stop = max(wanted.start, at * length), min(wanted.stop, (at + 1) * length)
            into.append(slice(start - wanted.start, stop - wanted.start))
            out_of.append(slice(start - at * length, stop - at * length))
        return (into[0], into[1], into[2]), (out_of[0], out_of[1], out_of[2])

    def _chunk(self, channel: int, place: tuple[int, ...]) -> NDArray[Any]:
        shape = self.volume.geometry.shape
        cut = (slice(i * n, min((i + 1) * n, end)) for i, n, end in zip(place, self.lengths, shape, strict=True))
        where = (slice(channel, channel + 1), *cut)
        return self.pool.get(("chunk", self.name, channel, place), lambda: self.volume.data[where][0])

    def ahead(self, part: Part, way: int) -> Iterator[Part]:
        """The same part in the chunks that follow along z, one chunk at a time, if all of them may be kept."""
        depth, length = self.volume.geometry.shape[0], self.lengths[0]
        start = (part[0].start // length + way) * length
        if not 0 <= start < depth or self.cost(part) > min(MOST_BYTES, self.pool.limit // 3):
            return
        z = slice(start, min(start + length, depth))
        _, rows, columns = self._places(part)
        for row, column in itertools.product(rows, columns):
            y, x = ((i * n, (i + 1) * n) for i, n in zip((row, column), self.lengths[1:], strict=True))
            yield (z, slice(*y), slice(*x))
