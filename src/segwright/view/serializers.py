"""What the page is told in JSON: the state of everything open, one case, scores, runs and measured facts."""

from __future__ import annotations

from dataclasses import asdict
from itertools import chain
from typing import Any

import segwright
from segwright.core.case import Case
from segwright.core.errors import SegwrightError
from segwright.core.inspection import Finding
from segwright.core.labels import LabelSpace
from segwright.core.report import Report, Score
from segwright.evaluation.aggregate import MEAN
from segwright.evaluation.compare import compare
from segwright.report.wording import columns_of
from segwright.view.label_codes import places
from segwright.view.progress import curves
from segwright.view.results import why
from segwright.view.scan import AT_ONCE_BYTES
from segwright.view.session import Session
from segwright.view.slices import views

#: Windows of CT in Hounsfield units, by what they show: low and high.
CT_WINDOWS = (
    ("Soft tissue", -160, 240), ("Lung", -1350, 150), ("Bone", -450, 1050),
    ("Brain", 0, 80), ("Liver", -45, 105), ("Mediastinum", -125, 225),
)  # fmt: skip


#: Who stays in one fold, where it is not a patient.
GROUP_WORDS = {"em": "specimen", "other": "group"}


def state(session: Session) -> dict[str, Any]:
    """Everything the case list needs; scores as far as they are known."""
    opened, folds = session.opened, session.opened.folds()
    findings = findings_of(session)
    return {
        "version": segwright.__version__,
        "title": opened.title,
        "kind": opened.kind,
        "group_word": GROUP_WORDS.get(session.dataset.modality, "patient"),
        "notes": list(dict.fromkeys([*opened.notes, *session.dataset.notes])),
        "channels": list(session.dataset.channels),
        "modality": session.dataset.modality,
        "exclusive": session.space.exclusive,
        "instances": session.space.instances,
        "structures": [
            {"name": s.name, "colour": colours(session.space)[i]} for i, s in enumerate(session.space.structures)
        ],
        "regions": list(session.space.regions),
        "cases": [_row(session, i, case, folds, findings) for i, case in enumerate(session.cases)],
        "results": [result(session, number) for number in list(session.results)],
        "runs": [
            {"run": i, "name": run.folder.resolve().name, "report": run.page.exists()}
            for i, run in enumerate(session.runs)
        ],
    }


def colours(space: LabelSpace) -> list[str]:
    """A colour for each structure."""
    return [space.colour(i) for i in range(len(space.structures))]


def _row(
    session: Session, index: int, case: Case, folds: dict[str, int], findings: dict[str, list[Finding]]
) -> dict[str, Any]:
    found = findings.get(case.id, [])
    return {
        "index": index,
        "id": case.id,
        "group": case.group,
        "fold": folds.get(case.id),
        "labelled": bool(case.label),
        "findings": [{"level": f.level, "what": f.what} for f in found],
    }


def findings_of(session: Session) -> dict[str, list[Finding]]:
    """Warnings and errors by case: of inspection, of labels in reports of runs, of scans unlike those of training."""
    inspection = session.explored.inspection if session.explored else session.opened.inspection
    reports = [scored.report for scored in session.scores.values() if scored.report is not None]
    found: dict[str, list[Finding]] = {}
    told = [inspection.findings if inspection else (), *(report.findings for report in reports)]
    for finding in chain(*told, *(item.findings for item in list(session.results.values()))):
        if finding.level != "note":
            found.setdefault(finding.where, []).append(finding)
    return found


def result(session: Session, number: int) -> dict[str, Any]:
    """A result and how far its scoring is."""
    item, scored = session.results[number], session.scores[number]
    return {
        "number": number,
        "name": item.name,
        "kind": item.kind,
        "cases": list(item.cases()),
        "notes": item.notes,
        "scored": len(scored.rows),
        "total": scored.total,
        "error": scored.error,
        "done": scored.done,
    }


def scores(session: Session, number: int) -> dict[str, Any]:
    """Scores of a result as `{case: {structure: {metric: value}}}`, and its aggregates once all are there."""
    scored = session.scores[number]
    listed = list(scored.rows.items())
    known = Report(scores=tuple(chain.from_iterable(rows for _, rows in listed)), aggregates=())
    return {
        **result(session, number),
        "metrics": [asdict(column) for column in columns_of(known)],
        "mean": MEAN,
        "rows": {case: _nested(rows) for case, rows in listed},
        "failed": {case: rows[0].note for case, rows in listed if rows and rows[0].note.startswith("error")},
        "aggregates": [row.model_dump() for row in scored.report.aggregates] if scored.report else [],
        "rules": list(scored.report.notes) if scored.report else [],
    }


def _nested(rows: tuple[Score, ...]) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {}
    for row in rows:
        value = None if row.value is None else round(row.value, 5)
        found.setdefault(row.structure, {})[row.metric] = value
    return found


def case(session: Session, index: int) -> dict[str, Any]:
    """One case: its grid, how its slices hang, what windows suit it, and which labels it has."""
    scan = session.store.scan(index)
    volume = scan.volume
    geometry = volume.geometry
    told = [str(text) for key in ("warnings", "adapted") for text in volume.header.get(key, ())]
    return {
        "index": index,
        "id": session.cases[index].id,
        "shape": list(geometry.shape),
        "spacing": list(geometry.spacing),
        "orientation": geometry.orientation[::-1] if views(volume)[0]["letters"] else "",
        "affine": geometry.affine.tolist(),
        "volume": geometry.voxel_volume,
        "type": str(volume.dtype),
        "format": volume.header.get("format", ""),
        "channels": list(volume.channels) or [f"channel {i + 1}" for i in range(volume.data.shape[0])],
        "views": views(volume),
        "ranges": scan.percentiles,
        "windows": _windows(session, scan.percentiles[0]),
        "warnings": told,
        "sources": session.store.sources(index),
        "large": session.store.large(index),
        "instant": scan.nbytes <= AT_ONCE_BYTES,
    }


def _windows(session: Session, levels: list[float]) -> list[dict[str, Any]]:
    """Presets by name; those of CT where values can be Hounsfield units."""
    hounsfield = session.dataset.modality == "ct" or (levels[0] <= -900 and levels[-1] > 200 and levels[-1] < 35_000)
    return [{"name": name, "low": low, "high": high} for name, low, high in CT_WINDOWS] if hounsfield else []


def extents(session: Session, index: int, source: int) -> dict[str, Any]:
    """Where each structure of a case lies."""
    coded = session.store.codes(index, source)
    return {"structures": places(coded, len(session.space.structures))}


def runs(session: Session) -> list[dict[str, Any]]:
    """Every run with its curves."""
    return [{"run": i, "name": run.folder.resolve().name, **_curves(run)} for i, run in enumerate(session.runs)]


def _curves(run: Any) -> dict[str, Any]:
    try:
        return {**curves(run), "error": ""}
    except (SegwrightError, OSError, ValueError) as error:
        nothing = {"finished": False, "running": False, "doing": "cannot be read", "planned": 0}
        return {"folds": [], **nothing, "error": why(error)}


def comparison(session: Session, first: int, second: int) -> dict[str, Any]:
    """Paired differences of two results that are scored."""
    reports: list[Report] = []
    for number in (first, second):
        report = session.scores[number].report
        if report is None:
            return {"rows": [], "notes": ["Scores are still being computed."]}
        reports.append(report)
    found = compare(*reports)
    return {"rows": [row.model_dump() for row in found.rows], "notes": list(found.notes)}


def data(session: Session) -> dict[str, Any]:
    """The dataset in numbers, or how far measuring it is."""
    if session.explored is None:
        session.explore()
        return {"ready": False, **session.exploring}
    found = session.explored
    return {
        "ready": True,
        "exploration": found.exploration.model_dump(mode="json"),
        "findings": [finding.model_dump() for finding in found.inspection.findings],
        "groups": {case.id: case.group for case in session.cases},
        "folds": session.opened.folds(),
        "group_rule": session.dataset.group_rule,
        "notes": list(dict.fromkeys([*session.opened.notes, *session.dataset.notes])),
    }
