"""Smaller copies of large arrays: labels by their commonest value, scores by their mean."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
