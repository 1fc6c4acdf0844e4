"""Mends the sections that were found spoiled: made anew, lit again, or moved back; nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segwright.ops.section_faults import Fault

Plane = NDArray[np.float32]
Between = Callable[[Plane, Plane], Plane]

#: Clean sections are looked for this far away on either side.
REACH = 3


@dataclass(frozen=True, slots=True)
class Mended:
    """A section that was mended, or could not be.

    Attributes:
        fault: What was wrong.
        action: `made anew`, `lit again`, `moved back`, or `left as it is`.
        plane: `(y, x)` grey values afterwards, or `None` where it was left.
        neighbours: Clean sections it was judged by.
        why: Why it was left.
    """

    fault: Fault
    action: str
    plane: Plane | None
    neighbours: tuple[int, ...]
    why: str = ""


def mend(
    count: int,
    read: Callable[[int], Plane],
    faults: Sequence[Fault],
    between: Between,
    *,
    error: float = float("nan"),
    contrast: float = 1.0,
) -> Iterator[Mended]:
    """Mend every fault of a stack of `count` sections.

    Missing, noisy and blurred sections are made anew from the nearest clean ones on both sides; dark and bright ones
    get the mean and contrast of those; shifted ones are moved back, and the edge that comes free is made anew. Noisy
    ones stay where the noise is smaller than the error of sections made anew, as it is where sections are thick.

    Args:
        read: Section number to grey values `(y, x)`.
        between: Sections before and after to the one between.
        error: Mean absolute error of sections made anew, in grey values; NaN where it is unknown.
        contrast: Grey values that noise and error are told in.
    """
    bad = {fault.section for fault in faults}
    for fault in faults:
        sides = [_clean(fault.section, step, count, bad) for step in (-1, 1)]
        near = tuple(z for z in sides if z is not None)
        if len(near) < 2:
            missing = f"no clean section within {REACH} on {'either side' if not near else 'one side'}"
            yield Mended(fault, "left as it is", None, near, missing)
            continue
        if fault.kind == "noisy" and fault.noise < error:
            noise, made = fault.noise / contrast, error / contrast
            why = f"its noise, {noise:.2f} of the contrast, is smaller than the error of sections made anew, {made:.2f}"
            yield Mended(fault, "left as it is", None, near, why)
            continue
        before, after = (read(z) for z in near)
        if fault.kind in {"dark", "bright"}:
            yield Mended(fault, "lit again", _lit(read(fault.section), before, after), near)
        elif fault.kind == "shifted":
            yield Mended(fault, "moved back", _moved(read(fault.section), fault.shift, between(before, after)), near)
        else:
            yield Mended(fault, "made anew", between(before, after), near)


def _clean(section: int, step: int, count: int, bad: set[int]) -> int | None:
    for distance in range(1, REACH + 1):
        z = section + step * distance
        if not 0 <= z < count:
            return None
        if z not in bad:
            return z
    return None


def _lit(plane: Plane, before: Plane, after: Plane) -> Plane:
    """The section with its neighbours' mean and contrast."""
    mean = (before.mean() + after.mean()) / 2
    deviation = (before.std() + after.std()) / 2
    lit: Plane = (plane - plane.mean()) * (deviation / max(float(plane.std()), 1e-6)) + mean
    return lit


def _moved(plane: Plane, shift: tuple[int, int], beneath: Plane) -> Plane:
    """The section moved by whole pixels over what is made of its neighbours."""
    result = beneath.copy()
    there, here = [], []
    for length, by in zip(plane.shape, shift, strict=True):
        there.append(slice(max(by, 0), length + min(by, 0)))
        here.append(slice(max(-by, 0), length - max(by, 0)))
    result[tuple(there)] = plane[tuple(here)]
    return result
