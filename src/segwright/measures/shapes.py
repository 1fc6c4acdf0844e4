"""Plain shapes of a structure: its axes, the quadrilateral around it, and its size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

from segwright.measures.measure import Mark, Points, Subject, Taken, Value, measure


@dataclass(frozen=True)
class Axes:
    """Principal axes of a body.

    Attributes:
        centre: `(d,)` in the unit of the points.
        directions: `(d, d)` unit vectors in rows, longest extent first.
        extents: Full extent along each.
    """

    centre: Points
    directions: Points
    extents: Points


def principal_axes(points: Points, edge: Points) -> Axes:
    """Principal axes of voxel centres `(N, d)`; extents count whole voxels of the given edges.

    Example:
        >>> points = np.array([[0.0, x] for x in range(10)])
        >>> principal_axes(points, np.ones(2)).extents.round(6).tolist()
        [10.0, 1.0]
    """
    centre = points.mean(axis=0)
    spread = np.cov((points - centre).T, bias=True) if len(points) > 1 else np.zeros((points.shape[1],) * 2)
    directions = np.linalg.eigh(np.atleast_2d(spread))[1][:, ::-1].T
    along = (points - centre) @ directions.T
    extents = np.ptp(along, axis=0) + np.abs(directions) @ edge
    order = np.argsort(-extents, kind="stable")
    return Axes(centre, directions[order], extents[order])


@measure(general=True)
def axes(subject: Subject) -> Taken:
    """Length, width and, in three dimensions, thickness along each structure's own axes, and how the long axis lies."""
    values, marks = [], []
    skip = 1 if subject.flat else 0
    edge = np.array(subject.lengths[skip:])
    for structure in subject.names:
        indices = np.argwhere(subject.mask(structure))
        if not len(indices):
            values.append(Value(structure, "length", None, subject.unit, "the structure is empty"))
            continue
        found = principal_axes(indices[:, skip:] * edge, edge)
        for name, extent in zip(("length", "width", "thickness"), found.extents, strict=False):
            values.append(Value(structure, name, float(extent), subject.unit))
        values.append(_direction(structure, found.directions[0], subject.flat))
        if subject.flat:
            marks += _axis_lines(found, edge)
    return Taken(tuple(values), tuple(marks))


def _direction(structure: str, long: Points, flat: bool) -> Value:
    """In a plane the angle of the long axis to the horizontal, anticlockwise as seen; in a scan its angle to z."""
    if flat:
        angle = np.degrees(np.arctan2(-long[0], long[1])) % 180
        return Value(structure, "orientation", float(angle), "°", "from horizontal, anticlockwise")
    return Value(structure, "orientation", float(np.degrees(np.arccos(min(1.0, abs(long[0]))))), "°", "from the z axis")


def _axis_lines(found: Axes, edge: Points) -> list[Mark]:
    """Long and short axis as lines in voxel indices."""
    ends = [found.centre + sign * extent / 2 * way for way, extent in zip(found.directions, found.extents, strict=True)
            for sign in (-1, 1)]  # fmt: skip
    places = np.array(ends) / edge
    return [Mark(places[:2], role="fine"), Mark(places[2:4], role="fine")]


#: Share of a side, around its middle, whose border points its line is fitted to; corners are round in real bodies.
MIDDLE = 0.8


def minimal_quad(points: Points) -> Points:
    """Corners `(4, 2)` of a small quadrilateral around points `(N, 2)`, in the order of their hull.

    Starts from the convex hull and drops, one after the other, the side whose removal (its neighbours are extended
    until they meet) adds the least area. For the pixels of a rasterised quadrilateral this gives back its corners to
    about a pixel.

    Example:
        >>> square = np.array([[0.0, 0], [0, 4], [4, 4], [4, 0], [2, 2], [4, 2]])
        >>> sorted(minimal_quad(square).round(6).tolist())
        [[0.0, 0.0], [0.0, 4.0], [4.0, 0.0], [4.0, 4.0]]
    """
    corners = points[ConvexHull(points).vertices]
    while len(corners) > 4:
        found = [(side, one) for side in range(len(corners)) if (one := _without_side(corners, side)) is not None]
        if not found:
            break
        side, (meet, _) = min(found, key=lambda entry: entry[1][1])
        corners = np.delete(corners, (side + 1) % len(corners), axis=0)
        corners[min(side, len(corners) - 1)] = meet
    return corners


def _without_side(corners: Points, side: int) -> tuple[Points, float] | None:
    """Where the neighbours of a side meet, and the area that this adds; `None` if they do not meet outside."""
    count = len(corners)
    before, a, b, after = (corners[(side + shift) % count] for shift in (-1, 0, 1, 2))
    first, second = a - before, b - after
    cross = _cross(first, second)
    if abs(cross) < 1e-12:
        return None
    share = _cross(b - a, second) / cross
    back = _cross(b - a, first) / cross
    if share <= 0 or back <= 0:
        return None
    meet = a + share * first
    return meet, abs(_cross(b - a, meet - a)) / 2


def _cross(a: Points, b: Points) -> float:
    return float(a[0] * b[1] - a[1] * b[0])


def fitted_sides(corners: Points, border: Points) -> Points:
    """Ends `(4, 2, 2)` of a line through the border along each side of a quadrilateral, least squares.

    Side `i` runs from corner `i` to the next. Only border points nearest to that side and beside its middle count; a
    side with fewer than three of them keeps its own ends.
    """
    ends = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)
    ways = ends[:, 1] - ends[:, 0]
    lengths = np.maximum(np.linalg.norm(ways, axis=1), 1e-9)
    units = ways / lengths[:, None]
    offset = border[:, None] - ends[None, :, 0]
    along = np.einsum("nsd,sd->ns", offset, units) / lengths
    beside = np.abs(offset[..., 0] * units[:, 1] - offset[..., 1] * units[:, 0])
    nearest = beside.argmin(axis=1)
    sides = ends.copy()
    for side in range(len(corners)):
        inside = np.abs(along[:, side] - 0.5) <= MIDDLE / 2
        chosen = border[(nearest == side) & inside]
        if len(chosen) >= 3:
            sides[side] = _line(chosen, ends[side])
    return sides


def _line(points: Points, ends: Points) -> Points:
    """The feet of two ends on the line through points with the least squared distance."""
    centre = points.mean(axis=0)
    way = np.linalg.svd(points - centre, full_matrices=False)[2][0]
    found: Points = centre + ((ends - centre) @ way)[:, None] * way
    return found


@measure(general=True)
def size(subject: Subject) -> Taken:
    """Area of each structure in a plane, volume in three dimensions, in mm² or mm³ where spacing is known."""
    known = subject.unit == "mm"
    name = "area" if subject.flat else "volume"
    unit = ("mm²" if subject.flat else "mm³") if known else subject.unit
    one = math.prod(subject.lengths[1:] if subject.flat else subject.lengths)
    values = []
    for structure in subject.names:
        count = int(np.count_nonzero(subject.mask(structure)))
        values.append(Value(structure, name, count * one, unit, "" if count else "the structure is empty"))
    return Taken(tuple(values))
