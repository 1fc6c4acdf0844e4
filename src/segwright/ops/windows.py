"""Overlapping windows over an image, and how their scores are blended into one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def importance_profile(size: int, sigma: float = 0.125, floor: float = 0.01) -> NDArray[np.float32]:
    """Gaussian weight along one axis, 1 in the middle, never below `floor`, so that edges still count.

    Args:
        size: Voxels.
        sigma: Standard deviation as a share of `size`.
        floor: Smallest weight.

    Example:
        >>> importance_profile(1).tolist()
        [1.0]
    """
    distance = (np.arange(size) - (size - 1) / 2) / (sigma * size)
    return np.maximum(np.exp(-0.5 * distance**2), floor).astype(np.float32)


def window_starts(length: int, size: int, overlap: float = 0.5) -> tuple[int, ...]:
    """First voxels of windows that cover `length` evenly; the last one ends flush with the axis.

    Args:
        length: Voxels to cover; one window at 0 if `length <= size`.
        size: Voxels a window.
        overlap: Least share of a window shared with the next, `0 <= overlap < 1`.

    Example:
        >>> window_starts(10, 4, 0.5)
        (0, 2, 4, 6)
    """
    if length <= size:
        return (0,)
    step = max(1, int(size * (1 - overlap) + 1e-9))
    count = -(-(length - size) // step) + 1
    return tuple(int(start) for start in np.round(np.linspace(0, length - size, count)))


def total_weight(profile: NDArray[np.float32], starts: Sequence[int], length: int) -> NDArray[np.float32]:
    """Sum over all windows of an axis of their profile, `(length,)`."""
    total = np.zeros(length, dtype=np.float32)
    for start in starts:
        total[start : start + len(profile)] += profile
    return total


#: Fields of `Parts`, in order.
COLUMNS = ("voxels", "low", "high", "total", "first", "score", "kind")

_FAR = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Parts:
    """Facts of numbered parts, one row each; rows of one object can be merged in any order.

    Attributes:
        voxels: `(N,)` int64.
        low: `(N, 3)` lowest index `(z, y, x)`.
        high: `(N, 3)` highest index plus one.
        total: `(N, 3)` float64 sums of indices.
        first: `(N,)` int64 place of the first voxel in grid order of the whole volume; unique to an object.
        score: `(N,)` float64 sums of scores.
        kind: `(N,)` int64 structure of the part, from 0.
    """

    voxels: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    total: NDArray[np.float64]
    first: NDArray[np.int64]
    score: NDArray[np.float64]
    kind: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.voxels)

    @classmethod
    def joined(cls, parts: list[Parts]) -> Parts:
        """All rows, one list after the other."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS))

    def columns(self) -> dict[str, NDArray[Any]]:
        """The arrays by name, to be stored."""
        return {name: getattr(self, name) for name in COLUMNS}

    def take(self, rows: NDArray[Any]) -> Parts:
        """Some rows."""
        return Parts(**{name: array[rows] for name, array in self.columns().items()})

    def merged(self, group: NDArray[np.integer[Any]], count: int) -> Parts:
        """One row a group `0 <= group < count`; groups without voxels keep a `first` beyond any volume."""
        voxels, first = np.zeros(count, np.int64), np.full(count, _FAR)
        low, high = np.full((count, 3), _FAR), np.zeros((count, 3), np.int64)
        total, score, kind = np.zeros((count, 3)), np.zeros(count), np.zeros(count, np.int64)
        np.add.at(voxels, group, self.voxels)
        np.add.at(total, group, self.total)
        np.add.at(score, group, self.score)
        real = self.voxels > 0
        np.minimum.at(first, group[real], self.first[real])
        np.minimum.at(low, group[real], self.low[real])
        np.maximum.at(high, group[real], self.high[real])
        kind[group[real]] = self.kind[real]
        return Parts(voxels, low, high, total, first, score, kind)


def measure_parts(
    ids: NDArray[Any], count: int, *, start: tuple[int, ...], shape: tuple[int, ...], scores: NDArray[Any] | None = None
) -> Parts:
    """Facts of the parts 1 to `count` of a block's ids `(z, y, x)`; parts without voxels keep empty rows.

    Args:
        ids: Numbers of the block's own voxels.
        count: Highest number in use, here or in the block's halo.
        start: Index of the block's first voxel in the whole volume.
        shape: Shape of the whole volume.
        scores: Score of each voxel, to be averaged over objects.

    Example:
        >>> parts = measure_parts(np.array([[[0, 1, 1]]]), 1, start=(0, 0, 5), shape=(1, 1, 9))
        >>> parts.voxels.tolist(), parts.low.tolist(), parts.high.tolist(), parts.first.tolist()
        ([2], [[0, 0, 6]], [[1, 1, 8]], [6])
    """
    found = no_parts(count)
    depth = max(1, AT_ONCE // max(1, ids[0].size))
    for z in range(0, len(ids), depth):
        part = ids[z : z + depth]
        values = None if scores is None else scores[z : z + depth]
        _add_parts(found, part, (start[0] + z, *start[1:]), shape, values)
    return found


#: Voxels looked at together.
AT_ONCE = 1 << 21


def no_parts(count: int) -> Parts:
    """Rows of `count` parts without a voxel."""
    far = np.full((count, 3), _FAR, np.int64)
    sums = np.zeros((count, 3))
    whole = np.zeros(count, np.int64)
    return Parts(whole, far, np.zeros((count, 3), np.int64), sums, far[:, 0].copy(), np.zeros(count), whole.copy())


def _add_parts(
    found: Parts, ids: NDArray[Any], start: tuple[int, ...], shape: tuple[int, ...], scores: NDArray[Any] | None
) -> None:
    """Add the voxels of a slab, in place."""
    flat = ids.reshape(-1)
    place = np.flatnonzero(flat)
    if not len(place):
        return
    number = flat[place].astype(np.int64) - 1
    order = np.argsort(number, kind="stable")
    number, place = number[order], place[order]
    index = np.stack(np.unravel_index(place, ids.shape), axis=1) + np.array(start)
    heads = np.flatnonzero(np.concatenate([[True], number[1:] != number[:-1]]))
    who = number[heads]
    found.voxels[who] += np.diff(np.append(heads, len(number)))
    found.total[who] += np.add.reduceat(index, heads, axis=0)
    found.low[who] = np.minimum(found.low[who], np.minimum.reduceat(index, heads, axis=0))
    found.high[who] = np.maximum(found.high[who], np.maximum.reduceat(index, heads, axis=0) + 1)
    first = np.asarray(np.ravel_multi_index(tuple(index[heads].T), shape), dtype=np.int64)
    found.first[who] = np.minimum(found.first[who], first)
    if scores is not None:
        found.score[who] += np.add.reduceat(scores.reshape(-1)[place].astype(np.float64), heads)


def meetings(
    first: NDArray[Any], second: NDArray[Any], share: float = 0.0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which numbers of two blocks name the same object, from two readings of the same voxels.

    Args:
        first: Numbers one block gave to voxels beyond its face.
        second: Numbers their own block gave them.
        share: Two parts are one if they share more than this of the smaller one's voxels here. 0 is exact for
            connected components; for decoders that decide borders by their surroundings 0.5 keeps touching objects
            apart.

    Returns:
        Pairs of numbers, each pair once.

    Example:
        >>> meetings(np.array([1, 1, 0, 2]), np.array([5, 0, 5, 6]))
        (array([1, 2]), array([5, 6]))
    """
    both = (first > 0) & (second > 0)
    a, b = first[both].astype(np.int64), second[both].astype(np.int64)
    if not len(a):
        return a, b
    wide = int(b.max()) + 1
    pairs, counts = np.unique(a * wide + b, return_counts=True)
    one, two = pairs // wide, pairs % wide
    if share > 0:
        sizes = np.minimum(_sizes(first)[one], _sizes(second)[two])
        keep = counts > share * sizes
        one, two = one[keep], two[keep]
    return one, two


def _sizes(ids: NDArray[Any]) -> NDArray[np.int64]:
    return np.bincount(ids.reshape(-1).astype(np.int64))


def unite(pairs: NDArray[np.int64], count: int) -> tuple[NDArray[np.int32], int]:
    """The group of each of `count` parts when parts that form a pair `(N, 2)` are one; and how many groups there are.

    Example:
        >>> unite(np.array([[0, 2], [2, 3]]), 5)
        (array([0, 1, 0, 0, 2], dtype=int32), 3)
    """
    graph = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    groups, names = connected_components(graph, directed=False)
    return names, int(groups)


def final_numbers(objects: Parts, *, smallest: int = 1) -> NDArray[np.uint64]:
    """Ids from 1 in order of each object's first voxel, 0 for objects of fewer than `smallest` voxels.

    The order belongs to the volume, so ids do not depend on how it was cut into blocks.
    """
    keep = objects.voxels >= max(1, smallest)
    numbers = np.zeros(len(objects), np.uint64)
    order = np.argsort(objects.first[keep], kind="stable")
    numbers[np.flatnonzero(keep)[order]] = np.arange(1, int(keep.sum()) + 1, dtype=np.uint64)
    return numbers
