"""How large each structure is: area in a plane, volume in a scan."""

from __future__ import annotations

import math

import numpy as np

from segwright.measures.measure import Subject, Taken, Value, measure


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
