"""Spoiled sections are imitated where a recipe says so, or a long run on a stack of sections expects them."""

from __future__ import annotations

from typing import Any

import pytest

from segwright.api.planning import make_plan
from segwright.core.labels import LabelSpace
from segwright.core.plan import Plan
from segwright.core.recipe import Recipe
from segwright.planning.fingerprint import Fingerprint
from segwright.planning.machine import Machine
from segwright.planning.recipe_book import load_recipe

LAPTOP = Machine(cores=2, memory=24 * 2**30, bfloat16=True)
FAULTS = {"misalignment", "shifted_section", "missing_sections", "motion_blur", "cut_blur", "cut_noise"}


def stack(**changes: Any) -> Fingerprint:
    """Sections 50 nm thick with pixels of 10 nm."""
    names = {"structures": [{"name": "mitochondria"}], "kind": "instances"}
    spacing = (50e-6, 10e-6, 10e-6)
    usual: dict[str, Any] = {
        "cases": 4, "groups": 4, "channels": ("EM",), "modality": "em", "labels": LabelSpace.model_validate(names),
        "dims": 3, "orientation": "SAR", "spacing": spacing, "fine_spacing": spacing, "spacing_spread": 0.0,
        "shape_median": (40.0, 512.0, 512.0), "shape_large": (40.0, 512.0, 512.0), "zero_share": 0.0,
        "content_share": 1.0, "foreground": ((100.0, 20.0, 60.0, 150.0),), "presence": {"mitochondria": 4},
        "share": {"mitochondria": 0.08},
    }  # fmt: skip
    return Fingerprint.model_validate({**usual, **changes})


def planned(facts: Fingerprint, **wishes: Any) -> tuple[Plan, set[str]]:
    plan = make_plan(Recipe.from_data({"width": 8, **wishes}), facts, machine=LAPTOP)
    return plan, FAULTS & {step.name for step in plan.augment.steps}


def test_long_runs_on_stacks_expect_spoiled_sections() -> None:
    plan, found = planned(stack(), steps=20_000)
    assert found == FAULTS and "5.0 times longer across" in plan.why["augment.steps"]
    plan, found = planned(stack(), steps=500)
    assert not found and "short run" in plan.why["augment.steps"]


@pytest.mark.parametrize(
    "changes", [{"modality": "mr"}, {"modality": "ct"}, {"spacing": (1e-5, 1e-5, 1e-5)}, {"spacing": (None,) * 3}]
)
def test_other_scans_do_not(changes: dict[str, Any]) -> None:
    plan, found = planned(stack(**changes), steps=20_000, slab=0)
    assert not found and "section" not in plan.why["augment.steps"]


def test_what_is_asked_for_holds_unless_nothing_is_changed_at_all() -> None:
    plan, found = planned(stack(), steps=500, section_faults=True, augment="light")
    assert found == FAULTS and "asked for" in plan.why["augment.steps"]
    assert not planned(stack(), steps=20_000, section_faults=False)[1]
    plan, found = planned(stack(), steps=500, section_faults=True, augment="off")
    assert not plan.augment.steps and "not spoiled either" in plan.why["augment.steps"]


def test_slices_and_slabs_keep_what_they_can_show() -> None:
    assert planned(stack(), section_faults=True, slab=1, surround=1)[1] == {"motion_blur", "cut_blur", "cut_noise"}
    assert planned(stack(), section_faults=True, slab=5)[1] == FAULTS


@pytest.mark.parametrize("name", ["mitochondria-rat", "mitochondria-human"])
def test_the_systems_that_learnt_so_ask_for_it(name: str) -> None:
    plan = make_plan(load_recipe(name), stack(), machine=LAPTOP)
    chances = {step.name: step.params["p"] for step in plan.augment.steps if step.name in FAULTS}
    assert chances == {
        "misalignment": 0.25, "shifted_section": 0.25, "missing_sections": 0.5, "motion_blur": 0.5,
        "cut_blur": 0.5, "cut_noise": 0.75,
    }  # fmt: skip
