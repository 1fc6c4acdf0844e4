"""What every section of a stack looks like beside its neighbours: brightness, contrast, detail, likeness, shift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.registration import phase_cross_correlation

Plane = NDArray[np.float32]

#: Sections are compared at no more than this many pixels an edge.
EDGE = 512


@dataclass(frozen=True, slots=True)
class SectionFacts:
    """Measurements of a stack of `n` sections, in grey values and pixels.

    Attributes:
        mean, deviation: `(n,)` of each section's grey values.
        detail: `(n,)` spread (by the median) of the difference between a pixel and its four neighbours' mean.
        likeness: `(n - 1,)` correlation of each section with the next.
        shift: `(n - 1, 2)` rows and columns by which the next section must be moved to lie over this one, in pixels.
        moved: `(n - 1,)` their correlation when it is moved so.
        leap: `(n - 2, 2)` the same shift between each section and the one after the next.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    detail: NDArray[np.float64]
    likeness: NDArray[np.float64]
    shift: NDArray[np.float64]
    moved: NDArray[np.float64]
    leap: NDArray[np.float64]


def measure(count: int, read: Callable[[int], Plane]) -> SectionFacts:
    """Measure `count` sections, holding three at a time.

    Args:
        count: Sections in the stack.
        read: Section number to its grey values `(y, x)`; all have one shape.

    Example:
        >>> plane = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
        >>> facts = measure(3, lambda z: np.roll(plane, 5, axis=1) if z == 1 else plane)
        >>> facts.shift.tolist()
        [[0.0, -5.0], [0.0, 5.0]]
    """
    rows: list[tuple[float, float, float]] = []
    pairs: list[tuple[float, tuple[float, float], float]] = []
    leaps: list[tuple[float, float]] = []
    held: list[Plane] = []
    for z in range(count):
        plane = np.nan_to_num(read(z)).astype(np.float32)
        rows.append((float(plane.mean()), float(plane.std()), _detail(plane)))
        small, step = _small(plane)
        if held:
            pairs.append(_pair(held[-1], small, step))
        if len(held) == 2:
            leaps.append(_shift(held[0], small, step))
        held = [*held[-1:], small]
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return SectionFacts(
        mean=table[:, 0],
        deviation=table[:, 1],
        detail=table[:, 2],
        likeness=np.array([row[0] for row in pairs]),
        shift=np.array([row[1] for row in pairs]).reshape(-1, 2),
        moved=np.array([row[2] for row in pairs]),
        leap=np.array(leaps).reshape(-1, 2),
    )


def _detail(plane: Plane) -> float:
    if min(plane.shape) < 3:
        return 0.0
    around = (plane[:-2, 1:-1] + plane[2:, 1:-1] + plane[1:-1, :-2] + plane[1:-1, 2:]) / 4
    return 1.4826 * float(np.median(np.abs(plane[1:-1, 1:-1] - around)))  # the seam of a shift or tear does not count


def _small(plane: Plane) -> tuple[Plane, int]:
    """The plane averaged down to at most `EDGE` pixels an edge, and by how much."""
    step = -(-max(plane.shape) // EDGE)
    y, x = (n // step * step for n in plane.shape)
    return plane[:y, :x].reshape(y // step, step, x // step, step).mean(axis=(1, 3)), step


def _pair(first: Plane, second: Plane, step: int) -> tuple[float, tuple[float, float], float]:
    shift = _shift(first, second, step)
    return correlation(first, second), shift, correlation(*overlap(first, second, (shift[0] / step, shift[1] / step)))


def _shift(first: Plane, second: Plane, step: int) -> tuple[float, float]:
    """Rows and columns of full size that bring `second` over `first`; none where either is flat."""
    if min(first.std(), second.std()) < 1e-6:
        return 0.0, 0.0
    centred = (first - first.mean(), second - second.mean())
    found, _, _ = phase_cross_correlation(*centred, normalization=None)  # type: ignore[no-untyped-call]
    return float(found[0]) * step, float(found[1]) * step


def overlap(first: Plane, second: Plane, shift: tuple[float, float]) -> tuple[Plane, Plane]:
    """The parts of two sections that lie over one another once the second is moved by whole pixels."""
    cut_first, cut_second = [], []
    for length, by in zip(first.shape, (round(shift[0]), round(shift[1])), strict=True):
        cut_first.append(slice(max(by, 0), length + min(by, 0)))
        cut_second.append(slice(max(-by, 0), length - max(by, 0)))
    return first[tuple(cut_first)], second[tuple(cut_second)]


def correlation(first: Plane, second: Plane) -> float:
    """Pearson's correlation of grey values; 0 where either section is flat."""
    a, b = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((a * a).mean() * (b * b).mean())) if a.size else 0.0
    return float((a * b).mean()) / scale if scale > 1e-9 else 0.0
