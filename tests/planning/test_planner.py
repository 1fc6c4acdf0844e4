"""Plans for four reference fingerprints, decided by hand from the rules, and a reason for every number."""

from __future__ import annotations

import math
from typing import Any

import pytest

from segwright.api.planning import make_plan
from segwright.core.errors import PlanError
from segwright.core.labels import LabelSpace
from segwright.core.plan import Plan
from segwright.core.recipe import Recipe
from segwright.planning import memory
from segwright.planning.fingerprint import Fingerprint
from segwright.planning.machine import Machine

LAPTOP = Machine(cores=2, memory=24 * 2**30, bfloat16=True)
GPU = Machine(cores=16, memory=64 * 2**30, gpu_memory=24 * 2**30)


def facts(**changes: Any) -> Fingerprint:
    """Hippocampus-like crops unless changed."""
    usual: dict[str, Any] = {
        "cases": 200,
        "groups": 200,
        "channels": ("MRI",),
        "modality": "mr",
        "labels": LabelSpace.model_validate({"structures": [{"name": "front"}, {"name": "back"}]}),
        "dims": 3,
        "orientation": "SAR",
        "spacing": (1.0, 1.0, 1.0),
        "fine_spacing": (1.0, 1.0, 1.0),
        "spacing_spread": 0.0,
        "shape_median": (36.0, 50.0, 35.0),
        "shape_large": (42.0, 55.0, 39.0),
        "zero_share": 0.0,
        "content_share": 1.0,
        "foreground": ((100.0, 20.0, 60.0, 150.0),),
        "presence": {"front": 200, "back": 200},
        "share": {"front": 0.03, "back": 0.03},
    }
    return Fingerprint.model_validate({**usual, **changes})


def make(machine: Machine = LAPTOP, recipe: dict[str, Any] | None = None, **changes: Any) -> Plan:
    return make_plan(Recipe.from_data(recipe or {}), facts(**changes), machine=machine, folds_trained=5)


XRAY: dict[str, Any] = {
    "dims": 2,
    "modality": "xray",
    "orientation": None,
    "spacing": (None, None, None),
    "fine_spacing": (None, None, None),
    "shape_median": (1.0, 2000.0, 800.0),
    "shape_large": (1.0, 2700.0, 1100.0),
}
ABDOMEN: dict[str, Any] = {
    "spacing": (7.7, 1.25, 1.25),
    "fine_spacing": (7.0, 1.2, 1.2),
    "spacing_spread": 0.2,
    "shape_median": (36.0, 256.0, 256.0),
    "shape_large": (46.0, 256.0, 256.0),
}
CT: dict[str, Any] = {
    "modality": "ct",
    "spacing": (3.0, 0.8, 0.8),
    "fine_spacing": (2.0, 0.7, 0.7),
    "spacing_spread": 0.5,
    "shape_median": (120.0, 512.0, 512.0),
    "shape_large": (200.0, 512.0, 512.0),
}


def test_small_volumes_are_taken_whole() -> None:
    plan = make()
    assert plan.sample.patch == (48, 56, 40)
    assert plan.net.slab == 0
    assert plan.net.strides == ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))
    assert plan.prepare.spacing == (1.0, 1.0, 1.0)
    assert all(w >= p for w, p in zip(plan.window.size, plan.sample.patch, strict=True))
    assert (plan.net.in_channels, plan.net.out_channels, plan.target) == (1, 3, "classes")


def test_radiographs_are_shrunk_with_their_aspect_and_never_flipped_upside_down() -> None:
    plan = make(recipe={"augment": "medium"}, **XRAY)
    assert plan.net.slab == 1
    assert plan.prepare.fit is not None
    height, width = plan.prepare.fit
    assert height / width == pytest.approx(2000 / 800, rel=0.1)
    assert height * width <= 1.1 * 320 * 320
    assert plan.sample.patch == (1, height, width)
    assert plan.augment.mirror == (2,)


def test_very_thick_slices_become_slabs_of_five() -> None:
    plan = make(**ABDOMEN)
    assert plan.net.slab == 5
    assert plan.prepare.spacing == (None, 1.25, 1.25)
    assert plan.sample.patch[0] == 1
    assert plan.net.context == (2, 0, 0)


def test_ct_keeps_its_scale_and_thick_slices_pool_late() -> None:
    plan = make(**CT)
    assert plan.prepare.spacing == (2.0, 0.8, 0.8)
    assert plan.prepare.normalise[0].scheme == "fixed"
    assert (plan.prepare.normalise[0].low, plan.prepare.normalise[0].high) == (60.0, 150.0)
    assert plan.net.kernels[0] == (1, 3, 3)
    assert plan.net.strides[1] == (1, 2, 2)
    assert math.prod(plan.sample.patch) <= 110_000
    assert all(n % d == 0 for n, d in zip(plan.sample.patch, plan.net.divisor, strict=True))


@pytest.mark.parametrize("changes", [{}, XRAY, ABDOMEN, CT], ids=["small", "xray", "abdomen", "ct"])
@pytest.mark.parametrize("machine", [LAPTOP, GPU], ids=["laptop", "gpu"])
def test_every_decision_has_a_reason_and_fits(changes: dict[str, Any], machine: Machine) -> None:
    plan = make(machine, **changes)
    decided = {"net.slab", "net.widths", "net.norm", "net.strides", "sample.patch", "sample.foreground", "train.batch",
               "train.seconds", "train.loss", "train.optimiser", "augment.steps", "augment.mirror", "window.size",
               "prepare.spacing", "prepare.normalise", "prepare.crop", "prepare.fit", "folds"}  # fmt: skip
    assert decided <= set(plan.why)
    assert all(plan.why.values())
    assert plan.memory["train"] < (machine.gpu_memory or machine.memory)
    assert Plan.from_json(plan.to_json()).content_hash() == plan.content_hash()


def test_sides_switch_mirroring_off() -> None:
    sides = LabelSpace.model_validate({"structures": [{"name": "left_kidney"}, {"name": "right_kidney"}]})
    plan = make(recipe={"augment": "medium"}, labels=sides)
    assert plan.augment.mirror == plan.window.mirror == ()
    assert "left_kidney" in plan.why["augment.mirror"]


def test_more_time_never_narrows_the_network() -> None:
    base = [make(recipe={"minutes": minutes}).net.widths[0] for minutes in (1, 5, 20, 100, 500)]
    assert base == sorted(base)
    assert base[0] < base[-1]


def test_what_the_recipe_asks_for_is_kept() -> None:
    asked = {"patch": [16, 32, 32], "batch": 3, "width": 10, "levels": 2, "norm": "group", "steps": 7, "tta": False,
             "mirror": ["z", "x"], "foreground": 0.7, "lr": 0.1, "loss": "tversky", "overlap": 0.25}  # fmt: skip
    plan = make(recipe=asked)
    assert plan.sample.patch == (16, 32, 32)
    assert (plan.train.batch, plan.train.steps, plan.train.seconds, plan.train.lr) == (3, 7, None, 0.1)
    assert (plan.net.widths, plan.net.norm, plan.train.loss.name) == ((10, 20), "group", "tversky")
    assert (plan.augment.mirror, plan.window.mirror, plan.window.overlap) == ((0, 2), (), 0.25)
    assert plan.sample.foreground == 0.7


def test_rare_structures_are_sought_and_pooled() -> None:
    plan = make(share={"front": 0.001, "back": 0.03})
    assert plan.sample.foreground == 0.5
    assert plan.train.loss.params["batch"] is True


def test_a_step_that_cannot_fit_is_refused_with_the_setting_to_change() -> None:
    tiny = Machine(cores=2, memory=2**28)
    with pytest.raises(PlanError, match="batch="):
        make(tiny, recipe={"patch": [128, 128, 128], "width": 32, "batch": 8})


def test_windows_shrink_until_the_open_slices_fit() -> None:
    many = LabelSpace.model_validate({"structures": [{"name": f"s{i}"} for i in range(60)]})
    names = {f"s{i}": 10 for i in range(60)}
    wide = {**CT, "labels": many, "presence": names, "share": dict.fromkeys(names, 0.01)}
    recipe = {"patch": [96, 64, 64], "spacing": "native", "width": 8}
    small = make(Machine(cores=2, memory=9 * 2**30), recipe=recipe, **wide)
    large = make(Machine(cores=2, memory=200 * 2**30), recipe=recipe, **wide)
    assert small.window.size[0] < large.window.size[0] == 96
    assert small.memory["predict"] < large.memory["predict"]


def test_operations_by_formula_match_a_count_by_hand() -> None:
    spec = make(recipe={"levels": 1, "width": 4}).net
    voxels = 8**3
    by_hand = 2 * voxels * 27 * (1 * 4 + 4 * 4)
    assert memory.forward_flops(spec, (8, 8, 8)) == by_hand
    assert memory.step_flops(spec, (8, 8, 8), 2) == 6 * by_hand
    assert memory.parameter_count(spec) == 27 * (1 * 4 + 4 * 4) + 2 * 2 * 4 + 4 * 3 + 3


def test_a_long_budget_is_shared_and_each_network_is_sized_for_its_part() -> None:
    long, short = make(recipe={"minutes": 600}), make(recipe={"minutes": 10})
    assert long.train.members > 1 and short.train.members == 1
    assert long.train.seconds == pytest.approx(600 * 60 * 0.85 / 5 / long.train.members)
    assert "several" in long.why["train.members"] and "one" in short.why["train.members"]
    alone = make(recipe={"minutes": 600 / long.train.members, "members": 1})
    assert long.net.widths == alone.net.widths
    assert long.augment == alone.augment


def test_logits_start_at_the_shares_of_structures() -> None:
    exclusive = make(presence={"front": 200, "back": 100}, share={"front": 0.03, "back": 0.04})
    assert exclusive.train.start == pytest.approx([math.log(p) for p in (0.95, 0.03, 0.02)], abs=1e-3)
    overlapping = {"labels": LabelSpace(structures=[{"name": "front"}, {"name": "back"}], kind="overlapping")}
    sigmoid = make(**overlapping, share={"front": 0.25, "back": 1e-6})
    assert sigmoid.train.start == pytest.approx([math.log(0.25 / 0.75), math.log(0.001 / 0.999)], abs=1e-3)
    full = make(share={"front": 0.7, "back": 0.6})
    assert full.train.start == pytest.approx([math.log(0.1), math.log(0.5), math.log(0.5)], abs=1e-3)
    assert (
        make(recipe={"loss": "dice"}).train.start == ()
        and "asked for" in make(recipe={"loss": "dice"}).why["train.start"]
    )
