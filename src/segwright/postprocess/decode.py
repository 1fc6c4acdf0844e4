"""Turns structure scores into labels, with thresholds where those were chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import UsageError
from segwright.core.labels import LabelSpace

#: Score of certainty in uint8 scores.
FULL = 255


def decode(
    scores: NDArray[np.uint8],
    space: LabelSpace,
    *,
    thresholds: Mapping[str, float] | None = None,
    foreground: float | None = None,
) -> NDArray[Any]:
    """Canonical labels `(P, z, y, x)` from scores `(K, z, y, x)`, uint8 where 255 is 1.

    Overlapping structures are those whose score reaches their threshold (0.5 unless given). Of exclusive structures
    the best one wins where it beats the background, whose score is what is left to 1; given `foreground`, the best
    structure wins wherever the structures together reach it.

    Raises:
        UsageError: Scores of other type or number than the label space needs, or a threshold of the other kind.

    Example:
        >>> space = LabelSpace(structures=[{"name": "a", "values": [1]}, {"name": "b", "values": [2]}])
        >>> scores = np.array([[[[100, 20]]], [[[50, 200]]]], np.uint8)
        >>> decode(scores, space).tolist(), decode(scores, space, foreground=0.5).tolist()
        ([[[[0, 2]]]], [[[[1, 2]]]])
    """
    if scores.dtype != np.uint8 or scores.ndim != 4 or scores.shape[0] != len(space.structures):
        raise UsageError(
            "Scores must be uint8, one plane a structure.",
            expected=f"({len(space.structures)}, z, y, x) uint8",
            got=f"{scores.shape} {scores.dtype}",
        )
    if (space.exclusive and thresholds) or (not space.exclusive and foreground is not None):
        raise UsageError(
            "That threshold does not fit the label space.",
            expected="'foreground' for exclusive structures, 'thresholds' for overlapping ones",
        )
    if space.exclusive:
        labels = np.empty((1, *scores.shape[1:]), space.dtype)
        for z in range(scores.shape[1]):  # slice by slice, so that sums of many structures stay small
            labels[0, z] = _best(scores[:, z], foreground)
        return labels
    given = thresholds or {}
    limits = np.array([given.get(name, 0.5) * FULL for name in space.names]).reshape(-1, 1, 1, 1)
    return np.stack([plane >= limit for plane, limit in zip(scores, limits, strict=True)]).astype(space.dtype)


def total_score(scores: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Sum over structures of scores `(K, ...)`, plane by plane; holds up to 257 of them."""
    total = np.zeros(scores.shape[1:], np.uint16)
    for plane in scores:
        total += plane
    return total


def _best(scores: NDArray[np.uint8], foreground: float | None) -> NDArray[np.int16]:
    """Winning structure (from 1) or 0, for scores `(K, y, x)`."""
    total = total_score(scores)
    least = 0.5 if foreground is None else foreground  # less than half can never beat the background
    y, x = np.nonzero(total >= max(1.0, least * FULL))
    labels = np.zeros(total.shape, np.int16)
    likely = scores[:, y, x]
    best = likely.argmax(axis=0)
    if foreground is None:
        beaten = likely.max(axis=0, initial=0).astype(np.int32) + total[y, x] <= FULL
        best[beaten] = -1
    labels[y, x] = best + 1
    return labels
