"""How numbers and metrics are written, the same on the page and in the terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from segwright.core.labels import PALETTE, LabelSpace
from segwright.core.report import Report

MISSING = "–"


@dataclass(frozen=True)
class Column:
    """How one metric is headed and rounded.

    Attributes:
        better: `high`, `low` or `zero` (nearest to zero).
        limit: Upper end of the metric's range, `None` without one.
    """

    name: str
    label: str
    unit: str = ""
    better: str = "high"
    digits: int = 3
    limit: float | None = 1.0

    @property
    def arrow(self) -> str:
        """One sign for the direction."""
        return {"high": "↑", "low": "↓", "zero": "→0"}[self.better]

    @property
    def direction(self) -> str:
        """The direction in words."""
        return {"high": "higher is better", "low": "lower is better", "zero": "best at 0"}[self.better]


_KNOWN = (
    Column("dice", "Dice"),
    Column("iou", "IoU"),
    Column("precision", "Precision"),
    Column("recall", "Recall"),
    Column("hd95", "HD95", "mm", "low", 2, None),
    Column("assd", "ASSD", "mm", "low", 2, None),
    Column("surface_dice", "Surface Dice"),
    Column("volume_error", "Volume error", "", "zero", 3, None),
    Column("relative_volume_error", "Volume error", "", "zero", 3, None),
    Column("absolute_volume_error", "Volume error", "mm³", "low", 0, None),
)
_ORDER = {column.name: index for index, column in enumerate(_KNOWN)}


def column(name: str, unit: str | None = None) -> Column:
    """The column of a metric; one that is not known keeps its name and is shown with three digits.

    Example:
        >>> column("hd95").unit, column("my_metric").label
        ('mm', 'My metric')
    """
    if name not in _ORDER:
        return Column(name, name.replace("_", " ").capitalize(), unit or "", limit=None)
    known = _KNOWN[_ORDER[name]]
    return known if unit is None else Column(name, known.label, unit, known.better, known.digits, known.limit)


def columns_of(report: Report, *, known_spacing: bool = True) -> list[Column]:
    """The metrics of a report in the usual order; distances are in voxels where spacing is unknown."""
    names = dict.fromkeys([row.metric for row in report.aggregates] + [row.metric for row in report.scores])
    ordered = sorted(names, key=lambda name: _ORDER.get(name, len(_ORDER)))
    return [_in_voxels(column(name)) if not known_spacing else column(name) for name in ordered]


def _in_voxels(known: Column) -> Column:
    unit = known.unit.replace("mm³", "voxels").replace("mm", "voxels")
    return Column(known.name, known.label, unit, known.better, known.digits, known.limit)


def structures_of(report: Report) -> list[str]:
    """Structures in order of appearance, without the mean over them."""
    names = dict.fromkeys([row.structure for row in report.aggregates] + [row.structure for row in report.scores])
    return [name for name in names if name != "mean"]


def number(value: float | None, digits: int = 3) -> str:
    """A number with fixed digits; a dash where there is none; `∞` where infinite.

    Example:
        >>> number(0.88651), number(None), number(-0.0001, 2)
        ('0.887', '–', '0.00')
    """
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """Bounds in brackets, empty where there are none.

    Example:
        >>> interval(0.1, 0.25, 2)
        '[0.10, 0.25]'
    """
    return "" if low is None or high is None else f"[{number(low, digits)}, {number(high, digits)}]"


def signed(value: float | None, digits: int = 4) -> str:
    """A gain with its sign.

    Example:
        >>> signed(0.0123), signed(None)
        ('+0.0123', '–')
    """
    return MISSING if value is None or math.isnan(value) else f"{value:+.{digits}f}"


def duration(seconds: float) -> str:
    """Seconds as people say them.

    Example:
        >>> duration(4.2), duration(125), duration(7300)
        ('4.2 s', '2 min 5 s', '2 h 2 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def byte_size(count: float) -> str:
    """Bytes in binary units.

    Example:
        >>> byte_size(512), byte_size(3 * 2**30)
        ('512 B', '3.0 GiB')
    """
    if count < 1024:
        return f"{count:.0f} B"
    power = min(int(math.log2(count) // 10), 3)
    return f"{count / 1024**power:.1f} {('KiB', 'MiB', 'GiB')[power - 1]}"


def shape(sizes: Iterable[float | None], digits: int | None = None) -> str:
    """Lengths joined by a cross.

    Example:
        >>> shape((3, 4, 5)), shape((None, 0.5, 0.5), 2)
        ('3 × 4 × 5', '– × 0.50 × 0.50')
    """
    return " × ".join(MISSING if n is None else (f"{n:g}" if digits is None else f"{n:.{digits}f}") for n in sizes)


def plain(value: Any) -> str:
    """Any plan value in one line.

    Example:
        >>> plain({"name": "dice_ce", "params": {"squared": True}}), plain([32, 64]), plain(None), plain([])
        ('dice_ce (squared = yes)', '32, 64', '–', 'none')
    """
    if value is None or value == "":
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return _plain_mapping(value) or "none"
    if isinstance(value, list | tuple):
        return _plain_list(value) or "none"
    return str(value)


def _plain_mapping(value: Mapping[str, Any]) -> str:
    """Pairs; a mapping with a name is that name with the rest in brackets."""
    rest = {key: item for key, item in value.items() if key not in ("name", "params") and item is not None}
    if "name" not in value:
        return ", ".join(f"{key} = {plain(item)}" for key, item in value.items() if item is not None)
    rest.update(value.get("params") or {})
    inner = _plain_mapping(rest) if "name" not in rest else ""
    return f"{value['name']} ({inner})" if inner else str(value["name"])


def _plain_list(value: list[Any] | tuple[Any, ...]) -> str:
    if any(isinstance(item, list | tuple) for item in value):
        return ", ".join(f"({plain(item)})" for item in value)
    return ", ".join(plain(item) for item in value)


def colour(labels: LabelSpace, index: int) -> str:
    """Colour of a structure as `#RRGGBB`; anything else a person wrote would reach the style sheet and is replaced."""
    chosen = labels.colour(index)
    return chosen if re.fullmatch(r"#[0-9a-fA-F]{6}", chosen) else PALETTE[index % len(PALETTE)]
