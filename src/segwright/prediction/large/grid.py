"""How a volume is cut into blocks: as large as memory allows, because what lies around a block is computed again."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from segwright.core.box import Box
from segwright.core.errors import OutOfMemoryError
from segwright.core.geometry import Triple

#: No block is larger than this, so that a killed run loses minutes, not hours.
LARGEST = 1 << 27

#: Offsets of all blocks that touch one by a face, an edge or a corner.
AROUND: tuple[Triple, ...] = tuple((a, b, c) for a, b, c in itertools.product((-1, 0, 1), repeat=3) if any((a, b, c)))


@dataclass(frozen=True, slots=True)
class Blocks:
    """Write boxes of one size that cover a grid once; those at far faces are smaller.

    Attributes:
        shape: Voxels `(z, y, x)` of the grid.
        size: Voxels of a block.

    Example:
        >>> blocks = Blocks((4, 5, 6), (4, 4, 4))
        >>> blocks.count, blocks.box(3)
        (4, Box(start=(0, 4, 4), stop=(4, 5, 6)))
    """

    shape: Triple
    size: Triple

    @property
    def counts(self) -> Triple:
        """Blocks along each axis."""
        z, y, x = (-(-n // s) for n, s in zip(self.shape, self.size, strict=True))
        return z, y, x

    @property
    def count(self) -> int:
        """All blocks."""
        return math.prod(self.counts)

    def place(self, index: int) -> Triple:
        """Position of a block among blocks."""
        _, y, x = self.counts
        return index // (y * x), index // x % y, index % x

    def box(self, index: int) -> Box:
        """Voxels that a block writes."""
        start = [p * s for p, s in zip(self.place(index), self.size, strict=True)]
        return Box(tuple(start), tuple(a + s for a, s in zip(start, self.size, strict=True))).clip(self.shape)

    def neighbours(self, index: int) -> Iterator[tuple[Triple, int]]:
        """Blocks that touch a block by a face, an edge or a corner: offset and index."""
        here, counts = self.place(index), self.counts
        for offset in AROUND:
            there = [a + o for a, o in zip(here, offset, strict=True)]
            if all(0 <= a < n for a, n in zip(there, counts, strict=True)):
                yield offset, (there[0] * counts[1] + there[1]) * counts[2] + there[2]


def block_size(
    shape: Triple,
    chunk: Triple,
    margin: Triple,
    *,
    cost: Callable[[Triple], float],
    memory: float,
    largest: int = LARGEST,
) -> Triple:
    """The block, a multiple of the chunk, that wastes least on its surroundings within a memory.

    Args:
        shape: The volume.
        chunk: Chunk of what is written.
        margin: Voxels around a block that are read and computed with it, both sides together.
        cost: Bytes at the peak of a block of some size.
        memory: Bytes a worker may use.
        largest: Voxels a block may have, if that is more than a chunk's.

    Raises:
        OutOfMemoryError: Not even one chunk fits.

    Example:
        >>> block_size((64, 512, 512), (32, 64, 64), (0, 32, 32), cost=lambda s: s[0] * s[1] * s[2], memory=2**21)
        (32, 256, 256)
    """
    whole = [-(-n // c) * c for n, c in zip(shape, chunk, strict=True)]
    size = [min(c, w) for c, w in zip(chunk, whole, strict=True)]
    needs = cost((size[0], size[1], size[2]))
    if needs > 2 * memory:
        raise OutOfMemoryError(
            "Not even one block fits in memory.",
            expected=f"about {needs / 2**30:.2g} GB for a worker",
            got=f"{memory / 2**30:.2g} GB",
            hint="Allow more with --memory, or use fewer --workers.",
        )
    while True:
        waste = [(margin[a] / size[a], a) for a in range(3) if size[a] < whole[a]]
        for _, axis in sorted(waste, reverse=True):
            larger = list(size)
            larger[axis] = min(2 * size[axis], whole[axis])
            wanted = (larger[0], larger[1], larger[2])
            if cost(wanted) <= memory and math.prod(wanted) <= largest:
                size = larger
                break
        else:
            return size[0], size[1], size[2]
