"""Scores of objects in the terminal: what was found at each IoU, and how voxels were split and merged."""

from __future__ import annotations

from segwright.core.report import Report
from segwright.report.text import aligned, wrapped

#: Metrics at one IoU threshold, with their headings.
_AT = {"accuracy": "accuracy", "ap": "AP", "f1": "F1"}
#: Metrics at IoU 0.5 or over many thresholds.
_OVERALL = {
    "ap": "AP over thresholds",
    "object_precision": "precision",
    "object_recall": "recall",
    "pq": "PQ",
    "sq": "SQ",
}
_REST = {
    "iou": "foreground IoU",
    "rand_error": "adapted Rand error",
    "voi_split": "VOI split",
    "voi_merge": "VOI merge",
}


def objects_table(report: Report) -> str:
    """One line an IoU threshold, then the measures without one, then the notes."""
    values = {row.metric: row.value for row in report.scores if row.structure == "objects"}
    marks = sorted({name.rpartition("_")[2] for name in values if name.startswith("accuracy_")})
    rows = [["objects at IoU", *_AT.values()]]
    rows += [[f"0.{mark}", *(_number(values.get(f"{name}_{mark}")) for name in _AT)] for mark in marks]
    rest = [_told(values, names) for names in (_OVERALL, _REST)]
    single = [[row.structure, row.metric, _number(row.value)] for row in report.scores if row.structure != "objects"]
    lines = [*aligned(rows), "", *rest, *(["", *aligned(single)] if single else [])]
    return "\n".join([*lines, "", *(line for note in report.notes for line in wrapped(note))])


def _told(values: dict[str, float | None], names: dict[str, str]) -> str:
    return " · ".join(f"{heading} {_number(values[name])}" for name, heading in names.items() if name in values)


def of_objects(report: Report) -> bool:
    """Whether a report scores the objects of two volumes."""
    return any(row.structure == "objects" for row in report.scores)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
