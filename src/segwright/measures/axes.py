"""How long and wide each structure is, and how its long axis lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
            marks += _cross(found, edge)
    return Taken(tuple(values), tuple(marks))


def _direction(structure: str, long: Points, flat: bool) -> Value:
    """In a plane the angle of the long axis to the horizontal, anticlockwise as seen; in a scan its angle to z."""
    if flat:
        angle = np.degrees(np.arctan2(-long[0], long[1])) % 180
        return Value(structure, "orientation", float(angle), "°", "from horizontal, anticlockwise")
    return Value(structure, "orientation", float(np.degrees(np.arccos(min(1.0, abs(long[0]))))), "°", "from the z axis")


def _cross(found: Axes, edge: Points) -> list[Mark]:
    """Long and short axis as lines in voxel indices."""
    ends = [found.centre + sign * extent / 2 * way for way, extent in zip(found.directions, found.extents, strict=True)
            for sign in (-1, 1)]  # fmt: skip
    places = np.array(ends) / edge
    return [Mark(places[:2], role="fine"), Mark(places[2:4], role="fine")]
