"""How numbers and metrics are written, the same on the page and in the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from segwright.core.labels import LabelSpace
from segwright.core.report import Report
from segwright.metrics import METRICS, OBJECT_METRICS
from segwright.metrics.metric import VOXEL_NOTE

MISSING = "–"


@dataclass(frozen=True)
class Column:
    """How one metric is headed and rounded.

    Attributes:
        better: `higher`, `lower` or `zero` (nearest to zero).
        limit: Upper end of the metric's range, `None` without one.
    """

    name: str
    label: str
    unit: str = ""
    better: str = "higher"
    digits: int = 3
    limit: float | None = None

    @property
    def arrow(self) -> str:
        """One sign for the direction."""
        return {"higher": "↑", "lower": "↓", "zero": "→0"}[self.better]

    @property
    def direction(self) -> str:
        """The direction in words."""
        return {"higher": "higher is better", "lower": "lower is better", "zero": "best at 0"}[self.better]


_LABELS = {
    "iou": "IoU", "hd95": "HD95", "assd": "ASSD", "surface_dice": "Surface Dice", "ap_50": "AP-50", "ap_75": "AP-75",
    "ap": "AP", "accuracy_50": "Accuracy-50", "accuracy_75": "Accuracy-75", "f1_50": "F1-50", "f1_75": "F1-75",
    "recall_75": "Recall-75", "pq": "PQ", "sq": "SQ", "voi_split": "VOI split", "voi_merge": "VOI merge",
}  # fmt: skip
_DIGITS = {"": 3, "mm": 2, "mm³": 0}
_VOXEL_UNITS = {"mm": "voxels", "mm³": "voxels"}


def column(name: str) -> Column:
    """The column of a metric, with unit and direction from the metrics table; unknown ones keep their name.

    Example:
        >>> column("hd95").unit, column("my_metric").label
        ('mm', 'My metric')
    """
    label = _LABELS.get(name, name.replace("_", " ").capitalize())
    table = next((table for table in (METRICS, OBJECT_METRICS) if name in table), None)
    if table is None:
        return Column(name, label)
    row = table.load(name)
    return Column(
        name,
        label,
        getattr(row, "unit", ""),
        getattr(row, "direction", "higher"),
        _DIGITS.get(getattr(row, "unit", ""), 3),
        getattr(row, "high", None),
    )


def columns_of(report: Report, names: Iterable[str] | None = None) -> list[Column]:
    """The metrics a report holds, in the order of `names` or of the metrics table; others stay at the end.

    A length is headed with voxels where the scores say that spacing was unknown, and has as many digits as lengths of
    microscopy need.
    """
    held = dict.fromkeys([row.metric for row in report.aggregates] + [row.metric for row in report.scores])
    usual = {name: index for index, name in enumerate([*OBJECT_METRICS, *METRICS])}
    chosen = sorted(held, key=lambda name: usual.get(name, len(usual))) if names is None else names
    voxels: dict[str, set[bool]] = {}
    for score in report.scores:
        if score.value is not None and score.structure != "mean":
            voxels.setdefault(score.metric, set()).add(score.note == VOXEL_NOTE)
    means = {name: [row.mean for row in report.aggregates if row.metric == name and row.mean] for name in held}
    shown = [_with_unit(column(name), voxels.get(name, set())) for name in chosen if name in held]
    return [replace(one, digits=_digits(one, means[one.name])) for one in shown]


def _digits(known: Column, means: Sequence[float]) -> int:
    """Digits of a length, two of which are not 0 in the smallest mean."""
    least = min(map(abs, means), default=1.0)
    return known.digits if not known.unit or least >= 0.1 else max(known.digits, 1 - math.floor(math.log10(least)))


def _with_unit(known: Column, voxels: set[bool]) -> Column:
    """The column with the unit that its values have: known spacing, unknown, or both."""
    if True not in voxels or not known.unit:
        return known
    unit = _VOXEL_UNITS.get(known.unit, known.unit)
    return replace(known, unit=f"{known.unit} or {unit}" if False in voxels else unit)


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


def short(value: Any) -> str:
    """A table cell: numbers with four significant digits, anything else as `plain`.

    Example:
        >>> short(0.123456), short(True), short("a")
        ('0.1235', 'yes', 'a')
    """
    return f"{value:.4g}" if isinstance(value, float) else plain(value)


def percent(share: float | None, digits: int = 2) -> str:
    """A share with that many significant digits.

    Example:
        >>> percent(0.1234), percent(0.00012), percent(1.0), percent(None)
        ('12 %', '0.012 %', '100 %', '–')
    """
    if share is None or math.isnan(share):
        return MISSING
    value = 100 * share
    places = 0 if value == 0 else max(0, digits - 1 - math.floor(math.log10(abs(value) * (1 + 1e-9))))
    return f"{value:.{min(places, 4)}f} %"


def significant(value: float) -> str:
    """Three significant digits without exponent, thousands in groups.

    Example:
        >>> significant(1698.2), significant(0.1234), significant(44168), significant(-0.00001)
        ('1,700', '0.123', '44,200', '-0.00001')
    """
    rounded = float(f"{value:.3g}")
    if abs(rounded) >= 100 or rounded == 0:
        return f"{rounded:,.0f}"
    text = f"{rounded:.8f}".rstrip("0").rstrip(".")
    return text if text not in {"0", "-0"} else f"{rounded:g}"


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
    """Colour of a structure as `#RRGGBB`, safe to be put into a style sheet."""
    return labels.colour(index)
