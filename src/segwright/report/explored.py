"""What the page shows of an exploration: tables, plots and a contact sheet, as plain rows for templates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segwright.core.labels import LabelSpace
from segwright.core.words import amount
from segwright.planning.exploration import CaseView, Exploration, Spread
from segwright.planning.explore import Thumb
from segwright.report.figures import Outline, display, panel_of, traced
from segwright.report.pictures import Drawn, Picture, View
from segwright.report.plots import MOST_DOTS, Dot, Strip, Tick, jitter, nice_ticks
from segwright.report.wording import MISSING, colour, percent, shape, significant

#: Cases on a contact sheet: the unusual ones at most, and all together.
_UNUSUAL, _SHEET = 30, 60
#: Rows of the table of overlaps, and of unusual cases.
_PAIRS, _ODD = 100, 40


@dataclass(frozen=True)
class StructureRow:
    """One structure: name, presence, share, size with its range, diameter, intensity a channel, cases at the edge."""

    name: str
    cases: str
    rare: bool
    share: str
    size: str
    spread: str
    diameter: str
    intensity: list[str]
    edge: str


@dataclass(frozen=True)
class PairRow:
    """Two structures that share voxels."""

    first: str
    second: str
    cases: int
    voxels: str
    median: str
    most: str
    bar: float


@dataclass(frozen=True)
class ExploredPage:
    """Everything drawn of an exploration."""

    summary: list[str]
    size_unit: str
    channels: list[str]
    structures: list[StructureRow]
    pairs: list[PairRow]
    pairs_left: int
    overlapping: bool
    sizes: SpreadPlot | None
    intensities: list[SpreadPlot]
    grids: list[SpreadPlot]
    same_grid: list[str]
    groups: list[tuple[str, int, float]]
    unusual: list[CaseView]
    unusual_left: int
    notes: tuple[str, ...]


def explored_page(found: Exploration) -> ExploredPage:
    """Rows and plots of an exploration."""
    channels = [channel.name for channel in found.channels]
    odd = [row for row in found.rows if row.why]
    pairs = [
        PairRow(
            row.first, row.second, row.cases, f"{row.voxels:,}", percent(row.of_smaller.median),
            percent(row.of_smaller.high), round(100 * row.of_smaller.median, 2),
        )
        for row in found.overlaps
    ]  # fmt: skip
    names = [view.name for view in found.structures]
    size = {name: [(row.case, row.sizes[name]) for row in found.rows if row.sizes.get(name, 0) > 0] for name in names}
    grids, same = _grids(found)
    return ExploredPage(
        summary=_summary(found),
        size_unit=found.size_unit,
        channels=channels,
        structures=[_structure(found, index) for index in range(len(names))],
        pairs=pairs[:_PAIRS],
        pairs_left=max(len(pairs) - _PAIRS, 0),
        overlapping=found.overlapping,
        sizes=spread_plot(f"Size where present, {found.size_unit}", size, unit=found.size_unit),
        intensities=_intensities(found, names),
        grids=grids,
        same_grid=same,
        groups=_groups(found),
        unusual=odd[:_ODD],
        unusual_left=max(len(odd) - _ODD, 0),
        notes=found.notes,
    )


def _summary(found: Exploration) -> list[str]:
    bare = found.cases - found.labelled
    cases = amount(found.cases, "case") + (f", {bare} of them without label" if bare else ", all labelled")
    return [f"{cases}; {amount(found.groups, 'group')}; {found.dims}-D; modality {found.modality}."]


def _structure(found: Exploration, index: int) -> StructureRow:
    view = found.structures[index]
    return StructureRow(
        view.name,
        f"{view.cases} of {found.labelled}",
        view.cases < 0.5 * found.labelled,
        percent(view.share.median) if view.share else MISSING,
        significant(view.size.median) if view.size else MISSING,
        range_text(view.size),
        significant(view.diameter.median) if view.diameter else MISSING,
        [significant(spread.median) if spread else MISSING for spread in view.intensity]
        or [MISSING] * len(found.channels),
        str(view.at_edge) if view.at_edge else "",
    )


def range_text(spread: Spread | None) -> str:
    """From the 5 to the 95 percentile; empty for one case."""
    return "" if spread is None or spread.count < 2 else f"{significant(spread.q05)} – {significant(spread.q95)}"


def _intensities(found: Exploration, names: Sequence[str]) -> list[SpreadPlot]:
    plots = []
    for index, channel in enumerate(found.channels):
        values: dict[str, list[tuple[str, float]]] = {
            name: [(row.case, row.means[name][index]) for row in found.rows if len(row.means.get(name, ())) > index]
            for name in names
        }
        values["whole image"] = [(row.case, row.image[index][1]) for row in found.rows if len(row.image) > index]
        title = f"Intensity of {channel.name}: mean inside each structure; of the whole image its median"
        plots.append(spread_plot(title, values))
    return [plot for plot in plots if plot is not None]


def _grids(found: Exploration) -> tuple[list[SpreadPlot], list[str]]:
    """Plots of what varies, sentences for what does not."""
    rows = found.rows
    axes = "zyx" if found.dims == 3 else "yx"
    first = 3 - len(axes)
    shapes = {axis: [(r.case, float(r.shape[first + i])) for r in rows] for i, axis in enumerate(axes)}
    steps = {
        axis: [(r.case, step) for r in rows if (step := r.spacing[first + i]) is not None]
        for i, axis in enumerate(axes)
    }
    plots, same = [], []
    sizes = {row.shape for row in rows}
    if len(sizes) == 1:
        only_size, unit = next(iter(sizes))[first:], "voxels" if first == 0 else "pixels"
        same.append(f"Every image has {shape(only_size)} {unit} ({' × '.join(axes)}).")
    elif rows:
        plots.append(spread_plot("Voxels along each axis" if first == 0 else "Pixels along each axis", shapes))
    spacings = {tuple(None if s is None else round(s, 4) for s in row.spacing) for row in rows}
    if len(spacings) == 1:
        only = next(iter(spacings))[first:]
        known = any(step is not None for step in only)
        same.append(
            f"Spacing is {shape(only)} mm ({' × '.join(axes)}) everywhere." if known else "No image states a spacing."
        )
    elif any(steps.values()):
        plots.append(spread_plot("Spacing along each axis, mm", steps, unit="mm"))
    return [plot for plot in plots if plot is not None], same


def _groups(found: Exploration) -> list[tuple[str, int, float]]:
    most = max(found.group_sizes.values(), default=1)
    return [(amount(size, "case"), count, round(100 * count / most, 1)) for size, count in found.group_sizes.items()]


def contact_sheet(found: Exploration, thumbs: Mapping[str, Thumb], space: LabelSpace) -> list[Drawn]:
    """Small pictures with their labels: unusual cases first, then an even selection of the others."""
    rows = [row for row in found.rows if row.case in thumbs]
    odd = [row for row in rows if row.why][:_UNUSUAL]
    rest = sorted((row for row in rows if not row.why), key=lambda row: row.case)
    room = _SHEET - len(odd)
    step = max(len(rest) / room, 1.0) if room else 1.0
    chosen = odd + [rest[int(index * step)] for index in range(min(room, int(len(rest) / step)))]
    return [_card(row, thumbs[row.case], space, found.size_unit) for row in chosen]


def _card(row: CaseView, thumb: Thumb, space: LabelSpace, unit: str) -> Drawn:
    order = display(thumb.orientation[1:] if thumb.slices > 1 and None not in thumb.spacing else "")
    image = order.turn(thumb.image)
    steps = tuple(None if step is None else step * thumb.stride for step in thumb.spacing)
    panel = panel_of(image.astype("float32"), steps[:: -1 if order.transpose else 1], (0.0, 255.0), order.letters)
    labels = thumb.labels
    outlines: list[Outline] = []
    if labels is not None:
        masks = [order.turn(space.mask(labels[:, None], i)[0]) for i in range(len(space.structures))]
        shown = [i for i, mask in enumerate(masks) if mask.any()]
        paths = traced([masks[i] for i in shown], panel)
        outlines = [
            Outline(space.names[i], colour(space, i), path, "", f"{significant(row.sizes[space.names[i]])} {unit}", i)
            for i, path in zip(shown, paths, strict=True)
            if row.sizes.get(space.names[i])
        ]
    caption = f"slice {thumb.index + 1} of {thumb.slices}" if thumb.slices > 1 else ""
    title = "labels" if outlines else "no label here"
    views = [View(title, caption, panel, outlines)]
    return Drawn(row.case, row.group, None, Picture(panel, True, views), note="; ".join(row.why))


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
