"""Demonstrations run from drawing to the scores of held-out scans, in every layout, on every kind of structure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from segwright.api import demo as module
from segwright.core.errors import BudgetError, UnknownNameError
from segwright.core.report import Floor
from segwright.phantoms import PHANTOMS
from segwright.planning.recipe_book import recipe_names

TINY = {"precision": "float32", "postprocess": False, "steps": 1, "batch": 1, "augment": "off", "folds": 2}


def test_every_show_names_a_phantom_and_a_recipe() -> None:
    for show in module.SHOWS.values():
        assert show.phantom in PHANTOMS and show.recipe in recipe_names() and show.about
    assert set(module.PLAIN) <= set(PHANTOMS)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="'prostate'"):
        module.show_of("prostata")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("hand", {"size": (64, 64)}),
        ("lobes", {"patch": (24, 32, 40), "overlap": 0.0}),
        ("liver", {"patch": (24, 40, 40), "overlap": 0.0, "width": 2, "levels": 2}),
        ("vertebrae", {"size": (64, 32), "width": 4, "levels": 2}),
        pytest.param(
            "mitochondria",
            {"patch": (8, 48, 48), "overlap": 0.0, "width": 2, "levels": 2},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_show_ends_with_scores_of_scans_no_fold_has_seen(
    name: str, size: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = module.SHOWS[name]
    monkeypatch.setitem(module.SHOWS, name, replace(show, cases=4, wishes={**show.wishes, **TINY, **size}))
    monkeypatch.setattr(module, "HELD_OUT", 1)
    done = module.demo(name, tmp_path, device="cpu")
    space = done.run.plan.labels
    drawn = PHANTOMS.load(show.phantom)(0, 0).space
    assert len(space.structures) == len(drawn.structures)
    dice = {score.structure: score for score in done.held_out.scores if score.metric == "dice"}
    assert set(space.names) <= set(dice)
    assert not any(score.note.startswith("error") for score in dice.values())
    assert done.page.exists() and done.run.page.exists()


@pytest.mark.parametrize("ends", ["useless", "too slow", "well"])
def test_a_system_that_needs_days_has_the_plain_network_beside_it(
    ends: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str, dict]] = []
    notes: list[str] = []

    def fitted(work: object, out: Path, recipe: str, wishes: dict) -> module.Demo:
        asked.append((out.name, recipe, dict(wishes)))
        if ends == "too slow" and recipe != "default":
            raise BudgetError("The time budget is too short.")
        floor = Floor(score=0.4, gain=0.0, low=-0.1, high=0.1, passed=ends == "well" or recipe == "default")
        run = SimpleNamespace(report=SimpleNamespace(floor=floor))
        return module.Demo("hand", run, SimpleNamespace(), out / "held-out.html")  # type: ignore[arg-type]

    monkeypatch.setattr(module._Work, "done", fitted)
    monkeypatch.setattr(module, "draw_data", lambda *args, **options: None)
    done = module.demo("hand", tmp_path, listen=lambda event: notes.append(getattr(event, "text", "")))
    own = (tmp_path.name, "hand-bones", {**module.SHOWS["hand"].wishes, "minutes": module.SHOWS["hand"].minutes})
    plain = ("plain", "default", {"minutes": own[2]["minutes"], "folds": own[2]["folds"]})
    assert asked == ([own] if ends == "well" else [own, plain])
    assert any("days at its source" in note for note in notes) == (ends != "well")
    shown = done.plain if ends == "useless" else done
    assert shown is not None and shown.page.parent.name == (tmp_path.name if ends == "well" else "plain")


def test_the_list_and_the_data_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segwright.cli.app import app

    monkeypatch.setattr(module, "HELD_OUT", 1)
    monkeypatch.setitem(module.SHOWS, "hand", replace(module.SHOWS["hand"], cases=2))
    listed = CliRunner().invoke(app, ["demo", "--list", "--json"])
    assert listed.exit_code == 0 and set(json.loads(listed.output)["demos"]) == set(module.SHOWS)
    made = CliRunner().invoke(app, ["demo", "hand", "--only-data", "-o", str(tmp_path), "-q"])
    assert made.exit_code == 0 and len(list((tmp_path / "scans" / "images").iterdir())) == 2
    again = CliRunner().invoke(app, ["demo", "hand", "--only-data", "-o", str(tmp_path), "-q"])
    assert "already holds scans" in str(again.exception)
