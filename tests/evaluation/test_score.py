"""Reports hold every case, say how empties were treated, and never lose a case that failed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from segwright.core.errors import UnknownNameError, UsageError
from segwright.core.labels import LabelSpace
from segwright.core.report import Report, Score
from segwright.evaluation.aggregate import to_csv
from segwright.evaluation.score import ERROR, LabelPair, evaluate_pairs, tell_missing

SPACE = LabelSpace(structures=[{"name": "a", "values": [1]}, {"name": "b", "values": [2]}], regions={"ab": ("a", "b")})


def pair(case: str, **rest: object) -> LabelPair:
    reference = np.zeros((1, 4, 6, 6), np.int16)
    reference[0, 1:3, 1:3, 1:5], reference[0, 1:3, 3:5, 1:5] = 1, 2
    prediction = np.roll(reference, 1, axis=3)
    start = {"group": case, "spacing": (1.0, 1.0, 1.0), "reference": reference, "prediction": prediction}
    return LabelPair(case, **(start | rest))


def test_report_holds_every_case_structure_region_and_metric() -> None:
    report = evaluate_pairs([pair("x", fold=0), pair("y", fold=1)], SPACE, metrics=["dice", "hd95"], title="run")
    assert {(s.case, s.structure, s.metric) for s in report.scores} == {
        (c, s, m) for c in "xy" for s in ("a", "b", "ab", "mean") for m in ("dice", "hd95")
    }
    dice = report.aggregate("a", "dice")
    assert dice is not None and dice.mean == pytest.approx(0.75) and dice.cases == 2
    assert {s.fold for s in report.scores} == {0, 1} and report.title == "run"
    assert Report.from_json(report.to_json()) == report


def test_rules_are_written_into_the_report() -> None:
    report = evaluate_pairs([pair("x"), pair("y", spacing=(None, None, None))], SPACE, tolerance=2.5)
    text = "\n".join(report.notes)
    assert "both empty" in text and "2.5 mm" in text and "95 % t intervals of the mean by group, of 2 groups" in text
    assert "Lengths of 1 of 2 cases are in voxels" in text
    assert "within 2.5 mm (2.5 voxels where the spacing is unknown)" in text
    assert "too rare to be among 2 groups" in text
    assert "All groups agree in dice of a, " in text and "without width promises nothing" in text


def test_a_single_group_has_no_interval_and_it_is_told() -> None:
    report = evaluate_pairs([pair("x", group="p"), pair("y", group="p")], SPACE)
    assert all(row.low is None and row.high is None for row in report.aggregates)
    assert any("of one group (patient), so that no mean has an interval" in note for note in report.notes)


def test_rare_failures_are_told_of_few_groups_only() -> None:
    many = evaluate_pairs([pair(str(i)) for i in range(50)], SPACE, metrics=["dice"])
    assert not any("too rare" in note for note in many.notes)
    few = evaluate_pairs([pair(str(i)) for i in range(49)], SPACE, metrics=["dice"])
    assert any("too rare to be among 49 groups" in note for note in few.notes)


def test_a_missed_structure_does_not_vanish() -> None:
    missed = pair("x")
    missed.prediction[missed.prediction == 2] = 0
    report = evaluate_pairs([missed, pair("y")], SPACE)
    dice, far, found = (report.aggregate("b", name) for name in ("dice", "hd95", "presence"))
    assert dice.mean == pytest.approx(0.375) and dice.missing == 0
    assert far.cases == 1 and far.missing == 1
    assert found.mean == 0.5
    assert any("Prediction empty for 1 pair of" in note for note in report.notes)
    mean = next(s for s in report.scores if (s.case, s.structure, s.metric) == ("x", "mean", "hd95"))
    assert "1 of 2 structures undefined" in mean.note


@pytest.mark.parametrize("broken", ["error", "shape"])
def test_a_case_that_cannot_be_scored_is_counted_and_told(broken: str) -> None:
    bad = pair("bad", error="no prediction of this name")
    if broken == "shape":
        bad = pair("bad", prediction=np.zeros((1, 4, 6, 7), np.int16))
    report = evaluate_pairs([pair("x"), bad], SPACE)
    assert all(row.missing >= 1 for row in report.aggregates)
    assert report.aggregate("mean", "dice").missing == 1
    assert any("1 of 2 cases could not be scored" in note and "bad" in note for note in report.notes)


def test_pairs_are_consumed_one_by_one() -> None:
    alive = []

    def stream() -> Iterator[LabelPair]:
        for name in "abc":
            alive.append(name)
            yield pair(name)

    assert len({s.case for s in evaluate_pairs(stream(), SPACE, metrics=["dice"]).scores}) == 3


def test_wrong_use_is_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        evaluate_pairs([pair("x"), pair("x")], SPACE)
    with pytest.raises(UsageError, match="nothing"):
        evaluate_pairs([], SPACE)
    with pytest.raises(UnknownNameError, match="dice"):
        evaluate_pairs([pair("x")], SPACE, metrics=["dicee"])
    with pytest.raises(UsageError, match="tolerance"):
        evaluate_pairs([pair("x")], SPACE, tolerance=0)


def test_csv_has_a_line_a_score(tmp_path) -> None:
    report = evaluate_pairs([pair("x")], SPACE, metrics=["dice"])
    lines = to_csv(report, tmp_path / "scores.csv").read_text().splitlines()
    assert lines[0] == "case,group,structure,metric,value,note,fold" and len(lines) == 5
    assert lines[1].startswith("x,x,a,dice,0.75,")
    to_csv(report.aggregates, tmp_path / "means.csv")
    with pytest.raises(UsageError):
        to_csv([], tmp_path / "none.csv")
    assert not (tmp_path / "none.csv").exists()


def test_reasons_are_told_once_with_the_cases_they_struck() -> None:
    rows = [
        Score(case=f"c{i}", group="g", structure="a", metric="dice", value=None, note=ERROR + why)
        for i, why in enumerate(["no file"] * 7 + ["another grid."])
    ]
    note = tell_missing(rows)[0]
    assert note.startswith("8 of 8 cases could not be scored")
    assert note.endswith("c0, c1, c2, c3, c4 and 2 more: no file; c7: another grid.")


def test_borders_of_microscopy_are_not_all_within_a_millimetre() -> None:
    reference = np.pad(pair("a").reference, ((0, 0), (0, 0), (0, 0), (0, 9)))
    shifted = {"reference": reference, "prediction": np.roll(reference, 4, axis=-1)}
    found = {step: evaluate_pairs([pair("a", spacing=(step,) * 3, **shifted)], SPACE) for step in (1.0, 4e-6)}
    values = {step: report.aggregate("mean", "surface_dice").mean for step, report in found.items()}
    hd95 = {step: report.aggregate("mean", "hd95").mean for step, report in found.items()}
    assert hd95[4e-6] == pytest.approx(4e-6 * hd95[1.0]) and 0 < values[1.0] <= values[4e-6] < 1
    assert any("border voxels within 2 pixels of" in note for note in found[4e-6].notes)
    wide = evaluate_pairs([pair("a", spacing=(4e-6,) * 3, **shifted)], SPACE, tolerance=1.0)
    assert wide.aggregate("mean", "surface_dice").mean == 1.0 and any("within 1 mm of" in note for note in wide.notes)


@pytest.mark.parametrize(
    ("spacings", "empty", "said", "reach"),
    [
        ([None, None], [], "Lengths are in voxels, as no scan with a length states its spacing.", "within 1 voxel of"),
        ([None, None], [1], "Lengths are in voxels, as no scan with a length states its spacing.", "within 1 voxel of"),
        (
            [None, 1.0],
            [],
            "Lengths of 1 of 2 cases are in voxels",
            "within 1 mm (1 voxel where the spacing is unknown)",
        ),
        ([1.0, 1.0], [], None, "within 1 mm of"),
    ],
)
def test_units_are_told_of_cases_that_have_lengths(spacings, empty, said, reach) -> None:
    """Of two films without spacing, one whose prediction is empty has no length: "1 of 2 unknown" would be wrong."""
    pairs = [
        pair(f"c{i}", spacing=(step,) * 3, **({"prediction": np.zeros((1, 4, 6, 6), np.int16)} if i in empty else {}))
        for i, step in enumerate(spacings)
    ]
    notes = evaluate_pairs(pairs, SPACE).notes
    assert any(reach in note for note in notes)
    assert any(note.startswith(said) for note in notes) if said else not any("in voxels" in note for note in notes)
