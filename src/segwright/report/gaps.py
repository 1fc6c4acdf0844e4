"""What could not be scored or was not found at all, told case by case, so that no failure hides in a mean."""

from __future__ import annotations

from dataclasses import dataclass

from segwright.core.report import Report
from segwright.metrics.metric import VOXEL_NOTE
from segwright.report.wording import column

#: Reasons as the metrics note them, in words.
_WORDS = {
    "prediction empty": "not found: the reference shows it, the prediction does not",
    "reference empty": "invented: the prediction shows it, the reference does not",
    "both empty": "absent from reference and prediction",
}
_APART = "found elsewhere: reference and prediction do not touch"
#: Cases named in one row.
_NAMED = 200


@dataclass(frozen=True)
class Gap:
    """One structure and one reason: how many cases, which, and the metrics that have no value there."""

    structure: str
    reason: str
    cases: list[str]
    more: int
    undefined: str


def gaps(report: Report) -> list[Gap]:
    """Failures and missing values by structure and reason; absence in both comes last, as it is no failure."""
    found: dict[tuple[str, str], dict[str, set[str]]] = {}
    for score in report.scores:
        if score.structure == "mean":
            continue
        note = "" if score.note == VOXEL_NOTE else score.note
        if not note and score.metric == "dice" and score.value == 0:
            note = _APART
        if note:
            metrics = found.setdefault((note, score.structure), {}).setdefault(score.case, set())
            metrics.update({score.metric} if score.value is None else ())
    order = {"prediction empty": 1, "reference empty": 2, _APART: 3, "both empty": 5}
    rows = sorted(found.items(), key=lambda item: (order.get(item[0][0], 0), -len(item[1]), item[0][1]))
    return [_gap(structure, note, cases) for (note, structure), cases in rows]


def _gap(structure: str, note: str, cases: dict[str, set[str]]) -> Gap:
    metrics = sorted(set().union(*cases.values()))
    names = sorted(cases)
    undefined = ", ".join(column(name).label for name in metrics)
    return Gap(structure, _WORDS.get(note, note), names[:_NAMED], max(len(names) - _NAMED, 0), undefined)
