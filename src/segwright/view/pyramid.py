"""The resolutions in which a scan is stored, so that a slice seen from afar is not decoded in full."""

from __future__ import annotations

from dataclasses import dataclass

from segwright import io
from segwright.core.case import Case, Dataset
from segwright.core.errors import SegwrightError
from segwright.core.geometry import Triple
from segwright.core.volume import Volume
from segwright.view.bricks import Bricks, Part
from segwright.view.pool import Pool
from segwright.view.stamp import Stamp


@dataclass(frozen=True)
class Level:
    """One resolution.

    Attributes:
        bricks: Its voxels.
        factors: Full voxels `(z, y, x)` that one of its voxels stands for.
    """

    bricks: Bricks
    factors: Triple = (1, 1, 1)

    @property
    def shape(self) -> Triple:
        """Voxels `(z, y, x)`."""
        return self.bricks.volume.geometry.shape

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


def levels_of(dataset: Dataset, case: Case, volume: Volume, pool: Pool, stamp: Stamp = ()) -> tuple[Level, ...]:
    """The scan as it is, and smaller copies out of its file, where they hold the same channels; finest first."""
    full = Level(Bricks(("image", case.id, 0, stamp), volume, pool))
    if len(case.images) != 1 or case.sections is not None or case.images[0].plane is not None:
        return (full,)
    try:
        copies = io.read_coarser(dataset.path(case.images[0]), case.images[0].key)
    except SegwrightError:
        return (full,)
    found = [full]
    for number, copy in enumerate(copies, start=1):
        if copy.data.shape[0] == volume.data.shape[0] and copy.dtype == volume.dtype:
            found.append(Level(Bricks(("image", case.id, number, stamp), copy, pool), _factors(volume, copy)))
    return tuple(found)


def _factors(volume: Volume, copy: Volume) -> Triple:
    """Full voxels a voxel of a copy; levels round their lengths up or down, so the nearest whole number."""
    z, y, x = (max(1, round(n / m)) for n, m in zip(volume.geometry.shape, copy.geometry.shape, strict=True))
    return z, y, x
