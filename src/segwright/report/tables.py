"""Rows of every table on the page, so that templates only place text and never compute."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segwright.core.inspection import CaseFacts, Finding
from segwright.core.plan import Plan
from segwright.core.report import Aggregate, Report, Score
from segwright.core.words import amount, byte_size, duration
from segwright.metrics.metric import VOXEL_NOTE
from segwright.postprocess.search import Candidate, Postprocess
from segwright.report.wording import (
    MISSING,
    Column,
    column,
    interval,
    number,
    plain,
    shape,
    signed,
    structures_of,
)

#: Rows of the full table beyond which the page would grow past a few megabytes.
MOST_ROWS = 4000


@dataclass(frozen=True)
class Cell:
    """One aggregate: mean, bounds, and how many values were undefined."""

    value: str
    bounds: str = ""
    missing: int = 0
    title: str = ""


@dataclass(frozen=True)
class ScoreTable:
    """Structures down, metrics across."""

    columns: list[Column]
    rows: list[tuple[str, list[Cell]]]


def score_table(report: Report, columns: Sequence[Column]) -> ScoreTable:
    """Aggregates of all metrics, the mean over structures first."""
    found = {(row.structure, row.metric): row for row in report.aggregates}
    names = [name for name in ["mean", *structures_of(report)] if any((name, c.name) in found for c in columns)]
    return ScoreTable(
        list(columns), [(name, [_cell(found.get((name, item.name)), item) for item in columns]) for name in names]
    )


def _cell(row: Aggregate | None, shown: Column) -> Cell:
    if row is None:
        return Cell(MISSING)
    median, std = number(row.median, shown.digits), number(row.std, shown.digits)
    whose = f"{amount(row.cases, 'case')} in {amount(row.groups, 'group')}"
    title = f"median {median}, SD {std}, {whose}, {row.missing} undefined"
    return Cell(number(row.mean, shown.digits), interval(row.low, row.high, shown.digits), row.missing, title)


@dataclass(frozen=True)
class CaseRow:
    """One case and structure with its value of each metric; `notes` say why values are undefined."""

    case: str
    group: str
    fold: str
    structure: str
    values: list[str]
    notes: str


@dataclass(frozen=True)
class CaseTable:
    """Worst first by the first metric; `left_out` rows were too many to show."""

    columns: list[Column]
    rows: list[CaseRow]
    left_out: int
    has_groups: bool
    has_folds: bool


def case_table(report: Report, columns: Sequence[Column], most: int = MOST_ROWS) -> CaseTable:
    """Case by structure, one column a metric."""
    grouped: dict[tuple[str, str], dict[str, Score]] = {}
    for score in report.scores:
        if score.structure != "mean":
            grouped.setdefault((score.case, score.structure), {})[score.metric] = score
    ordered = sorted(grouped.values(), key=lambda scores: _badness(scores, columns))
    rows = [_case_row(scores, columns) for scores in ordered[:most]]
    return CaseTable(
        list(columns),
        rows,
        max(len(ordered) - most, 0),
        any(row.group != row.case for row in rows),
        any(row.fold for row in rows),
    )


def _badness(scores: Mapping[str, Score], columns: Sequence[Column]) -> tuple[bool, float]:
    """Sort key: worst value of the first metric first, undefined values last."""
    first = scores.get(columns[0].name) if columns else None
    if first is None or first.value is None:
        return True, 0.0
    if columns[0].better == "zero":
        return False, -abs(first.value)
    return False, first.value if columns[0].better == "higher" else -first.value


def _case_row(scores: Mapping[str, Score], columns: Sequence[Column]) -> CaseRow:
    some = next(iter(scores.values()))
    values = [number(scores[c.name].value if c.name in scores else None, c.digits) for c in columns]
    notes = "; ".join(dict.fromkeys(score.note for score in scores.values() if score.note))
    return CaseRow(some.case, some.group, "" if some.fold is None else str(some.fold), some.structure, values, notes)


@dataclass(frozen=True)
class FindingGroup:
    """Findings of one level, code and hint."""

    level: str
    code: str
    what: str
    hint: str
    count: int
    places: list[Finding] = field(default_factory=list)


def finding_groups(findings: Iterable[Finding]) -> list[FindingGroup]:
    """Findings of one kind together; errors, then warnings, then notes."""
    kinds: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        kinds.setdefault((finding.level, finding.code, finding.hint), []).append(finding)
    order = {"error": 0, "warning": 1, "note": 2}
    groups = [
        FindingGroup(level, code, same[0].what, hint, len(same), [item for item in same if item.where])
        for (level, code, hint), same in kinds.items()
    ]
    return sorted(groups, key=lambda group: order[group.level])


@dataclass(frozen=True)
class PlanRow:
    """One decision."""

    field: str
    value: str
    why: str


@dataclass(frozen=True)
class PlanSection:
    """Decisions of one part of the plan."""

    name: str
    rows: list[PlanRow]


#: Of the document rather than decisions, or told elsewhere on the page.
_NOT_DECISIONS = {"schema_number", "why", "memory", "labels"}


def plan_sections(plan: Plan) -> list[PlanSection]:
    """All decided fields of a plan in order, with their reasons; reasons of unknown fields are kept at the end."""
    sections: dict[str, list[PlanRow]] = {}
    told = set()
    for name, value in _fields(plan.model_dump(mode="json"), plan.why):
        if value is None and name not in plan.why:  # an open choice that nobody made
            continue
        section, dot, short = name.partition(".")
        row = PlanRow(short if dot else name, plain(value), plan.why.get(name, ""))
        sections.setdefault(section if dot else "general", []).append(row)
        told.add(name)
    rest = [PlanRow(name, "", why) for name, why in plan.why.items() if name not in told]
    memory = [PlanRow(name, byte_size(size), "") for name, size in plan.memory.items()]
    extra = {"memory": memory, "other": rest}
    sections.update({name: rows for name, rows in extra.items() if rows})
    return [PlanSection(name, rows) for name, rows in sections.items()]


def _fields(data: Mapping[str, Any], why: Mapping[str, str], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names of all leaves; a mapping that has a reason of its own, or is a part with parameters, is a leaf."""
    for key, value in data.items():
        name = prefix + key
        if not prefix and key in _NOT_DECISIONS:
            continue
        is_part = isinstance(value, Mapping) and (set(value) == {"name", "params"} or not value)
        inner_reasons = any(other.startswith(name + ".") for other in why)
        if isinstance(value, Mapping) and not is_part and (name not in why or inner_reasons):
            if name in why:
                yield name, "see below"
            yield from _fields(value, why, name + ".")
        else:
            yield name, value


@dataclass(frozen=True)
class DataTable:
    """One row a case; `heads` and `cells` hold the volumes, or a count where structures are many."""

    heads: list[str]
    rows: list[tuple[CaseFacts, str, str, list[str]]]
    unit: str


#: Structures beyond which single volumes would not fit across a page.
_MOST_VOLUMES = 8


def data_table(facts: Sequence[CaseFacts], names: Sequence[str], fold_of: Mapping[str, int]) -> DataTable:
    """Shape, spacing and volumes of each case, with the fold it validates in."""
    unit, factor = _volume_unit(facts)
    few = len(names) <= _MOST_VOLUMES
    heads = [f"{name}, {unit}" for name in names] if few else ["structures present"]
    rows = []
    for fact in facts:
        cells = [_volume(fact, name, factor) for name in names] if few else [_present(fact, names)]
        spacing = shape(fact.spacing, 2) if any(step is not None for step in fact.spacing) else "unknown"
        rows.append((fact, spacing, str(fold_of.get(fact.case, "")), cells))
    return DataTable(heads, rows, unit)


def _present(fact: CaseFacts, names: Sequence[str]) -> str:
    return f"{sum(fact.volumes.get(name, 0) > 0 for name in names)} of {len(names)}" if fact.volumes else MISSING


def _volume_unit(facts: Sequence[CaseFacts]) -> tuple[str, float | None]:
    """One unit for the whole table and its size in mm³ (mm² for single planes); voxels where any case has none."""
    flat = all(fact.shape[0] == 1 for fact in facts)
    sizes = [_voxel(fact, flat) for fact in facts]
    if not facts or any(size is None for size in sizes):
        return ("pixels" if flat and facts else "voxels"), None
    largest = max(
        (count * (size or 0) for fact, size in zip(facts, sizes, strict=True) for count in fact.volumes.values()),
        default=0.0,
    )
    if flat:
        return ("cm²", 100.0) if largest >= 1000 else ("mm²", 1.0)
    return ("mL", 1000.0) if largest >= 10_000 else ("mm³", 1.0)


def _voxel(fact: CaseFacts, flat: bool) -> float | None:
    steps = fact.spacing[1:] if flat else fact.spacing
    size = 1.0
    for step in steps:
        if step is None:
            return None
        size *= step
    return size


def _volume(fact: CaseFacts, name: str, factor: float | None) -> str:
    if name not in fact.volumes:
        return MISSING
    if factor is None:
        return str(fact.volumes[name])
    size = fact.volumes[name] * (_voxel(fact, fact.shape[0] == 1) or 0.0) / factor
    return f"{size:.0f}" if factor == 1 else f"{size:.2f}"


@dataclass(frozen=True)
class CandidateRow:
    """One change that post-processing tried; `cases` tells how many it changed and how many of them improved."""

    change: str
    structure: str
    gain: str
    error: str
    cases: str
    nested: str
    accepted: bool
    why: str


@dataclass(frozen=True)
class Choice:
    """Post-processing as shown: what was chosen, mean score before and after, all candidates."""

    chosen: list[str]
    effect: list[tuple[str, str, str, str]]
    candidates: list[CandidateRow]
    notes: tuple[str, ...]


def choice(postprocess: Postprocess) -> Choice:
    """Chosen thresholds and steps in words, and the candidates: accepted ones first, then by gain."""
    chain = postprocess.chain
    chosen = [f"{name} is present where its score reaches {plain(value)}" for name, value in chain.thresholds.items()]
    if chain.foreground is not None:
        chosen.append(f"foreground where the structures together score at least {plain(chain.foreground)}")
    chosen += [_step_line(step.name, step.structures, step.params) for step in chain.steps]
    effect = [
        (name, number(before, 4), number(after, 4), signed(after - before))
        for name, before in postprocess.before.items()
        if (after := postprocess.after.get(name)) is not None
    ]
    tried = sorted(postprocess.candidates, key=lambda item: (not item.accepted, -item.gain))
    return Choice(chosen, effect, [_candidate_row(item) for item in tried], postprocess.notes)


def _step_line(name: str, structures: Sequence[str], params: Mapping[str, Any]) -> str:
    whom = ", ".join(structures) or "all structures"
    return f"{plain({'name': name.replace('_', ' '), 'params': dict(params)})}: {whom}"


def _candidate_row(item: Candidate) -> CandidateRow:
    cases = f"{item.changed} ({item.improved} better)" if item.changed else "none"
    nested = "" if item.nested is None else signed(item.nested)
    error = number(item.error, 4)
    return CandidateRow(
        item.change, item.structure, signed(item.gain), error, cases, nested, item.accepted, item.reason
    )


def receipt_rows(receipt: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Blocks of name and value; plain entries form the first block, each mapping one of its own."""
    flat = [(key, plain(value)) for key, value in receipt.items() if not isinstance(value, Mapping)]
    blocks = [
        (key, [(str(name), _receipt_value(key, item)) for name, item in value.items()])
        for key, value in receipt.items()
        if isinstance(value, Mapping)
    ]
    return ([("run", flat)] if flat else []) + blocks


def _receipt_value(block: str, value: Any) -> str:
    number_like = isinstance(value, int | float) and not isinstance(value, bool)
    return duration(value) if block == "durations" and number_like else plain(value)


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
