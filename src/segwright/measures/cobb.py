"""Cobb angles of a spine seen from the front, by end plates and, to check them, by the bend of its centre line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_smoothing_spline

from segwright.measures.measure import Mark, Points, Subject, Taken, Value, measure
from segwright.measures.vertebrae import Vertebra, find_column

#: Degrees by which both ways may differ before a person should look.
GAP = 5.0
#: A smoothed centre line needs this many bodies.
LEAST_FOR_LINE = 5
#: Points drawn of the centre line.
DRAWN = 100


@dataclass(frozen=True)
class Curve:
    """Degrees between the upper end plate of one body and the lower one of another; bodies by number from the top."""

    angle: float
    top: int
    bottom: int


@measure()
def cobb(subject: Subject, structures: Sequence[str] = ()) -> Taken:
    """Cobb angles of the main curve and those above and below it, checked against the tangent of the centre line.

    The main angle (Cobb 1948) is the largest one between the upper end plate of a vertebra and the lower end plate of
    one below it; the angles above and below share its end vertebrae. End plates are least-squares lines through the
    borders of a minimal quadrilateral around each body. The check is the angle between the tangents of a smoothing
    spline through the centres, at the same two end plates.

    Args:
        subject: A single plane, the head up.
        structures: Which are vertebrae; by their names if not given.
    """
    if not subject.flat:
        return Taken(missing="Cobb angles are taken in a single frontal plane; this is a volume")
    column = find_column(subject, [structures] if isinstance(structures, str) else structures)
    if column.missing:
        return Taken(missing=column.missing, notes=column.notes)
    bodies = column.bodies
    curves = cobb_curves(bodies)
    values = [_value(name, curve, bodies) for name, curve in curves.items()]
    line = centre_line(np.array([body.centre for body in bodies]))
    notes = list(column.notes)
    checked = _checked(curves["main"], bodies, line)
    values.append(
        Value("spine", "cobb main by centre line", checked, "°", "" if checked is not None else "too few bodies")
    )
    gap = abs(curves["main"].angle - checked) if checked is not None else 0.0
    if gap > GAP:
        notes.append(f"end plates and centre line differ by {gap:.1f}°: look at the outlines")
    values.append(Value("spine", "vertebrae", float(len(bodies)), "count"))
    return Taken(tuple(values), tuple(_marks(subject, bodies, curves, line)), notes=tuple(notes))


def cobb_curves(bodies: Sequence[Vertebra]) -> dict[str, Curve]:
    """`upper`, `main` and `lower` curve of bodies in order from the top; without a curve there, its angle is 0."""
    above, below = (np.array([tilt(plate) for plate in plates]) for plates in _plates(bodies))
    angles = np.abs(above[:, None] - below[None, :])
    angles[np.tril_indices(len(bodies))] = -1.0
    top, bottom = (int(i) for i in np.unravel_index(int(angles.argmax()), angles.shape))
    main = Curve(float(angles[top, bottom]), top, bottom)
    upper, lower = Curve(0.0, top, top), Curve(0.0, bottom, bottom)
    if top > 0:
        first = int(angles[:top, top].argmax())
        upper = Curve(float(angles[first, top]), first, top)
    if bottom < len(bodies) - 1:
        last = bottom + 1 + int(angles[bottom, bottom + 1 :].argmax())
        lower = Curve(float(angles[bottom, last]), bottom, last)
    return {"upper": upper, "main": main, "lower": lower}


def tilt(plate: Points) -> float:
    """Degrees by which an end plate falls from its left to its right end.

    Example:
        >>> tilt(np.array([[0.0, 0.0], [1.0, 1.0]]))
        45.0
    """
    (y0, x0), (y1, x1) = plate
    return float(np.degrees(np.arctan2(y1 - y0, x1 - x0)))


def _plates(bodies: Sequence[Vertebra]) -> tuple[list[Points], list[Points]]:
    return [body.upper for body in bodies], [body.lower for body in bodies]


class Line:
    """A smoothed centre line: `x` as a function of `y`, both in the subject's unit."""

    def __init__(self, centres: Points) -> None:
        y, x = centres.T
        self.low, self.high = float(y[0]), float(y[-1])
        self.spline = make_smoothing_spline(y, x)

    def points(self) -> Points:
        """Points to draw `(N, 2)`."""
        y = np.linspace(self.low, self.high, DRAWN)
        return np.stack([y, self.spline(y)], axis=1)

    def lean(self, y: float) -> float:
        """Degrees by which the tangent leans to the right on its way down, at a height inside the line."""
        inside = min(max(y, self.low), self.high)
        return float(np.degrees(np.arctan(self.spline.derivative()(inside))))


def centre_line(centres: Points) -> Line | None:
    """The smoothing spline (penalty by generalised cross-validation) through centres from the top; `None` if there are
    too few, or the column turns back upwards."""
    rising: NDArray[np.bool_] = np.diff(centres[:, 0]) > 0
    if len(centres) < LEAST_FOR_LINE or not rising.all():
        return None
    return Line(centres)


def _checked(main: Curve, bodies: Sequence[Vertebra], line: Line | None) -> float | None:
    """Angle of the main curve by the tangents of the centre line."""
    if line is None:
        return None
    top, bottom = bodies[main.top].upper.mean(axis=0), bodies[main.bottom].lower.mean(axis=0)
    return abs(line.lean(float(top[0])) - line.lean(float(bottom[0])))


def _value(name: str, curve: Curve, bodies: Sequence[Vertebra]) -> Value:
    if curve.top == curve.bottom:
        return Value(
            "spine", f"cobb {name}", 0.0, "°", f"no curve {'above' if name == 'upper' else 'below'} the main one"
        )
    return Value("spine", f"cobb {name}", curve.angle, "°", f"{bodies[curve.top].name} to {bodies[curve.bottom].name}")


def _marks(subject: Subject, bodies: Sequence[Vertebra], curves: dict[str, Curve], line: Line | None) -> list[Mark]:
    """Centre line, all end plates, and those of the curves with their angles, in voxel indices."""
    edge = np.array(subject.lengths[1:])
    fine = [Mark(plate / edge) for body in bodies for plate in (body.upper, body.lower)]
    if line is not None:
        fine.append(Mark(line.points() / edge))
    strong = []
    for name, curve in curves.items():
        if curve.top != curve.bottom:
            text = f"{name} {curve.angle:.1f}°"
            strong.append(Mark(_longer(bodies[curve.top].upper) / edge, text, "main"))
            strong.append(Mark(_longer(bodies[curve.bottom].lower) / edge, "", "main"))
    return [*fine, *strong]


def _longer(plate: Points) -> Points:
    """An end plate drawn on to both sides, as on paper."""
    way = plate[1] - plate[0]
    return np.stack([plate[0] - 0.6 * way, plate[1] + 1.2 * way])
