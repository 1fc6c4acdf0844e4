"""Each limit is pinned: a plan of a data set made for it is another when the limit is."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from tests.planning.test_growth import TINY, stack

from segwright.api.planning import make_plan
from segwright.core.errors import PlanError, RecipeError, UnknownNameError
from segwright.core.recipe import Recipe
from segwright.planning.limits import Limits, limits_of
from segwright.planning.pipeline import fields
from segwright.planning.recipe_book import load_recipe, parse_overrides

_SPEC = importlib.util.spec_from_file_location("golden_plans", Path(__file__).with_name("golden_plans.py"))
golden = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(golden)
RARE = golden.DATA["hippocampus"].model_copy(update={"presence": {"s1": 100, "s2": 200}})
DATA = {**golden.DATA, "one structure in half of the cases": RARE, "a stack of sections": stack()}
MACHINES = {**golden.MACHINES, "tiny": TINY}
GROWS: dict[str, Any] = {"growth": [[0.6, [16, 64, 64]], [1, [24, 128, 128]]], "width": 8}

#: By limit: another value, and the data set, machine and wishes whose plan it changes.
PINS: dict[str, tuple[float, str, str, dict[str, Any]]] = {
    "coarse_axis": (3, "abdomen in ct", "laptop", {}),
    "thick_slices": (4.5, "abdomen in ct", "laptop", {}),
    "very_thick_slices": (3, "slices a little less than very thick", "laptop", {}),
    "slab_slices": (7, "very thick slices", "laptop", {}),
    "thin_patch": (0.125, "tumour in four channels", "gpu", GROWS),
    "scans_agree": (0.08, "hippocampus", "laptop", {}),
    "crop_below": (0.375, "tumour in four channels", "laptop", {}),
    "zero_background": (0.15, "scans with a border", "laptop", {}),
    "pixels_cpu": (204800, "films without spacing", "laptop", {}),
    "pixels_gpu": (2097152, "films without spacing", "gpu", {}),
    "row_pixels": (500, "rows of vertebrae in films", "laptop", {}),
    "voxels_cpu": (55000, "hippocampus", "laptop", {}),
    "voxels_gpu": (1000000, "films without spacing", "gpu", {}),
    "patch_step": (16, "hippocampus", "laptop", {}),
    "least_patch": (60000, "a stack of sections", "tiny", {"recipe": "mitochondria-rat"}),
    "window_room": (1.875, "hippocampus", "laptop", {}),
    "narrow_tile": (0.35, "films without spacing", "laptop", GROWS),
    "far_surroundings": (3.3, "rows of vertebrae in films", "laptop", GROWS),
    "deepest": (8, "hippocampus", "laptop", {}),
    "levels_cpu": (2, "hippocampus", "laptop", {}),
    "levels_gpu": (3, "hippocampus", "gpu", {}),
    "width_most_cpu": (64, "hippocampus", "laptop", {}),
    "width_most_gpu": (160, "hippocampus", "gpu", {}),
    "steps_for_width_32": (2000, "hippocampus", "gpu", {}),
    "steps_for_width_24": (1250, "films without spacing", "laptop", {}),
    "steps_for_width_16": (600, "hippocampus", "gpu", {"minutes": 1}),
    "steps_for_width_12": (75, "films without spacing", "laptop", {"minutes": 1}),
    "supervised_levels": (2, "hippocampus", "gpu", {}),
    "minutes_cpu": (90, "hippocampus", "laptop", {}),
    "minutes_gpu": (180, "hippocampus", "gpu", {}),
    "training_share": (0.99, "hippocampus", "laptop", {}),
    "gflops_core": (82.5, "films without spacing", "old workstation", {}),
    "gflops_core_bfloat16": (165, "films without spacing", "laptop", {}),
    "gflops_gpu": (30000, "hippocampus", "gpu", {}),
    "few_steps": (200, "hippocampus", "laptop", {"net": "vnet", "minutes": 3, "slab": 0, "patch": [16, 32, 32]}),
    "step_comfort": (0.4, "hippocampus", "gpu", {"net": "resenc", "memory": 2}),
    "step_memory": (0.45, "hippocampus", "old workstation", {"batch": 8, "width": 64}),
    "scan_memory": (0.25, "abdomen in ct", "laptop", {"net": "resenc", "memory": 2}),
    "small_patch": (100000, "films without spacing", "laptop", {}),
    "gpu_step_voxels": (1000000, "hippocampus", "gpu", {}),
    "batch_most": (32, "hippocampus", "gpu", {}),
    "lr_adamw": (0.003, "hippocampus", "laptop", {}),
    "lr_other": (0.015, "hippocampus", "laptop", {"optimiser": "sgd"}),
    "decay_adamw": (0.015, "hippocampus", "laptop", {}),
    "decay_other": (4.5e-05, "hippocampus", "laptop", {"optimiser": "sgd"}),
    "warmup": (0.12, "hippocampus", "laptop", {}),
    "cosine_floor": (0.015, "hippocampus", "laptop", {}),
    "ema": (0.045, "hippocampus", "laptop", {}),
    "overlap": (0.75, "hippocampus", "laptop", {}),
    "rarest_start": (0.005, "tumour in four channels", "laptop", {}),
    "foreground": (0.495, "hippocampus", "laptop", {}),
    "foreground_rare": (0.75, "rows of vertebrae in films", "laptop", {}),
    "rare_share": (0.015, "films with spacing", "laptop", {}),
    "rare_cases": (0.4, "one structure in half of the cases", "laptop", {}),
    "short_run": (6000, "huge photographs", "laptop", {}),
    "many_passes": (30, "hippocampus", "laptop", {}),
    "many_patches": (4000, "huge photographs", "gpu", {"minutes": 5}),
    "film_passes": (10, "films without spacing", "gpu", {"minutes": 1}),
    "film_patches": (5000, "films without spacing", "laptop", {"steps": 600}),
    "member_passes": (60, "rows of vertebrae in films", "laptop", {}),
    "member_steps": (5000, "hippocampus", "gpu", {}),
    "members_most": (8, "hippocampus", "gpu", {}),
    "row_member_steps": (100000, "rows of vertebrae in films", "laptop", {}),
    "row_members_most": (1, "rows of vertebrae in films", "laptop", {}),
}


def outcome(value: dict[str, float], data: str, machine: str, wishes: dict[str, Any]) -> Any:
    """The plan's fields and warnings, or that there is none."""
    wishes = dict(wishes)
    recipe = load_recipe(wishes.pop("recipe", "default"), {**wishes, "limits": value})
    try:
        plan = make_plan(recipe, DATA[data], machine=MACHINES[machine])
    except PlanError:
        return None
    return dict(fields(plan)), plan.warnings


@pytest.mark.parametrize("name", PINS)
def test_a_plan_is_another_when_the_limit_is(name: str) -> None:
    other, data, machine, wishes = PINS[name]
    usual = outcome({}, data, machine, wishes)
    assert usual is not None and outcome({name: other}, data, machine, wishes) != usual


def test_every_limit_is_pinned_and_says_what_it_is() -> None:
    rows = Limits().rows()
    assert {row.name for row in rows} == set(PINS) == set(Limits.model_fields) - {"schema_number"}
    assert all(row.unit and row.effect and row.evidence for row in rows)


def test_limits_are_stated_like_fields_of_a_recipe() -> None:
    recipe = load_recipe("default", parse_overrides(["limits.thick_slices=4", "limits.levels_cpu=3"]))
    assert recipe.limits == {"thick_slices": 4.0, "levels_cpu": 3.0}
    assert (limits_of(recipe).thick_slices, limits_of(recipe).levels_cpu, limits_of(Recipe()).levels_cpu) == (4, 3, 5)
    with pytest.raises(UnknownNameError, match="thick_slices"):
        load_recipe("default", {"limits.thick_slice": 4})
    with pytest.raises(RecipeError, match="levels_cpu"):
        load_recipe("default", {"limits.levels_cpu": 2.5})
    assert json.loads(recipe.to_json())["limits"]["thick_slices"] == 4
