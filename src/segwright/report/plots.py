"""Positions of everything drawn as inline SVG: score strips and learning curves, which follow the page's theme."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from segwright.core.report import Report
from segwright.report.wording import Column, number, structures_of

#: Dots in one plot beyond which only the outlying cases are drawn one by one.
MOST_DOTS = 3000
#: Points of one curve; a screen shows no more.
_MOST_POINTS = 320


@dataclass(frozen=True)
class Tick:
    """A labelled position along an axis, in percent of its length."""

    at: float
    label: str


@dataclass(frozen=True)
class Dot:
    """One case: position in percent along the axis, and in pixels across."""

    x: float
    y: float
    title: str


@dataclass(frozen=True)
class Strip:
    """One structure: all cases, quartile box, median and interval of the mean, in percent; `None` without values."""

    name: str
    dots: list[Dot]
    box: tuple[float, float, float] | None
    whiskers: tuple[float, float] | None
    mean: float | None
    bounds: tuple[float, float] | None
    text: str


@dataclass(frozen=True)
class StripPlot:
    """Score distribution of one metric over cases, one strip a structure."""

    column: Column
    ticks: list[Tick]
    strips: list[Strip]
    thinned: bool


def strip_plot(report: Report, shown: Column, most_dots: int = MOST_DOTS) -> StripPlot | None:
    """Distribution of one metric; `None` if no case has a finite value."""
    values = _values(report, shown.name)
    every = [value for cases in values.values() for _, value in cases]
    if not every:
        return None
    low, high, ticks = _axis(min(every), max(every), shown)

    def place(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    thinned = len(every) > most_dots
    asked = {row.structure for row in report.scores if row.metric == shown.name}
    strips = [
        _strip(report, name, values.get(name, []), shown, place, thinned=thinned)
        for name in structures_of(report)
        if name in asked
    ]
    return StripPlot(shown, [Tick(place(tick), f"{tick:g}") for tick in ticks], strips, thinned)


def _values(report: Report, metric: str) -> dict[str, list[tuple[str, float]]]:
    """Finite values of each structure with their case."""
    values: dict[str, list[tuple[str, float]]] = {}
    for score in report.scores:
        if score.metric == metric and score.value is not None and math.isfinite(score.value):
            values.setdefault(score.structure, []).append((score.case, score.value))
    values.pop("mean", None)
    return values


def _axis(low: float, high: float, shown: Column) -> tuple[float, float, list[float]]:
    """Bounds and ticks that start at 0 for distances and end at the metric's limit."""
    if shown.better == "lower":
        low = min(low, 0.0)
    if shown.limit is not None:
        high = shown.limit
    ticks = nice_ticks(low, high)
    top = shown.limit if shown.limit is not None and high <= shown.limit else max(ticks[-1], high)
    return min(ticks[0], low), top, [tick for tick in ticks if tick <= top]


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`.

    Example:
        >>> nice_ticks(0.62, 1.0)
        [0.6, 0.7, 0.8, 0.9, 1.0]
        >>> nice_ticks(3, 3)
        [2.6, 2.8, 3.0, 3.2, 3.4]
    """
    size = max(abs(low), abs(high))
    if high - low <= max(1e-5 * size, 1e-12):  # labels would not tell the ticks apart
        low, high = low - 0.1 * max(size, 0.01), high + 0.1 * max(size, 0.01)
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{index * step:.10g}") for index in range(first, last + 1)]


def _strip(
    report: Report,
    name: str,
    cases: list[tuple[str, float]],
    shown: Column,
    place: Callable[[float], float],
    *,
    thinned: bool,
) -> Strip:
    row = report.aggregate(name, shown.name)
    mean = None if row is None or row.mean is None else row.mean
    bounds = None if row is None or row.low is None or row.high is None else (place(row.low), place(row.high))
    text = number(mean, shown.digits)
    if not cases:
        return Strip(name, [], None, None, None, None, text)
    numbers = np.array([value for _, value in cases])
    q1, median, q3 = np.quantile(numbers, (0.25, 0.5, 0.75))
    reach = 1.5 * (q3 - q1)
    inner = numbers[(numbers >= q1 - reach) & (numbers <= q3 + reach)]
    near = (float(inner.min()), float(inner.max()))
    chosen = [item for item in cases if not thinned or not near[0] <= item[1] <= near[1]]
    dots = [
        Dot(place(value), jitter(index), f"{case}: {shown.label} {number(value, shown.digits)} {shown.unit}".strip())
        for index, (case, value) in enumerate(chosen)
    ]
    box = (place(float(q1)), place(float(median)), place(float(q3)))
    at = None if mean is None or not math.isfinite(mean) else place(mean)
    return Strip(name, dots, box, (place(near[0]), place(near[1])), at, bounds, text)


def jitter(index: int) -> float:
    """A fixed offset in pixels that spreads neighbours (golden ratio sequence)."""
    return round((index * 0.618034 % 1 - 0.5) * 18, 1)


@dataclass(frozen=True)
class Line:
    """One series as SVG path data in a 1000 x 1000 box, y downwards; `faint` is the unsmoothed one behind it."""

    name: str
    index: int
    path: str
    faint: str = ""
    last: str = ""


@dataclass(frozen=True)
class CurvePlot:
    """One panel of learning curves; `frame` is the values at left, right, bottom and top, `unit` that of x."""

    title: str
    x_label: str
    y_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    marks: list[Dot] = field(default_factory=list)
    frame: tuple[float, float, float, float] = (0.0, 1.0, 0.0, 1.0)
    unit: str = ""


Series = list[tuple[str, int, "np.ndarray[Any, Any]", "np.ndarray[Any, Any]"]]


def curve_plots(log: Mapping[int, Sequence[Mapping[str, Any]]]) -> list[CurvePlot]:
    """Loss, pseudo-Dice on validation patches, learning rate and gradient norm, as far as the log holds them."""
    x_key = "elapsed" if any("elapsed" in event for events in log.values() for event in events) else "step"
    loss = [(f"fold {fold}", fold, *_column(events, x_key, "loss")) for fold, events in log.items()]
    rate = [(f"fold {fold}", fold, *_column(events, x_key, "lr")) for fold, events in log.items()]
    found = [(f"fold {fold}", fold, *_column(events, x_key, "pseudo_ap")) for fold, events in log.items()]
    norm = [(f"fold {fold}", fold, *_column(events, x_key, "grad_norm")) for fold, events in log.items()]
    restarts = _restarts(log, x_key)
    plots = [
        _curve("Training loss", "loss (faint: raw, line: running mean)", x_key, loss, smooth=True, marks=restarts),
        _curve("Pseudo-Dice on validation patches", "pseudo-Dice", x_key, _pseudo_dice(log, x_key)),
        _curve("Pseudo-AP of objects on validation patches", "pseudo-AP", x_key, found),
        _curve("Learning rate", "learning rate", x_key, rate),
        _curve("Gradient norm", "gradient norm (running mean)", x_key, norm, smooth=True),
    ]
    return [plot for plot in plots if plot is not None]


def _column(events: Sequence[Mapping[str, Any]], x_key: str, y_key: str) -> tuple[Any, Any]:
    """Finite pairs of two keys over the events of one fold; seconds become minutes."""
    pairs = [(event[x_key], event[y_key]) for event in events if _finite(event.get(x_key), event.get(y_key))]
    x, y = np.array(pairs, dtype=float).reshape(-1, 2).T
    return (x / 60 if x_key == "elapsed" else x), y


def _finite(*values: Any) -> bool:
    return all(isinstance(value, int | float) and math.isfinite(value) for value in values)


def _pseudo_dice(log: Mapping[int, Sequence[Mapping[str, Any]]], x_key: str) -> Series:
    """One line a structure for a single fold, else one line a fold (mean over structures)."""
    if len(log) == 1:
        events = next(iter(log.values()))
        names = list(dict.fromkeys(name for event in events for name in event.get("pseudo_dice") or {}))
        if len(names) <= 8:
            flat = [
                {**event, **{f"pd/{k}": v for k, v in (event.get("pseudo_dice") or {}).items()}} for event in events
            ]
            return [(name, index, *_column(flat, x_key, f"pd/{name}")) for index, name in enumerate(names)]
    return [
        (f"fold {fold}", fold, *_column([_with_mean(e) for e in events], x_key, "pd")) for fold, events in log.items()
    ]


def _with_mean(event: Mapping[str, Any]) -> dict[str, Any]:
    values = [value for value in (event.get("pseudo_dice") or {}).values() if _finite(value)]
    return {**event, "pd": float(np.mean(values)) if values else None}


def _restarts(log: Mapping[int, Sequence[Mapping[str, Any]]], x_key: str) -> list[tuple[float, str]]:
    scale = 60 if x_key == "elapsed" else 1
    return [
        (event[x_key] / scale, f"fold {fold} was restarted: {event['restarted']}")
        for fold, events in log.items()
        for event in events
        if event.get("restarted") and _finite(event.get(x_key))
    ]


def _curve(
    title: str,
    y_label: str,
    x_key: str,
    series: Series,
    *,
    smooth: bool = False,
    marks: Sequence[tuple[float, str]] = (),
) -> CurvePlot | None:
    series = [item for item in series if len(item[2])]
    if not series:
        return None
    x_label = "training time, minutes" if x_key == "elapsed" else "optimiser steps"
    drawn = [(_running_mean(y) if smooth else y) for _, _, _, y in series]
    x_low, x_high = 0.0, max(float(x.max()) for _, _, x, _ in series) or 1.0
    y_ticks = nice_ticks(min(float(y.min()) for y in drawn), max(float(y.max()) for y in drawn), 4)
    frame = (x_low, x_high, y_ticks[0], y_ticks[-1])
    lines = [
        Line(name, index % 8, _path(x, y, frame), _path(x, raw, frame) if smooth else "", f"{y[-1]:.4g}")
        for (name, index, x, raw), y in zip(series, drawn, strict=True)
    ]
    x_ticks = [Tick(100 * t / x_high, f"{t:g}") for t in nice_ticks(x_low, x_high, 4) if t <= x_high]
    shown = [Tick(round(100 - 100 * (t - frame[2]) / (frame[3] - frame[2]), 2), f"{t:g}") for t in y_ticks]
    places = [Dot(round(100 * x / x_high, 2), 0, text) for x, text in marks]
    unit = "minutes" if x_key == "elapsed" else "steps"
    return CurvePlot(title, x_label, y_label, x_ticks, shown, lines, places, frame, unit)


def _running_mean(values: Any, share: float = 0.02) -> Any:
    """Exponential running mean over about `share` of the series, unbiased at its start."""
    keep = 1 - 1 / max(1.0, share * len(values))
    total = weight = 0.0
    result = np.empty(len(values))
    for index, value in enumerate(values):
        total, weight = keep * total + value, keep * weight + 1
        result[index] = total / weight
    return result


def _path(x: Any, y: Any, frame: tuple[float, float, float, float]) -> str:
    """Path data of at most `_MOST_POINTS` points, each the mean of its neighbours; clipped to the frame."""
    parts = min(len(x), _MOST_POINTS)
    x = np.array([part.mean() for part in np.array_split(x, parts)])
    y = np.array([part.mean() for part in np.array_split(y, parts)])
    across = 1000 * (x - frame[0]) / (frame[1] - frame[0])
    down = np.clip(1000 - 1000 * (y - frame[2]) / (frame[3] - frame[2]), 0, 1000)
    return "M" + "L".join(f"{a:.0f} {d:.0f}" for a, d in zip(across, down, strict=True))
