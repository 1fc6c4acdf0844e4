"""Positions of all that is drawn as inline SVG in the page's theme: score strips, learning curves, reliability."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from segwright.core.events import Restart, Step, TrainEvent
from segwright.core.report import Report
from segwright.core.words import amount
from segwright.metrics.calibration import Calibration, StructureCalibration
from segwright.report.wording import Column, number, percent, structures_of

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


def curve_plots(log: Mapping[int, Sequence[TrainEvent]]) -> list[CurvePlot]:
    """Loss, pseudo-Dice on validation patches, learning rate and gradient norm, as far as the log holds them."""
    steps = {fold: [event for event in events if isinstance(event, Step)] for fold, events in log.items()}
    restarts = [
        (event.elapsed / 60, f"fold {fold} was restarted: {event.restarted}")
        for fold, events in log.items()
        for event in events
        if isinstance(event, Restart)
    ]
    plots = [
        _curve(
            "Training loss",
            "loss (faint: raw, line: running mean)",
            _folds(steps, lambda step: step.loss),
            smooth=True,
            marks=restarts,
        ),
        _curve("Pseudo-Dice on validation patches", "pseudo-Dice", _pseudo_dice(steps)),
        _curve("Pseudo-AP of objects on validation patches", "pseudo-AP", _folds(steps, lambda step: step.pseudo_ap)),
        _curve("Learning rate", "learning rate", _folds(steps, lambda step: step.lr)),
        _curve(
            "Gradient norm", "gradient norm (running mean)", _folds(steps, lambda step: step.grad_norm), smooth=True
        ),
    ]
    return [plot for plot in plots if plot is not None]


def _folds(steps: Mapping[int, Sequence[Step]], value: Callable[[Step], float | None]) -> Series:
    return [(f"fold {fold}", fold, *_column(some, value)) for fold, some in steps.items()]


def _column(steps: Sequence[Step], value: Callable[[Step], float | None]) -> tuple[Any, Any]:
    """Minutes and finite values over the steps of one fold."""
    pairs = [(step.elapsed / 60, value(step)) for step in steps if _finite(value(step))]
    x, y = np.array(pairs, dtype=float).reshape(-1, 2).T
    return x, y


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _pseudo_dice(steps: Mapping[int, Sequence[Step]]) -> Series:
    """One line a structure for a single fold, else one line a fold (mean over structures)."""
    if len(steps) == 1:
        only = next(iter(steps.values()))
        names = list(dict.fromkeys(name for step in only for name in step.pseudo_dice))
        if len(names) <= 8:
            of = [partial(lambda step, name: step.pseudo_dice.get(name), name=name) for name in names]
            return [(name, index, *_column(only, of[index])) for index, name in enumerate(names)]
    return _folds(steps, _mean_dice)


def _mean_dice(step: Step) -> float | None:
    values = [value for value in step.pseudo_dice.values() if _finite(value)]
    return float(np.mean(values)) if values else None


def _curve(
    title: str,
    y_label: str,
    series: Series,
    *,
    smooth: bool = False,
    marks: Sequence[tuple[float, str]] = (),
) -> CurvePlot | None:
    series = [item for item in series if len(item[2])]
    if not series:
        return None
    x_label = "training time, minutes"
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
    return CurvePlot(title, x_label, y_label, x_ticks, shown, lines, places, frame, "minutes")


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


#: Voxels below which a bin is too few to be drawn.
_FEWEST = 20
#: Diagrams beyond which the rest is folded away.
MOST_DRAWN = 12


@dataclass(frozen=True)
class Bin:
    """One bin: centre of its scores and share inside in percent of the axes, height of its bar, and words."""

    x: float
    y: float
    bar: float
    title: str


@dataclass(frozen=True)
class Diagram:
    """One structure: bins with their line, and the error in words."""

    name: str
    colour: str
    bins: list[Bin]
    path: str
    error: str
    missed: str
    leaning: str


@dataclass(frozen=True)
class Reliability:
    """All diagrams, the worst first, and what to say about them."""

    drawn: list[Diagram]
    more: list[Diagram]
    cases: int
    floor: str
    notes: tuple[str, ...]


def reliability(found: Calibration | None, colours: Mapping[str, str]) -> Reliability | None:
    """Diagrams of all structures that have scores, largest error first; `None` if nothing was counted."""
    if found is None or not found.cases:
        return None
    rows = sorted((row for row in found.structures if row.error is not None), key=lambda row: -(row.error or 0.0))
    diagrams = [_diagram(row, colours.get(row.structure, "#56B4E9")) for row in rows]
    silent = [row.structure for row in found.structures if row.error is None]
    notes = list(found.notes)
    if silent:
        notes.append(f"No voxel was scored at least {percent(found.floor)} for: {', '.join(silent)}.")
    floor = percent(found.floor)
    return Reliability(diagrams[:MOST_DRAWN], diagrams[MOST_DRAWN:], found.cases, floor, tuple(notes))


def unmeasured(found: Calibration | None) -> str:
    """Why there are no diagrams, in a sentence."""
    if found is None:
        return "No out-of-fold scores were kept."
    return " ".join(found.notes) or "No case was judged."


def _diagram(row: StructureCalibration, colour: str) -> Diagram:
    most = math.log10(max(row.voxels) + 1)
    bins = [
        Bin(
            round(100 * score / count, 2),
            round(100 - 100 * inside / count, 2),
            round(22 * math.log10(count + 1) / most, 2),
            f"scored about {score / count:.2f}: {percent(inside / count)} inside, {amount(count, 'voxel')}",
        )
        for count, inside, score in zip(row.voxels, row.inside, row.score, strict=True)
        if count >= _FEWEST
    ]
    path = "M" + "L".join(f"{10 * item.x:.0f} {10 * item.y:.0f}" for item in bins) if bins else ""
    missed = percent(row.missed / (row.missed + sum(row.inside))) if row.missed + sum(row.inside) else "–"
    return Diagram(row.structure, colour, bins, path, number(row.error), missed, _leaning(row))


def _leaning(row: StructureCalibration) -> str:
    """Whether scores above one half promise too much or too little."""
    half = len(row.voxels) // 2
    count = sum(row.voxels[half:])
    if count < _FEWEST:
        return ""
    gap = (sum(row.score[half:]) - sum(row.inside[half:])) / count
    if abs(gap) < 0.02:
        return "scores above 0.5 can be taken at their word"
    return f"scores above 0.5 promise {percent(abs(gap))} too {'much' if gap > 0 else 'little'}"
