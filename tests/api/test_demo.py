"""Demonstrations run from drawing to the scores of held-out scans, in every layout, on every kind of structure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from segwright.api import demo as module
from segwright.core.errors import UnknownNameError
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
