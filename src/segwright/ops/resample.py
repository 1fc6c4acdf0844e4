"""Changes of voxel count over the same extent: one small weight table an axis serves images, labels and slabs alike."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from segwright.core.errors import UsageError
from segwright.core.labels import IGNORE, LabelSpace

#: Shrinking by more than this blurs first, so that fine texture does not turn into false coarse texture.
ANTIALIAS_FROM = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class Taps:
    """A linear map along one axis: output `i` is the sum over `t` of `weight[i, t] * input[index[i, t]]`.

    Attributes:
        index: `(new, T)` input positions, clamped to the axis (edge voxels repeat outwards); rows only ever grow.
        weight: `(new, T)`, each row sums to 1.
    """

    index: NDArray[np.intp]
    weight: NDArray[np.float32]

    @property
    def span(self) -> tuple[int, int]:
        """Input range `start, stop` that the outputs need."""
        return int(self.index.min()), int(self.index.max()) + 1

    def rows(self, start: int, stop: int) -> Taps:
        """The map of outputs `start <= i < stop` only."""
        return Taps(self.index[start:stop], self.weight[start:stop])

    def shift(self, offset: int) -> Taps:
        """The map for an input whose first `offset` positions were left out."""
        return Taps(self.index - offset, self.weight)

    def touching(self, start: int, stop: int) -> tuple[int, int]:
        """Outputs that read any of the inputs `start <= i < stop`."""
        first = int(np.searchsorted(self.index[:, -1], start, side="left"))
        return first, max(first, int(np.searchsorted(self.index[:, 0], stop, side="left")))

    def apply(self, array: NDArray[Any], axis: int) -> NDArray[Any]:
        """Map `array` along `axis`; the type of a floating array is kept."""
        if self.index.shape[1] == 1:
            return np.take(array, self.index[:, 0], axis=axis)
        broadcast = [1] * array.ndim
        broadcast[axis] = -1
        total: NDArray[Any] | None = None
        for t in range(self.index.shape[1]):
            part = np.take(array, self.index[:, t], axis=axis)
            part *= self.weight[:, t].reshape(broadcast)
            total = part if total is None else np.add(total, part, out=total)
        assert total is not None
        return total


@lru_cache(maxsize=256)
def axis_taps(old: int, new: int, order: int = 1, antialias: bool = True) -> Taps:
    """The map from `old` to `new` samples with `i = (i' + 0.5) * old / new - 0.5` and clamped edges.

    Args:
        old: Input length.
        new: Output length.
        order: 0 nearest, 1 linear, 3 cubic convolution (Keys 1981, a = -0.5).
        antialias: Widen the kernel by the factor when shrinking by more than 1.5.

    Example:
        >>> axis_taps(4, 2, antialias=False).weight.tolist()
        [[0.5, 0.5], [0.5, 0.5]]
    """
    if order not in _KERNELS and order != 0:
        raise UsageError("Unknown interpolation order.", expected="0, 1 or 3", got=order)
    scale = old / new
    centre = (np.arange(new) + 0.5) * scale - 0.5
    if order == 0:
        index = np.floor(centre + 0.5)[:, None]
        return _frozen(index, np.ones_like(index), old)
    stretch = scale if antialias and scale > ANTIALIAS_FROM else 1.0
    radius, kernel = _KERNELS[order][0] * stretch, _KERNELS[order][1]
    index = np.floor(centre - radius)[:, None] + 1 + np.arange(int(np.ceil(2 * radius)))
    distance = index - centre[:, None]
    weight = kernel(np.abs(distance) / stretch)
    weight /= weight.sum(axis=1, keepdims=True)
    return _frozen(index, weight if stretch == 1 else _centred(weight, distance), old)


def _centred(weight: NDArray[np.float64], distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tilt rows so that their mean distance is 0: a sampled wide kernel would else shift content by part of a voxel."""
    shift = (weight * distance).sum(axis=1, keepdims=True)
    share = np.abs(weight) / np.abs(weight).sum(axis=1, keepdims=True)
    offset = distance - (share * distance).sum(axis=1, keepdims=True)
    return weight - shift * share * offset / (share * offset**2).sum(axis=1, keepdims=True)


def _frozen(index: NDArray[Any], weight: NDArray[Any], old: int) -> Taps:
    """Clamp to the axis; read-only, because tables are shared between callers."""
    taps = Taps(np.clip(index, 0, old - 1).astype(np.intp), weight.astype(np.float32))
    taps.index.setflags(write=False)
    taps.weight.setflags(write=False)
    return taps


def _triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(0.0, 1.0 - x)


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


_KERNELS = {1: (1.0, _triangle), 3: (2.0, _cubic)}


def resample(
    array: NDArray[Any], shape: Sequence[int], *, order: int | Sequence[int] = 1, antialias: bool = True
) -> NDArray[Any]:
    """Resample `(C, z, y, x)` to `(C, *shape)`, outer voxel faces in place, axis by axis.

    Args:
        array: Image or scores. Integers become float32 unless every order is 0.
        shape: New `(z, y, x)`. Axes that keep their length are not touched; if none changes, no copy is made.
        order: 0, 1 or 3; one for all axes or one an axis.
        antialias: Average over the voxels an output covers when an axis shrinks by more than 1.5.

    Example:
        >>> resample(np.array([[[[0.0, 1.0]]]]), (1, 1, 4)).tolist()
        [[[[0.0, 0.25, 0.75, 1.0]]]]
    """
    orders = (order,) * 3 if isinstance(order, int) else tuple(order)
    old = array.shape[1:]
    taps = {a: axis_taps(old[a], shape[a], orders[a], antialias) for a in range(3) if old[a] != shape[a]}
    return _apply(array, taps)


def resample_slab(
    block: NDArray[Any], shape: Sequence[int], *, rows: tuple[int, int], first: int, length: int
) -> NDArray[Any]:
    """Slices `rows` of what linear `resample` of the whole array to `shape` would give, from the slices they need.

    Args:
        block: `(C, n, y, x)`: slices `first` to `first + n` of the whole array.
        shape: `(z, y, x)` of the whole result.
        rows: `start, stop` of the slices wanted on the result.
        first: Position of the block's first slice in the whole array.
        length: Slices of the whole array.

    Returns:
        `(C, stop - start, *shape[1:])`.
    """
    taps = {a: axis_taps(block.shape[a + 1], shape[a]) for a in (1, 2) if block.shape[a + 1] != shape[a]}
    if length == shape[0]:
        return _apply(block[:, rows[0] - first : rows[1] - first], taps)
    return _apply(block, taps | {0: axis_taps(length, shape[0]).rows(*rows).shift(first)})


def _apply(array: NDArray[Any], taps: Mapping[int, Taps]) -> NDArray[Any]:
    """Apply maps (by spatial axis) to each channel, most shrinking axis first to keep the work small."""
    smooth = any(t.index.shape[1] > 1 for t in taps.values())
    dtype = array.dtype if array.dtype in (np.float32, np.float64) or not smooth else np.dtype(np.float32)
    if not taps:
        return array
    gains = {axis: len(t.index) / array.shape[axis + 1] for axis, t in taps.items()}
    shape = [len(taps[a].index) if a in taps else array.shape[a + 1] for a in range(3)]
    result = np.empty((array.shape[0], *shape), dtype=dtype)
    for channel, out in zip(array, result, strict=True):
        plane = channel.astype(dtype, copy=False)
        for axis in sorted(taps, key=lambda a: (gains[a], -a)):
            plane = taps[axis].apply(plane, axis)
        out[...] = plane
    return result


def resample_labels(
    labels: NDArray[Any], shape: Sequence[int], *, space: LabelSpace, nearest: bool = False
) -> NDArray[Any]:
    """Resample canonical labels `(P, z, y, x)` without inventing values between them.

    Each value is resampled as a mask (linear, antialiased) and the largest share wins; ties go to the smaller value,
    so to background. Overlapping planes hold where their share exceeds one half. Ignored voxels follow the nearest
    voxel. Same shape gives the same labels.

    Args:
        labels: Canonical array of `space`.
        shape: New `(z, y, x)`.
        space: Meaning of the labels.
        nearest: Take the nearest voxel instead.
    """
    if tuple(labels.shape[1:]) == tuple(shape):
        return labels
    closest = resample(labels, shape, order=0)
    if nearest:
        return closest
    taps = [axis_taps(old, new) for old, new in zip(labels.shape[1:], shape, strict=True)]
    planes = [largest_share(plane, taps, 0.0 if space.exclusive else 0.5) for plane in labels]
    result = np.stack(planes).astype(labels.dtype)
    result[closest == IGNORE] = IGNORE
    return result


def largest_share(plane: NDArray[Any], taps: Sequence[Taps], threshold: float = 0.0) -> NDArray[Any]:
    """The value of `(z, y, x)` with the largest share under maps of the axes, or 0 where none exceeds `threshold`.

    On a tie the smaller value wins. Costs grow with the largest value: number ids without gaps first.
    """
    shape = [len(table.index) for table in taps]
    winner = np.zeros(shape, dtype=plane.dtype)
    best = np.full(shape, threshold, dtype=np.float32)
    boxes = find_objects(np.maximum(plane, 0))
    whole = tuple(slice(0, n) for n in plane.shape)
    for value, box in enumerate([None if threshold else whole, *boxes]):
        if box is None:
            continue
        target, share = _share(plane[box] == value, box, taps)
        better = share > best[target] + 1e-6  # float noise must not decide ties
        best[target][better] = share[better]
        winner[target][better] = value
    return winner


def _share(
    mask: NDArray[np.bool_], box: tuple[slice, ...], taps: Sequence[Taps]
) -> tuple[tuple[slice, ...], NDArray[Any]]:
    """Resampled share of a mask known to lie in `box`, only where it can be non-zero: `(slices of it, share)`."""
    target, local, pad = [], [], []
    for axis, table in enumerate(taps):
        start, stop = table.touching(box[axis].start, box[axis].stop)
        rows = table.rows(start, stop)
        low, high = rows.span if stop > start else (box[axis].start, box[axis].stop)
        low, high = min(low, box[axis].start), max(high, box[axis].stop)
        target.append(slice(start, stop))
        local.append(rows.shift(low))
        pad.append((box[axis].start - low, high - box[axis].stop))
    share = np.pad(mask, pad).astype(np.float32)
    for axis, table in enumerate(local):
        share = table.apply(share, axis)
    return tuple(target), share


def shrink_labels(labels: NDArray[Any], factor: Sequence[int]) -> NDArray[Any]:
    """The commonest value of each `factor` of voxels `(P, z, y, x)`; of equally common ones the first in grid order.

    At far faces the voxels that are there count.

    Example:
        >>> shrink_labels(np.array([[[[5, 5, 7, 0], [5, 0, 7, 0]]]]), (1, 2, 2)).tolist()
        [[[[5, 7]]]]
    """
    votes = _shares(labels, factor)
    best = votes[0].copy()
    for plane, z in itertools.product(*map(range, best.shape[:2])):  # one slice stays within the processor's cache
        _elect([np.ascontiguousarray(one[plane, z]) for one in votes], best[plane, z])
    return best


def _elect(votes: Sequence[NDArray[Any]], best: NDArray[Any]) -> None:
    """Put the commonest value of each voxel into `best`, which holds the first vote."""
    counts = [np.zeros(best.shape, np.uint8) for _ in votes]
    for one, other in itertools.combinations(range(len(votes)), 2):
        same = votes[one] == votes[other]
        counts[one] += same
        counts[other] += same
    for value, count in zip(votes[1:], counts[1:], strict=True):
        np.copyto(best, value, where=count > counts[0])
        np.maximum(counts[0], count, out=counts[0])


def shrink_scores(scores: NDArray[Any], factor: Sequence[int]) -> NDArray[Any]:
    """The mean of each `factor` of voxels `(K, z, y, x)`, in the array's own type.

    Example:
        >>> shrink_scores(np.array([[[[0, 255, 9]]]], np.uint8), (1, 1, 2)).tolist()
        [[[[128, 9]]]]
    """
    parts = _shares(scores, factor)
    mean = np.zeros(parts[0].shape, np.float32)
    for part in parts:
        mean += part
    mean /= len(parts)
    return np.rint(mean).astype(scores.dtype) if scores.dtype.kind in "iu" else mean.astype(scores.dtype)


def _shares(array: NDArray[Any], factor: Sequence[int]) -> list[NDArray[Any]]:
    """Views of the voxels that meet in one; far faces are repeated where a length is no multiple."""
    pads = [(0, -n % f) for n, f in zip(array.shape[1:], factor, strict=True)]
    if any(after for _, after in pads):
        array = np.pad(array, [(0, 0), *pads], mode="edge")
    starts = itertools.product(*(range(f) for f in factor))
    z, y, x = factor
    return [array[:, a::z, b::y, c::x] for a, b, c in starts]
