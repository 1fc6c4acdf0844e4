"""Parts of a lazy array as they are stored, decoded once and kept, so that the next slice need not be decoded again."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.geometry import Triple
from segwright.core.volume import Volume
from segwright.view.pool import Pool

#: Bytes of a part; neighbouring chunks are joined up to this, as each call of a decoder costs time of its own.
BRICK_BYTES = 1 << 24
#: A cut that touches more than this is read as it is: keeping its parts would push everything else out.
MOST_BYTES = 200_000_000

Part = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Bricks:
    """One array in parts that follow its chunks.

    Attributes:
        name: Key of the array in the pool.
        volume: The array.
        pool: Where decoded parts are kept.

    Example:
        >>> from segwright.core.geometry import Geometry
        >>> array = np.arange(24).reshape(2, 3, 4)
        >>> bricks = Bricks("a", Volume.of(array, Geometry.from_spacing((2, 3, 4))), Pool(1000))
        >>> bricks.read(0, (slice(1, 2), slice(0, 2), slice(1, 3))).tolist()
        [[[13, 14], [17, 18]]]
    """

    name: Hashable
    volume: Volume
    pool: Pool

    @cached_property
    def lengths(self) -> Triple:
        """Voxels `(z, y, x)` of a part: whole chunks, grown along x, then y, then z."""
        shape = self.volume.geometry.shape
        chunk = self.volume.header.get("chunks") or (1, shape[1], shape[2])
        lengths = [min(int(c), n) for c, n in zip(chunk, shape, strict=True)]
        for axis in (2, 1, 0):
            while lengths[axis] < shape[axis] and 2 * self._bytes(lengths) <= BRICK_BYTES:
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
            return self._brick(channel, places[0])[self._inside(part, places[0])[1]]
        found = np.empty([s.stop - s.start for s in part], self.volume.dtype)
        for place in places:
            into, out_of = self._inside(part, place)
            found[into] = self._brick(channel, place)[out_of]
        return found

    def _inside(self, part: Part, place: tuple[int, ...]) -> tuple[Part, Part]:
        """What a brick holds of a part: where that lies in the part, and where in the brick."""
        into, out_of = [], []
        for wanted, at, length in zip(part, place, self.lengths, strict=True):
            start, stop = max(wanted.start, at * length), min(wanted.stop, (at + 1) * length)
            into.append(slice(start - wanted.start, stop - wanted.start))
            out_of.append(slice(start - at * length, stop - at * length))
        return (into[0], into[1], into[2]), (out_of[0], out_of[1], out_of[2])

    def _brick(self, channel: int, place: tuple[int, ...]) -> NDArray[Any]:
        shape = self.volume.geometry.shape
        cut = (slice(i * n, min((i + 1) * n, end)) for i, n, end in zip(place, self.lengths, shape, strict=True))
        where = (slice(channel, channel + 1), *cut)
        return self.pool.get(("brick", self.name, channel, place), lambda: self.volume.data[where][0])

    def ahead(self, part: Part, way: int) -> Iterator[Part]:
        """The same part in the bricks that follow along z, one brick at a time, if all of them may be kept."""
        depth, length = self.volume.geometry.shape[0], self.lengths[0]
        start = (part[0].start // length + way) * length
        if not 0 <= start < depth or self.cost(part) > min(MOST_BYTES, self.pool.limit // 3):
            return
        z = slice(start, min(start + length, depth))
        _, rows, columns = self._places(part)
        for row, column in itertools.product(rows, columns):
            y, x = ((i * n, (i + 1) * n) for i, n in zip((row, column), self.lengths[1:], strict=True))
            yield (z, slice(*y), slice(*x))
