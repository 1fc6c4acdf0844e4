"""Tables and explorations as plain text for a terminal or a log, at most 80 columns wide."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from segwright.core.events import Note, TrainEvent
from segwright.core.inspection import Finding
from segwright.core.plan import Plan
from segwright.core.report import Report
from segwright.core.words import amount, byte_size, duration, listed
from segwright.metrics import METRICS
from segwright.planning.exploration import Exploration, Spread
from segwright.planning.limits import Limits
from segwright.report.explored import range_text
from segwright.report.tables import finding_groups, plan_sections
from segwright.report.wording import MISSING, Column, columns_of, interval, number, percent, significant, structures_of

WIDTH = 80


#: What a terminal shows of structures, and of objects.
SHOWN, OF_OBJECTS = ("dice", "hd95", "surface_dice"), ("accuracy_75", "ap_50", "ap_75", "pq", "iou")


def score_table(report: Report, metrics: Sequence[str] | None = None) -> str:
    """One line a structure, first the mean over structures; `missing` counts undefined values of all metrics shown.

    The first metric is shown with its 95 % interval. Metrics the report does not hold are left out; where it holds none
    of the usual ones, all are shown.
    """
    held = {row.metric for row in report.aggregates}
    usual = [*(OF_OBJECTS if "ap_75" in held else SHOWN), *METRICS.added]
    metrics = metrics or (usual if held & set(usual) else None)
    shown = [item for item in columns_of(report, metrics) if item.name in held]
    if not shown:
        return "\n".join(["No scores.", *(line for note in report.notes for line in wrapped(note))])
    names = ["mean", *structures_of(report)]
    head = ["structure", _head(shown[0]), "[95 % interval]", *map(_head, shown[1:]), "cases", "missing"]
    rows = [_score_row(report, name, shown) for name in names if report.aggregate(name, shown[0].name) is not None]
    lines = aligned([head, *rows])
    return "\n".join([*lines, *(line for note in report.notes for line in wrapped(note))])


def fold_table(report: Report, log: Mapping[int, Sequence[TrainEvent]]) -> str:
    """One line a fold: cases, mean Dice out of fold, steps and time of training; empty without folds.

    Args:
        report: Out-of-fold scores.
        log: Events of each fold, as a run keeps them.
    """
    rows = []
    for fold in sorted(log):
        values = [s.value for s in report.scores if s.fold == fold and s.structure == "mean" and s.metric == "dice"]
        known = [value for value in values if value is not None]
        last = next((event for event in reversed(log[fold]) if not isinstance(event, Note)), None)
        mean = number(sum(known) / len(known)) if known else MISSING
        trained = [MISSING, MISSING] if last is None else [str(last.step), duration(last.elapsed)]
        rows.append([str(fold), str(len(values)), mean, *trained])
    return "\n".join(aligned([["fold", "cases", "Dice", "steps", "training"], *rows])) if rows else ""


def doubts_line(report: Report) -> str:
    """How many labels are worth a second look, and the first of them; empty without any."""
    cases = list(dict.fromkeys(finding.where for finding in report.findings))
    if not cases:
        return ""
    told = f"{amount(len(cases), 'case')} whose label is worth a second look: {listed(cases, 3)}"
    return "\n".join(wrapped(f"Look     {told}", hang=9)) + "\n"


def findings_table(findings: Iterable[Finding]) -> str:
    """Errors first; findings of one kind are told once, with the places where they occur and the hint."""
    lines: list[str] = []
    for group in finding_groups(findings):
        count = f" ({group.count} times)" if group.count > 1 else ""
        lines += wrapped(f"{group.level:<8} {group.what}{count} [{group.code}]", hang=9)
        if group.places:
            more = f" and {group.count - 3} more" if group.count > 3 else ""
            lines += wrapped("where: " + ", ".join(place.where for place in group.places[:3]) + more, start=9)
        if group.hint:
            lines += wrapped(f"hint: {group.hint}", start=9)
    return "\n".join(lines) if lines else "No findings."


def plan_table(plan: Plan) -> str:
    """Field, value and reason of every decision, by section of the plan."""
    lines: list[str] = []
    for section in plan_sections(plan):
        lines += ["", section.name] if lines else [section.name]
        for row in section.rows:
            lines += wrapped(f"{row.field:<18} {row.value}", start=2, hang=21)
            lines += wrapped(row.why, start=21) if row.why else []
    return "\n".join(lines)


def plan_summary(plan: Plan) -> str:
    """The ten lines of a plan that matter, and its warnings."""
    net, train, prepare = plan.net, plan.train, plan.prepare
    structures = f"{amount(len(plan.labels.structures), 'structure')}, {plan.labels.kind}"
    wide = f"{net.widths[0]} to {net.widths[-1]} channels on {amount(len(net.widths), 'level')}, {net.norm} norm"
    seen = {0: "volumes", 1: "planes"}.get(net.slab, f"{net.slab} slices")
    ends = amount(train.steps, "step") if train.steps is not None else f"about {duration(train.seconds or 0)}"
    several = f", {train.members} networks a fold" if train.members > 1 else ""
    flips = "".join("zyx"[axis] for axis in plan.augment.mirror) or "none"
    steps = ", ".join(step.name for step in plan.augment.steps) or "none"
    rows = {
        "data": f"{plan.modality}, {amount(len(plan.channels), 'channel')}; {structures}",
        "scale": f"{_edges(prepare.spacing)} mm a voxel" if prepare.spacing else _working_size(prepare.fit),
        "patches": f"{seen}, {_edges(plan.sample.patch)} voxels, {train.batch} a step",
        "network": f"{net.name}, {wide}",
        "target": f"{plan.target}, learnt by {train.loss.name}",
        "training": f"{amount(plan.folds, 'fold')} of {ends} each{several}" if plan.folds else f"on all cases, {ends}",
        "rate": f"{train.lr:g} by {train.optimiser.name}, {train.schedule.name}",
        "augmentation": f"{steps}; mirrored: {flips}",
        "prediction": f"windows of {_edges(plan.window.size)}, overlap {plan.window.overlap:g}",
        "memory": ", ".join(f"{name} {byte_size(size)}" for name, size in plan.memory.items()),
    }
    lines = [line for name, told in rows.items() for line in wrapped(f"{name:<13} {told}", hang=14)]
    return "\n".join([*lines, *(line for text in plan.warnings for line in wrapped(f"Warning: {text}.", hang=9))])


def _edges(values: Sequence[float | None]) -> str:
    return " x ".join("own" if value is None else f"{value:.4g}" for value in values)


def _working_size(fit: tuple[int, int] | None) -> str:
    return f"images of at most {fit[0]} x {fit[1]} pixels" if fit else "each scan keeps its own"


def limits_table(plan: Plan) -> str:
    """Numbers that planning compared with: value, unit, effect, and what speaks for each."""
    lines = ["limits (any can be stated otherwise, as limits.thick_slices=4)"]
    for row in Limits.of(plan.asked.get("limits", {})).rows():
        other = "" if row.value == row.usual else f" (usual {row.usual:g})"
        lines += wrapped(f"{row.name:<21} {row.value:g} {row.unit}{other}", start=2, hang=24)
        lines += wrapped(f"{row.effect}; {row.evidence}", start=24)
    return "\n".join(lines)


def _head(shown: Column) -> str:
    return f"{shown.label} {shown.unit}".strip()


def _score_row(report: Report, name: str, shown: Sequence[Column]) -> list[str]:
    """Cells of one structure; the caller has checked that its first aggregate exists."""
    found = [report.aggregate(name, item.name) for item in shown]
    values = [MISSING if row is None else number(row.mean, item.digits) for row, item in zip(found, shown, strict=True)]
    first = found[0]
    assert first is not None
    bounds = interval(first.low, first.high, shown[0].digits)
    missing = sum(row.missing for row in found if row is not None)
    return [name, values[0], bounds, *values[1:], str(first.cases), str(missing)]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns padded to their widest cell; a first cell without room for it has a line of its own, and is never cut."""
    widths = [max(map(_cells, cells)) for cells in zip(*rows, strict=True)]
    room = WIDTH - sum(widths[1:]) - 2 * (len(widths) - 1)
    widths[0] = max(min(widths[0], room), 8)
    lines = []
    for row in rows:
        rest = [" " * (width - _cells(cell)) + cell for cell, width in zip(row[1:], widths[1:], strict=True)]
        head, blank = row[0], " " * (widths[0] - _cells(row[0]))
        if _cells(head) > widths[0]:
            lines += _folded(head)
            head, blank = "", " " * widths[0]
        lines.append("  ".join([head + blank, *rest]).rstrip())
    return lines


def _cells(text: str) -> int:
    """Terminal cells a text takes: wide East Asian characters take two, combining marks none."""
    wide = sum(unicodedata.east_asian_width(sign) in "WF" for sign in text)
    return len(text) + wide - sum(unicodedata.combining(sign) != 0 for sign in text)


def _folded(text: str) -> list[str]:
    """The whole text in lines of at most 80 terminal cells."""
    lines = [""]
    for sign in text:
        if _cells(lines[-1] + sign) > WIDTH:
            lines.append("")
        lines[-1] += sign
    return [line.rstrip() for line in lines]


def wrapped(text: str, *, start: int = 0, hang: int | None = None) -> list[str]:
    """Lines of at most 80 columns, the first indented by `start`, the others by `hang`."""
    hang = start if hang is None else hang
    return textwrap.wrap(text, WIDTH, initial_indent=" " * start, subsequent_indent=" " * hang, break_on_hyphens=False)


#: Lines of each table; the page and the JSON document hold the rest.
_STRUCTURES, _PAIRS, _ODD = 40, 8, 6


def exploration_text(found: Exploration) -> str:
    """Structures, overlaps and unusual cases."""
    parts = [_structures(found), _overlaps(found), _unusual(found)]
    parts += ["\n".join(line for note in found.notes for line in wrapped(note))]
    return "\n\n".join(part for part in parts if part)


def _structures(found: Exploration) -> str:
    if not found.labelled or not found.structures:
        return ""
    head = ["structure", "cases", "share", found.size_unit, "[5 - 95 %]", "intensity", "at edge"]
    rows = [
        [
            view.name,
            str(view.cases),
            percent(view.share.median) if view.share else MISSING,
            significant(view.size.median) if view.size else MISSING,
            f"[{range_text(view.size).replace(' – ', ' - ')}]" if range_text(view.size) else "",
            _brightness(view.intensity[0] if view.intensity else None),
            str(view.at_edge) if view.at_edge else "",
        ]
        for view in found.structures[:_STRUCTURES]
    ]
    lines = aligned([head, *rows])
    return "\n".join([*lines, *_left_out(len(found.structures), _STRUCTURES, "structures")])


def _brightness(spread: Spread | None) -> str:
    return MISSING if spread is None else significant(spread.median)


def _overlaps(found: Exploration) -> str:
    if not found.overlaps:
        return "No two structures share a voxel." if found.overlapping and found.labelled else ""
    head = ["overlap", "cases", "voxels", "of the smaller", "at most"]
    rows = [
        [
            f"{row.first} + {row.second}",
            str(row.cases),
            f"{row.voxels:,}",
            percent(row.of_smaller.median),
            percent(row.of_smaller.high),
        ]
        for row in found.overlaps[:_PAIRS]
    ]
    return "\n".join([*aligned([head, *rows]), *_left_out(len(found.overlaps), _PAIRS, "pairs")])


def _unusual(found: Exploration) -> str:
    odd = [row for row in found.rows if row.why]
    if not odd:
        return ""
    lines = [f"Unusual cases ({len(odd)} of {found.cases})"]
    for row in odd[:_ODD]:
        lines += wrapped(f"{row.case}: {'; '.join(row.why)}", start=2, hang=4)
    return "\n".join([*lines, *_left_out(len(odd), _ODD, "cases")])


def _left_out(total: int, shown: int, what: str) -> list[str]:
    more = total - shown
    return [f"  and {more} more {what}; --report and --json show all"] if more > 0 else []


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
