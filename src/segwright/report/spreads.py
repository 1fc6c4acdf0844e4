"""Positions of plots of plain values: one strip a name, one dot a case, on a linear or logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segwright.report.plots import MOST_DOTS, Dot, Strip, Tick, jitter, nice_ticks
from segwright.report.wording import significant

#: Ratio of largest to smallest value from which an axis is logarithmic.
_WIDE = 30.0

Values = Sequence[tuple[str, float]]


@dataclass(frozen=True)
class SpreadPlot:
    """Values of one kind, e.g. volumes in mm³; `strips` beyond the first dozen are in `more`."""

    title: str
    note: str
    ticks: list[Tick]
    strips: list[Strip]
    more: list[Strip]
    thinned: bool


def spread_plot(title: str, values: Mapping[str, Values], *, unit: str = "", most: int = 12) -> SpreadPlot | None:
    """One strip a name; `None` without values.

    Args:
        title: What is drawn, with its unit.
        values: For each name its cases and their values.
        unit: Appended to values in words.
        most: Strips shown at once.
    """
    kept = {name: [(case, v) for case, v in rows if math.isfinite(v)] for name, rows in values.items()}
    every = [value for rows in kept.values() for _, value in rows]
    if not every:
        return None
    logarithmic = min(every) > 0 and max(every) > _WIDE * min(every)
    place, ticks = _log_axis(min(every), max(every)) if logarithmic else _axis(min(every), max(every))
    thinned = len(every) > MOST_DOTS
    strips = [_strip(name, rows, place, unit, thinned=thinned) for name, rows in kept.items() if rows]
    note = "logarithmic axis" if logarithmic else ""
    return SpreadPlot(title, note, ticks, strips[:most], strips[most:], thinned)


def _axis(low: float, high: float) -> tuple[Callable[[float], float], list[Tick]]:
    ticks = nice_ticks(low, high)
    first, last = ticks[0], ticks[-1]

    def place(value: float) -> float:
        return round(100 * (value - first) / (last - first), 2)

    return place, [Tick(place(tick), _short(tick)) for tick in ticks]


def _log_axis(low: float, high: float) -> tuple[Callable[[float], float], list[Tick]]:
    """A logarithmic axis whose ticks are powers of ten, and 2 and 5 times those where there is room."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1.0,) if len(decades) > 4 else (1.0, 2.0, 5.0) if len(decades) < 3 else (1.0, 3.0)
    marks = [step * 10.0**power for power in decades for step in steps]
    below = max((mark for mark in marks if mark <= low), default=marks[0])
    above = min((mark for mark in marks if mark >= high), default=marks[-1])
    span = math.log(above / below) or 1.0

    def place(value: float) -> float:
        return round(100 * math.log(value / below) / span, 2)

    return place, [Tick(place(mark), _short(mark)) for mark in marks if below <= mark <= above]


def _short(value: float) -> str:
    """A tick label.

    Example:
        >>> _short(3000.0), _short(20000.0), _short(0.5), _short(2e6)
        ('3000', '20k', '0.5', '2M')
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if letter == 'k' else size):g}{letter}"
    return f"{value:g}"


def _strip(name: str, rows: Values, place: Callable[[float], float], unit: str, *, thinned: bool) -> Strip:
    numbers = np.array([value for _, value in rows])
    q1, median, q3 = (float(value) for value in np.quantile(numbers, (0.25, 0.5, 0.75)))
    reach = 1.5 * (q3 - q1)
    inner = numbers[(numbers >= q1 - reach) & (numbers <= q3 + reach)]
    near = (float(inner.min()), float(inner.max()))
    chosen = [row for row in rows if not thinned or not near[0] <= row[1] <= near[1]]
    dots = [
        Dot(place(value), jitter(index), f"{case}: {significant(value)} {unit}".strip())
        for index, (case, value) in enumerate(chosen)
    ]
    box = (place(q1), place(median), place(q3))
    return Strip(name, dots, box, (place(near[0]), place(near[1])), None, None, significant(median))
