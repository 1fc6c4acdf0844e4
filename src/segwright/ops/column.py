"""The order of points along the line that they lie on, straight or curved, and their places on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import minimum_spanning_tree, shortest_path

#: Points closer than this share of the largest gap lie beside one another, not one after the other.
BESIDE = 0.3

Floats = NDArray[np.float64]


def along(points: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Order of points `(N, d)` along their common line, and their places on it in units of the usual gap.

    The line is the longest path of the shortest tree that joins all points, so it follows curves and arches; points
    beside it take the place of their foot on it. Which end comes first is arbitrary.

    Returns:
        Indices of the points in order, and the places of the points in that order, from 0.

    Example:
        >>> order, places = along(np.array([[0.0, 0.0], [20.0, 1.0], [10.0, 0.0], [30.0, 0.0]]))
        >>> order.tolist() in ([0, 2, 1, 3], [3, 1, 2, 0]), np.allclose(np.diff(places), 1, atol=0.01)
        (True, True)
    """
    count = len(points)
    if count < 2:
        return np.arange(count), np.zeros(count)
    path = _longest_path(points)
    places = _feet(points, points[path])
    order = np.argsort(places, kind="stable")
    places = places[order] - places.min()
    return order.astype(np.int64), places / _usual_gap(np.diff(places))


def _usual_gap(gaps: Floats) -> float:
    """Median gap; those far below the largest are between pieces of one thing and do not count."""
    return float(np.median(gaps[gaps >= BESIDE * gaps.max()])) or 1.0


def _longest_path(points: Floats) -> list[int]:
    """Indices of the points on the longest path of the shortest tree."""
    far = np.linalg.norm(points[:, None] - points[None], axis=-1)
    far += 1e-6 * (far.max() or 1.0)  # zeros would mean that two points are not joined
    lengths, before = shortest_path(minimum_spanning_tree(far), directed=False, return_predecessors=True)
    first, last = np.unravel_index(int(lengths.argmax()), lengths.shape)
    path = [int(last)]
    while path[-1] != first:
        path.append(int(before[first, path[-1]]))
    return path[::-1]


def _feet(points: Floats, line: Floats) -> Floats:
    """Length along a polyline of the foot of each point; beyond its ends the end segments go on."""
    pieces = np.diff(line, axis=0)
    lengths = np.linalg.norm(pieces, axis=1)
    starts = np.concatenate([[0.0], np.cumsum(lengths)])[:-1]
    share = np.einsum("nsd,sd->ns", points[:, None] - line[None, :-1], pieces) / np.maximum(lengths**2, 1e-12)
    low = np.where(np.arange(len(pieces)) == 0, -np.inf, 0.0)
    high = np.where(np.arange(len(pieces)) == len(pieces) - 1, np.inf, 1.0)
    share = np.clip(share, low, high)
    foot = line[None, :-1] + share[..., None] * pieces[None]
    nearest = np.linalg.norm(points[:, None] - foot, axis=-1).argmin(axis=1)
    rows = np.arange(len(points))
    found: Floats = starts[nearest] + share[rows, nearest] * lengths[nearest]
    return found
