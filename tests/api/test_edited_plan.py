"""A plan is made once; one that a person edited is checked, trained as it stands, and says what was changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import segwright
from segwright.cli.app import app
from segwright.core.errors import PlanError, UsageError
from segwright.core.events import End
from segwright.core.plan import Plan
from segwright.planning import edited, pipeline

QUICK: dict[str, Any] = {"steps": 3, "width": 4, "levels": 2, "folds": 2}
SOURCE = Path(segwright.__file__).parent


@pytest.fixture
def data(make_folder: Callable[..., Path]) -> Path:
    return make_folder("exclusive", 2)


def edit(path: Path, **fields: Any) -> Path:
    """The plan with fields (`net__widths` for `net.widths`) written otherwise, as an editor would."""
    content = json.loads(path.read_text())
    for name, value in fields.items():
        *outer, last = name.split("__")
        place = content
        for key in outer:
            place = place[key]
        place[last] = value
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def file(data: Path, tmp_path: Path) -> Path:
    return segwright.plan(segwright.open_dataset(data), **QUICK).save(tmp_path / "plan.json")


def test_an_edited_plan_is_trained_as_it_stands_and_says_what_changed(data: Path, file: Path, tmp_path: Path) -> None:
    made = Plan.load(file)
    edit(file, net__widths=[6, 12], train__lr=0.0123, train__steps=2, train__precision="float32", seed=7)
    result = CliRunner().invoke(app, ["fit", str(data), "--plan", str(file), "-o", str(tmp_path / "run"), "-q"])
    assert result.exit_code in (0, 3), result.output
    run = segwright.Run(tmp_path / "run")
    kept = run.plan
    assert (kept.net.widths, kept.train.lr, kept.train.steps, kept.seed) == ((6, 12), 0.0123, 2, 7)
    by_hand = {name for name, why in kept.why.items() if why.startswith("changed by hand")}
    assert by_hand == {"net.widths", "train.lr", "train.steps", "train.precision", "seed"}
    assert kept.why["net.widths"] == "changed by hand; planned was [4, 8] (asked for in the recipe)"
    left_open = {"train.channels_last", "train.float32_layers"}
    same = dict(pipeline.fields(made)).items() - dict(pipeline.fields(kept)).items()
    assert {name for name, _ in same} <= by_hand | left_open, "nothing else is another"
    assert [event.step for event in run.log()[0] if isinstance(event, End)] == [2]
    assert segwright.fit(data, out=tmp_path / "run", resume=True, device="cpu").plan == kept


def test_a_plan_that_nobody_edited_gives_the_run_that_its_recipe_gives(data: Path, file: Path, tmp_path: Path) -> None:
    fixed = edit(file, train__precision="float32", train__channels_last=False)
    by_plan = segwright.fit(data, out=tmp_path / "a", plan=Plan.load(fixed), device="cpu").plan
    by_recipe = segwright.fit(data, out=tmp_path / "b", **QUICK, precision="float32", device="cpu").plan
    differ = dict(pipeline.fields(by_plan)).items() ^ dict(pipeline.fields(by_recipe)).items()
    assert {name for name, _ in differ} <= {"net.norm", "train.channels_last"}, "which a fit by recipe measures"


def test_a_plan_that_does_not_fit_the_data_is_refused_before_anything_is_written(
    data: Path, file: Path, tmp_path: Path
) -> None:
    edit(file, net__in_channels=2)
    result = CliRunner().invoke(app, ["fit", str(data), "--plan", str(file), "-o", str(tmp_path / "run"), "-q"])
    assert result.exit_code not in (0, 3) and isinstance(result.exception, PlanError)
    assert result.exception.where == "net.in_channels" and not (tmp_path / "run" / Plan.filename).exists()


def test_a_plan_too_large_for_the_memory_is_refused(data: Path, file: Path, tmp_path: Path) -> None:
    edit(file, sample__patch=[1, 32768, 32768], train__batch=64)
    with pytest.raises(PlanError, match="fit in memory"):
        segwright.fit(data, out=tmp_path / "run", plan=file, device="cpu")


def test_a_recipe_beside_a_plan_and_a_plan_beside_a_run_are_refused(data: Path, file: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no recipe beside it"):
        segwright.fit(data, out=tmp_path / "run", plan=file, width=8)
    (tmp_path / "run").mkdir()
    file.rename(tmp_path / "run" / Plan.filename)
    with pytest.raises(UsageError, match="keeps the plan"):
        segwright.fit(data, out=tmp_path / "run", plan=tmp_path / "run" / Plan.filename, only=[0])


def test_the_plan_of_a_run_is_the_one_that_the_rules_made(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segwright.api import fit

    made: list[Plan] = []
    monkeypatch.setattr(fit, "plan_of", lambda context: made.append(pipeline.plan_of(context)) or made[-1])
    run = segwright.fit(data, out=tmp_path / "run", **QUICK, device="cpu")
    assert run.plan == Plan.from_json(made[-1].to_json())
    assert not edited.changed(run.plan), "what was measured later is no change by hand"


def test_nobody_edits_a_plan_after_planning() -> None:
    """What folds and members take from labels and seeds alone is derived in planning as well."""
    edits = re.compile(r"\b(plan|plan\.\w+|train|window|sample)\.model_copy\(")
    found = [
        f"{path.relative_to(SOURCE)}: {line.strip()}"
        for path in SOURCE.rglob("*.py")
        if "planning" not in path.relative_to(SOURCE).parts[0]
        for line in path.read_text(encoding="utf-8").splitlines()
        if edits.search(line)
    ]
    assert not found
