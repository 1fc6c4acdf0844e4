"""A half-open range of voxels on a grid, and how large grids are cut into read and write boxes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from segwright.core.errors import GeometryError


@dataclass(frozen=True, slots=True)
class Box:
    """Voxels `start <= index < stop` on each axis, in `(z, y, x)` order. Knows no millimetres.

    Example:
        >>> Box((0, 2, 2), (1, 5, 6)).shape
        (1, 3, 4)
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", tuple(int(value) for value in self.start))
        object.__setattr__(self, "stop", tuple(int(value) for value in self.stop))
        if len(self.start) != len(self.stop) or any(b < a for a, b in zip(self.start, self.stop, strict=True)):
            raise GeometryError("A box must stop where it starts or later.", got=f"{self.start} to {self.stop}")

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Box:
        """The box of a whole grid."""
        return cls((0,) * len(shape), tuple(shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """Edge lengths in voxels."""
        return tuple(b - a for a, b in zip(self.start, self.stop, strict=True))

    @property
    def slices(self) -> tuple[slice, ...]:
        """Index for the spatial axes of an array."""
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))

    def grow(self, margin: Sequence[int]) -> Box:
        """Move every face outwards by `margin` voxels a side; may leave the grid."""
        start = tuple(a - m for a, m in zip(self.start, margin, strict=True))
        return Box(start, tuple(b + m for b, m in zip(self.stop, margin, strict=True)))

    def shift(self, offset: Sequence[int]) -> Box:
        """The same box moved by `offset` voxels."""
        start = tuple(a + o for a, o in zip(self.start, offset, strict=True))
        return Box(start, tuple(b + o for b, o in zip(self.stop, offset, strict=True)))

    def intersect(self, other: Box) -> Box:
        """Common voxels; a box of zero length on an axis where there are none."""
        start = tuple(max(a, b) for a, b in zip(self.start, other.start, strict=True))
        stop = tuple(min(a, b) for a, b in zip(self.stop, other.stop, strict=True))
        return Box(start, tuple(max(a, b) for a, b in zip(start, stop, strict=True)))

    def clip(self, shape: Sequence[int]) -> Box:
        """The part inside a grid of `shape`."""
        return self.intersect(Box.whole(shape))

    def outside(self, shape: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """Voxels per axis that lie before and after a grid of `shape`: the padding a reader must add."""
        before = [max(0, -a) for a in self.start]
        after = [max(0, b - n) for b, n in zip(self.stop, shape, strict=True)]
        return tuple(zip(before, after, strict=True))


def tile(shape: Sequence[int], size: Sequence[int]) -> Iterator[Box]:
    """Cut a grid into boxes of `size` (smaller at the far faces); together they cover it exactly once.

    Example:
        >>> [box.shape for box in tile((1, 3), (1, 2))]
        [(1, 2), (1, 1)]
    """
    for start in itertools.product(*(range(0, n, s) for n, s in zip(shape, size, strict=True))):
        yield Box(start, tuple(min(a + s, n) for a, s, n in zip(start, size, shape, strict=True)))
