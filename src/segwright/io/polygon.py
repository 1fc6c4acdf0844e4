"""Turns outlines into pixels and pixels into outlines, so that an outline written from a mask reads back as that mask.

The rule: pixel `(row, column)` covers the square from `(column, row)` to `(column + 1, row + 1)`; it is set if its
centre lies inside the outline, counted by crossings (even-odd). Centres on an edge belong to the side with larger x or
y, so outlines that share an edge share no pixel. Outlines traced here have whole-number corners, which no centre
touches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ring = NDArray[np.float64]
Mask = NDArray[np.bool_]
Corner = tuple[int, int]

#: Segments compared at once when looking for crossings.
_CHUNK = 256


def fill(rings: Sequence[ArrayLike], shape: tuple[int, int]) -> Mask:
    """Pixels `(rows, columns)` inside closed rings of `(x, y)` corners, all rings together by the even-odd rule.

    Corners may lie outside the image; what is outside is cut off.

    Example:
        >>> fill([[(1, 0), (3, 0), (3, 2), (1, 2)]], (2, 4)).astype(int).tolist()
        [[0, 1, 1, 0], [0, 1, 1, 0]]
    """
    inside: Mask = np.zeros(shape, dtype=bool)
    part, box = fill_box(rings, shape)
    inside[box] = part
    return inside


def fill_box(rings: Sequence[ArrayLike], shape: tuple[int, int]) -> tuple[Mask, tuple[slice, slice]]:
    """`fill` for the part of the image that the rings reach: its pixels, and where it lies."""
    edges = np.concatenate([_edges(np.asarray(ring, dtype=np.float64).reshape(-1, 2)) for ring in rings] or [_edges()])
    lower = edges[:, 1] > edges[:, 3]
    edges[lower] = edges[lower][:, [2, 3, 0, 1]]  # both directions of an edge must give the same crossings
    x0, y0, x1, y1 = edges.T
    first = np.clip(np.ceil(y0 - 0.5), 0, shape[0]).astype(np.int64)
    count = np.maximum(np.clip(np.ceil(y1 - 0.5), 0, shape[0]).astype(np.int64) - first, 0)
    which = np.repeat(np.arange(len(edges)), count)
    row = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count) + first[which]
    height = np.where(y1 > y0, y1 - y0, 1.0)
    crossing = x0[which] + (row + 0.5 - y0[which]) * ((x1 - x0) / height)[which]
    column = np.clip(np.ceil(crossing - 0.5), 0, shape[1]).astype(np.int64)
    if not len(row):
        return np.zeros((0, 0), dtype=bool), (slice(0, 0), slice(0, 0))
    top, left = int(row.min()), int(column.min())
    rows, columns = int(row.max()) + 1 - top, int(column.max()) - left
    places = (row - top) * (columns + 1) + column - left
    odd = np.bincount(places, minlength=rows * (columns + 1)).reshape(rows, columns + 1)[:, :columns] % 2 == 1
    inside: Mask = np.logical_xor.accumulate(odd, axis=1)
    return inside, (slice(top, top + rows), slice(left, left + columns))


def _edges(ring: Ring | None = None) -> NDArray[np.float64]:
    """`(x0, y0, x1, y1)` of each side of a closed ring."""
    if ring is None or len(ring) < 2:
        return np.empty((0, 4))
    return np.concatenate([ring, np.roll(ring, -1, axis=0)], axis=1)


def crosses_itself(ring: ArrayLike) -> bool:
    """Whether two sides of a closed ring cross; sides that merely touch or lie on one another do not.

    Example:
        >>> crosses_itself([(0, 0), (2, 2), (2, 0), (0, 2)]), crosses_itself([(0, 0), (2, 0), (2, 2), (0, 2)])
        (True, False)
    """
    sides = _edges(np.asarray(ring, dtype=np.float64).reshape(-1, 2))
    sides = sides[np.argsort(np.minimum(sides[:, 0], sides[:, 2]), kind="stable")]
    left, right = np.minimum(sides[:, 0], sides[:, 2]), np.maximum(sides[:, 0], sides[:, 2])
    for low in range(0, len(sides), _CHUNK):
        part = slice(low, low + _CHUNK)
        near = sides[low:][(left[low:] <= right[part].max()) & (right[low:] >= left[part].min())]
        if _any_cross(sides[part, None], near[None]):
            return True
    return False


def _any_cross(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether any side of one list properly crosses one of the other; shapes that broadcast to `(N, M, 4)`."""
    a, b, c, d = one[..., :2], one[..., 2:], other[..., :2], other[..., 2:]
    apart = (_side(a, b, c) * _side(a, b, d) < 0) & (_side(c, d, a) * _side(c, d, b) < 0)
    return bool(apart.any())


def _side(a: Ring, b: Ring, point: Ring) -> NDArray[Any]:
    """Which side of the line through `a` and `b` a point lies on: -1, 0 or 1."""
    along, across = b - a, point - a
    return np.sign(along[..., 0] * across[..., 1] - along[..., 1] * across[..., 0])


class Outline(NamedTuple):
    """A closed ring of `(x, y)` corners `(N, 2)`; `bridged` if cuts of no width lead to holes inside it."""

    points: NDArray[np.int64]
    bridged: bool


def trace(mask: ArrayLike) -> list[Outline]:
    """Outlines along pixel edges of a mask `(rows, columns)`: `fill` of each, united, is the mask, exactly.

    Pixels that touch at a corner only get outlines of their own. A hole is joined to the ring around it by a level cut,
    since polygon formats know no holes.

    Example:
        >>> trace([[0, 1, 1]])[0].points.tolist()
        [[1, 0], [3, 0], [3, 1], [1, 1]]
    """
    filled = np.asarray(mask) != 0
    rows, columns = np.flatnonzero(filled.any(axis=1)), np.flatnonzero(filled.any(axis=0))
    if not len(rows):
        return []
    y, x = int(rows[0]), int(columns[0])
    found = _trace(filled[y : int(rows[-1]) + 1, x : int(columns[-1]) + 1])
    return [Outline(np.add(outline.points, (x, y)), outline.bridged) for outline in found]


def _trace(filled: Mask) -> list[Outline]:
    """`trace` of the box around a mask."""
    rings = _loops(np.pad(filled, 1))
    holes = [ring for ring in rings if _area(ring) < 0]
    outer = [list(ring) for ring in rings if _area(ring) > 0]
    bridged: set[int] = set()
    owner = {corner: index for index, ring in enumerate(outer) for corner in _left_sides(ring)}
    for hole in sorted(holes, key=min):
        x, y = min(hole)
        start = int(np.flatnonzero(~filled[y, :x])[-1]) + 1 if not filled[y, :x].all() else 0
        index = owner[(start, y)]
        _join(outer[index], (start, y), hole, (x, y))
        bridged.add(index)
        owner.update(dict.fromkeys(_left_sides(hole), index))
    return [Outline(_corners(ring), index in bridged) for index, ring in enumerate(outer)]


def _loops(padded: Mask) -> list[list[Corner]]:
    """Closed walks along pixel edges with the set pixels to the right, a corner a step; `padded` has a margin of 1."""
    inner = padded[1:-1, 1:-1]
    steps: dict[Corner, list[Corner]] = {}
    sides = (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),  # above: to the right
        (padded[1:-1, 2:], (1, 0), (1, 1)),  # right: down
        (padded[2:, 1:-1], (1, 1), (0, 1)),  # below: to the left
        (padded[1:-1, :-2], (0, 1), (0, 0)),  # left: up
    )
    for neighbour, (ax, ay), (bx, by) in sides:
        for y, x in zip(*(axis.tolist() for axis in np.nonzero(inner & ~neighbour)), strict=True):
            steps.setdefault((x + ax, y + ay), []).append((x + bx, y + by))
    loops = []
    for corner in sorted(steps):
        while steps[corner]:
            loops.append(_walk(steps, corner))
    return loops


def _walk(steps: dict[Corner, list[Corner]], start: Corner) -> list[Corner]:
    """One closed walk, its steps taken out; where two go on, the one that turns right."""
    walk = [start]
    here, after = start, steps[start].pop()
    while after != start:
        walk.append(after)
        ways = steps[after]
        right = (after[0] - (after[1] - here[1]), after[1] + (after[0] - here[0]))
        chosen = ways.index(right) if right in ways else 0
        here, after = after, ways.pop(chosen)
    return walk


def _area(ring: Sequence[Corner]) -> int:
    """Twice the area; negative for walks around a hole."""
    x, y = np.array(ring, dtype=np.int64).T
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def _left_sides(ring: Sequence[Corner]) -> list[Corner]:
    """Upper corners of the steps that go up: the left edge of a set pixel."""
    return [b for a, b in zip(ring, [*ring[1:], ring[0]], strict=True) if b[1] < a[1]]


def _join(ring: list[Corner], at: Corner, hole: Sequence[Corner], start: Corner) -> None:
    """Put a walk around a hole into a ring, by a cut from `at` to `start` and back."""
    place, first = ring.index(at), hole.index(start)
    ring[place:place] = [at, *hole[first:], *hole[:first], start]


def _corners(ring: Sequence[Corner]) -> NDArray[np.int64]:
    """A ring without the points inside straight sides."""
    points = np.array(ring, dtype=np.int64)
    before, after = np.sign(points - np.roll(points, 1, axis=0)), np.sign(np.roll(points, -1, axis=0) - points)
    return points[(before != after).any(axis=1)]
