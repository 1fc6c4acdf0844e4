"""Terminal tables hold the same numbers in 80 columns, whatever the names."""

from __future__ import annotations

import unicodedata

import pytest

from segwright.core.inspection import Finding
from segwright.core.report import Aggregate, Report, Score
from segwright.planning.limits import Limits
from segwright.report.tables import plan_sections
from segwright.report.text import (
    aligned,
    doubts_line,
    findings_table,
    limits_table,
    plan_summary,
    plan_table,
    score_table,
)
from segwright.report.wording import columns_of


def width(line: str) -> int:
    return sum(1 + (unicodedata.east_asian_width(sign) in "WF") for sign in line)


def test_score_table_is_aligned_and_complete(make_run):
    run = make_run()
    head, mean, liver, *_ = score_table(run.report).splitlines()
    assert " ".join(head.split()) == "structure Dice [95 % interval] HD95 mm Surface Dice cases missing"
    row = run.report.aggregate("liver", "dice")
    assert liver.split()[:4] == ["liver", f"{row.mean:.3f}", f"[{row.low:.3f},", f"{row.high:.3f}]"]
    assert liver.split()[-2:] == ["6", "1"]
    assert len(head) == len(mean) == len(liver)
    assert "Empty masks" in score_table(run.report)


@pytest.mark.parametrize("name", ["a" * 200, "肝臓" * 60, "x y " * 50, "left_" + "lobe_" * 30 + "right"])
def test_no_line_is_wider_than_80_columns(make_run, name):
    run = make_run(names=(name, name + "2"))
    metrics = ("dice", "hd95", "assd", "surface_dice")
    for line in [*score_table(run.report, metrics).splitlines(), *plan_table(run.plan).splitlines()]:
        assert width(line) <= 80, line
    assert len(set(score_table(run.report, metrics).splitlines())) >= 4


def test_doubtful_labels_are_counted_by_case():
    found = [Finding(level="warning", code="unseen", what="Gone.", where=f"case {i // 2}") for i in range(10)]
    report = Report(scores=(), aggregates=(), findings=tuple(found))
    lines = doubts_line(report).splitlines()
    told = "Look 5 cases whose label is worth a second look: case 0, case 1, case 2 and 2 more"
    assert " ".join(" ".join(lines).split()) == told and all(width(line) <= 80 for line in lines)
    assert doubts_line(Report(scores=(), aggregates=())) == ""


def test_score_table_without_scores():
    assert score_table(Report(scores=(), aggregates=())) == "No scores."


def test_undefined_mean_is_a_dash():
    row = Aggregate(
        structure="a",
        metric="dice",
        mean=None,
        median=None,
        low=None,
        high=None,
        std=None,
        cases=0,
        groups=0,
        missing=4,
    )
    assert score_table(Report(scores=(), aggregates=(row,))).splitlines()[1].split() == ["a", "–", "0", "4"]


def test_lengths_without_spacing_are_headed_with_voxels():
    def scored(notes):
        rows = [Score(case="c", group="c", structure="a", metric="hd95", value=1.0, note=note) for note in notes]
        return columns_of(Report(scores=rows, aggregates=()))[0].unit

    assert scored([""]) == "mm"
    assert scored(["in voxels: spacing unknown"]) == "voxels"
    assert scored(["", "in voxels: spacing unknown"]) == "mm or voxels"


@pytest.mark.parametrize(("mean", "digits"), [(7.5, 2), (0.4, 2), (0.045, 3), (0.000072, 6), (0.0, 2)])
def test_lengths_of_microscopy_are_not_rounded_away(mean: float, digits: int) -> None:
    known = {"cases": 3, "groups": 3, "missing": 0, "median": mean, "std": 0.0, "low": mean, "high": mean}
    rows = tuple(Aggregate(structure="cell", metric=name, mean=mean, **known) for name in ("hd95", "dice"))
    shown = {one.name: one.digits for one in columns_of(Report(scores=(), aggregates=rows))}
    assert shown == {"hd95": digits, "dice": 3}


def test_findings_are_grouped_with_errors_first():
    findings = [Finding(level="note", code="n", what="Mapped.")]
    findings += [Finding(level="error", code="e", what="Broken.", where=f"case {i}", hint="Mend it.") for i in range(9)]
    lines = findings_table(findings).splitlines()
    assert lines == [
        "error    Broken. (9 times) [e]",
        "         where: case 0, case 1, case 2 and 6 more",
        "         hint: Mend it.",
        "note     Mapped. [n]",
    ]
    assert findings_table([]) == "No findings."


def test_plan_table_tells_every_decision_and_every_reason(make_run):
    plan = make_run().plan
    text = plan_table(plan)
    for reason in plan.why.values():
        assert reason in text
    assert "dice_ce (squared = yes)" in text and "3.0 GiB" in text
    told = {f"{section.name}.{row.field}" for section in plan_sections(plan) for row in section.rows}
    assert {"train.lr", "net.widths", "window.size", "sample.patch", "general.folds"} <= told


def test_a_summary_of_a_plan_has_ten_lines_and_its_warnings(make_run) -> None:
    plan = make_run().plan
    lines = plan_summary(plan).splitlines()
    assert len(lines) <= 12 and max(map(len, lines)) <= 80 and len([line for line in lines if line[0] != " "]) == 10
    for name, told in (("network", plan.net.name), ("target", plan.train.loss.name), ("memory", "3.0 GiB")):
        assert any(line.startswith(name) and told in line for line in lines)
    warned = plan_summary(plan.model_copy(update={"warnings": ("Few steps fit a fold",)})).splitlines()
    assert warned[len(lines) :] == ["Warning: Few steps fit a fold."]


def test_limits_are_listed_with_what_was_stated_otherwise(make_run) -> None:
    plan = make_run().plan.model_copy(update={"asked": {"limits": {"thick_slices": 4}}})
    text = limits_table(plan)
    assert "thick_slices          4 pixel edge (usual 3)" in text
    assert all(name in text for name in Limits.model_fields if name != "schema_number")


def test_long_names_are_never_cut() -> None:
    """Left and right kidney differ in their first letters only; a name cut in the middle tells nobody which it is."""
    name = "right_kidney_with_its_adrenal_gland"
    rows = [["structure", *["a number of cells"] * 3], [name, *["1"] * 3], ["liver", *["2"] * 3]]
    lines = aligned(rows)
    assert lines[1] == name and lines[2].strip().split() == ["1"] * 3
    assert lines[3].startswith("liver") and len(lines) == 4 and max(map(len, [lines[0], *lines[2:]])) <= 80
