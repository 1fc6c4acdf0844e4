"""Recipes on the same folds: one table, paired differences, one page, and runs that are not fitted twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import segwright
from segwright.api.compare_recipes import compare_runs, contest
from segwright.api.run import Run
from segwright.core.errors import UsageError
from segwright.report.comparison import Contest, contest_table

QUICK = {"steps": 3, "width": 4, "levels": 2, "batch": 2, "device": "cpu", "folds": 2}


def test_recipes_are_compared_on_the_same_folds(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder, out = make_folder("exclusive", 2), tmp_path / "contest"
    found = contest(folder, ["default", "resenc"], out=out, **QUICK)
    assert [row.name for row in found.contestants] == ["default", "resenc"]
    assert Run(out / "default").split == Run(out / "resenc").split
    assert found.contestants[0].parameters < found.contestants[1].parameters
    assert all(row.steps == 6 and row.step_seconds > 0 for row in found.contestants)
    report = {name: Run(out / name).report for name in ("default", "resenc")}
    gap = next(row for row in found.differences if row.structure == "mean")
    means = [report[name].aggregate("mean", "dice").mean for name in ("default", "resenc")]
    assert gap.mean == pytest.approx(means[1] - means[0], abs=1e-9)
    page = (out / "contest.html").read_text()
    assert "Paired differences" in page
    assert page.count("<article") == 2 * 6
    assert Contest.load(out / "contest.json") == found
    assert all(len(line) <= 80 for line in contest_table(found).splitlines()[:3])
    stamps = [(out / name / "fold-0" / "weights.safetensors").stat().st_mtime_ns for name in report]
    again = contest(folder, ["default", "resenc"], out=out, **QUICK)
    assert [(out / name / "fold-0" / "weights.safetensors").stat().st_mtime_ns for name in report] == stamps
    assert again.differences == found.differences


def test_one_contestant_is_no_contest(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least two recipes"):
        contest(make_folder(dims=2), ["default", "default"], out=tmp_path, **QUICK)
    run = segwright.fit(make_folder(dims=2), out=tmp_path / "run", **QUICK)
    with pytest.raises(UsageError, match="at least two runs"):
        compare_runs({"run": run}, tmp_path)
