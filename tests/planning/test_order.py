"""Rows of look-alikes are recognised from labels, in any orientation, and other arrangements are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from segwright.api.planning import make_plan
from segwright.augment.levels import steps_for
from segwright.core.errors import PlanError
from segwright.core.inspection import CaseFacts
from segwright.core.labels import LabelSpace
from segwright.core.recipe import Recipe
from segwright.core.seed import derive
from segwright.io.dataset import open_dataset
from segwright.planning.case_facts import centres_and_forms
from segwright.planning.check import inspect
from segwright.planning.fingerprint import Fingerprint, fingerprint
from segwright.planning.machine import Machine
from segwright.planning.order import Order, covered_shares, order_of, shared_voxels
from segwright.planning.rules import order

NAMES = tuple(f"L{i}" for i in range(1, 6))
AS_IS = ((0, 1, 2), (False, False, False))


def case(points, *, sizes=None, shared=0.0, number=0):
    """Facts of a case with structures at `points` (z, y, x)."""
    chosen = {name: tuple(float(v) for v in point) for name, point in zip(NAMES, points, strict=False)}
    return CaseFacts.model_validate(
        {
            "case": f"c{number}",
            "group": f"p{number}",
            "shape": (1, 400, 200),
            "spacing": (None, None, None),
            "orientation": "IPL",
            "image_type": "uint8",
            "percentiles": ((0, 0, 1, 2, 2),),
            "mean": (0.0,),
            "std": (1.0,),
            "zero_share": 0.0,
            "content": (1, 400, 200),
            "volumes": dict(zip(chosen, sizes or [1000] * len(chosen), strict=True)),
            "centres": chosen,
            "shared": shared,
        }
    )


def row(*, bend=0.0, turn=0.0, seed=0, count=5):
    """Points one after the other, bent and turned."""
    rng = derive(seed, "row")
    angle = turn + np.linspace(-bend / 2, bend / 2, count)
    steps = 40 * np.stack([np.zeros(count), np.cos(angle), np.sin(angle)], axis=1)
    return 50 + np.cumsum(steps, axis=0) + rng.normal(0, 2, (count, 3)) * [0, 1, 1]


def found(rows, **rest: Any) -> Order | None:
    facts = [case(points, number=i, **rest) for i, points in enumerate(rows)]
    return order_of(facts, NAMES, [AS_IS] * len(facts))


@pytest.mark.parametrize("bend", [0.0, 1.0, 2.5])
def test_rows_straight_and_bent(bend):
    seen = found([row(bend=bend, turn=0.2 * derive(i, "turn").normal(), seed=i) for i in range(20)])
    assert seen is not None and seen.doubt == "" and seen.axis == 1


def test_a_missing_structure_does_not_matter():
    rows = [row(seed=i, count=4 if i % 3 else 5) for i in range(12)]
    assert found(rows).doubt == ""


@pytest.mark.parametrize(
    ("rows", "rest", "why"),
    [
        ([derive(i, "cloud").uniform(0, 200, (5, 3)) for i in range(20)], {}, "on a line"),
        ([row(seed=i)[[0, 2, 1, 3, 4]] for i in range(20)], {}, "on a line"),
        ([row(seed=i, turn=np.pi * (i % 2)) for i in range(20)], {}, "directions"),
        ([row(seed=i) for i in range(20)], {"sizes": [1000, 1000, 4000, 900, 900]}, "size"),
        ([row(seed=i) for i in range(20)], {"shared": 0.1}, "share"),
    ],
    ids=["cloud", "shuffled", "both ways", "unlike", "overlapping"],
)
def test_what_is_no_row(rows, rest, why):
    assert why in found(rows, **rest).doubt


def test_too_few_structures():
    assert found([row(count=3)]) is None


def test_scans_stored_upside_down_run_the_same_way():
    up, down = row(seed=1), row(seed=2)
    down[:, 1] = 400 - down[:, 1]
    facts = [case(up), case(down, number=1)]
    flipped = ((0, 1, 2), (False, True, False))
    assert order_of(facts, NAMES, [AS_IS, flipped]).doubt == ""
    assert order_of(facts, NAMES, [AS_IS, AS_IS]).doubt != ""


def test_centres_and_shares_of_labels():
    space = LabelSpace(structures=[{"name": "a"}, {"name": "b"}], kind="overlapping")
    label = np.zeros((2, 3, 20, 30), np.int8)
    label[0, :, 2:6, 10:20], label[1, :, 4:8, 10:20] = 1, 1
    assert centres_and_forms(label, space)[0] == {"a": (1.0, 3.5, 14.5), "b": (1.0, 5.5, 14.5)}
    assert shared_voxels(label) == pytest.approx(2 / 6)
    large = np.zeros((1, 200, 200, 200), np.int16)
    large[0, 50:150, 20:60, 100:180] = 1
    middle = centres_and_forms(large, LabelSpace(structures=[{"name": "a"}]))[0]["a"]
    assert np.allclose(middle, (99.5, 39.5, 139.5), atol=2)


def facts(kind="exclusive", *, in_row=1.0, axis=1, shared=0.0, covered=0.1) -> Fingerprint:
    labels = LabelSpace.model_validate({"structures": [{"name": name} for name in NAMES], "kind": kind})
    return Fingerprint.model_validate(
        {
            "cases": 40, "groups": 40, "channels": ("grey",), "modality": "xray", "labels": labels, "dims": 2,
            "orientation": None, "spacing": (None,) * 3, "fine_spacing": (None,) * 3, "spacing_spread": 0.0,
            "shape_median": (1.0, 500.0, 200.0), "shape_large": (1.0, 600.0, 220.0), "zero_share": 0.0,
            "content_share": 1.0, "foreground": ((1.0, 1.0, 0.0, 2.0),), "presence": dict.fromkeys(NAMES, 40),
            "share": dict.fromkeys(NAMES, 0.02),
            "order": {"cases": 40, "in_row": in_row, "same_way": 1.0, "size_ratio": 1.2, "shared": shared,
                      "covered": covered, "axis": axis},
        }
    )  # fmt: skip


def planned(found: Fingerprint, **recipe: Any):
    machine = Machine(cores=2, memory=24 * 2**30, bfloat16=True)
    return make_plan(Recipe.from_data(recipe), found, machine=machine)


@pytest.mark.parametrize("kind", ["exclusive", "overlapping"])
def test_a_row_is_planned_for_by_itself(kind):
    plan = planned(facts(kind))
    assert plan.target == plan.train.loss.name == "chain"
    assert plan.net.out_channels == len(NAMES) + 2
    assert "along y" in plan.why["target"]


def test_rows_in_radiographs_get_local_contrast():
    plan = planned(facts())
    assert {rule.scheme for rule in plan.prepare.normalise} == {"local"} and "row" in plan.why["prepare.normalise"]
    for other in (planned(facts(), normalise="case"), planned(facts(), ordered=False), planned(facts(in_row=0.5))):
        assert {rule.scheme for rule in other.prepare.normalise} == {"case"}


def test_rows_in_films_are_seen_smaller_on_a_cpu():
    film = facts().model_copy(update={"shape_median": (1.0, 1200.0, 450.0), "share": dict.fromkeys(NAMES, 0.01)})
    row, alone = planned(film).prepare.fit, planned(film, ordered=False).prepare.fit
    assert row is not None and row[0] * row[1] * 0.01 == pytest.approx(250, rel=0.15)
    assert alone is not None and alone[0] * alone[1] == pytest.approx(320 * 320, rel=0.15)
    assert planned(film, size=(512, 192)).prepare.fit == (512, 192)
    tiny = film.model_copy(update={"share": dict.fromkeys(NAMES, 0.001)})
    assert planned(tiny).prepare.fit == alone, "no larger than others"


def test_usual_places_are_part_of_the_plan():
    assert planned(facts()).row is None, "facts without places"
    usual = {"axis": 1, "places": [[0.1 * i, 0.02] for i in range(len(NAMES))]}
    found = facts()
    assert found.order is not None
    found = found.model_copy(update={"order": Order.model_validate({**found.order.model_dump(), "usual": usual})})
    plan = planned(found)
    assert plan.row is not None and plan.row.axis == 1 and planned(found, ordered=False).row is None


def test_it_can_be_switched_off_and_asked_for():
    assert planned(facts(), ordered=False).target == "classes"
    assert planned(facts("overlapping"), target="regions").target == "regions"
    assert planned(facts(in_row=0.5)).target == "classes"
    assert "50 %" in planned(facts(in_row=0.5)).why["target"]
    assert planned(facts(in_row=0.5), ordered=True).target == "chain"
    single = facts().model_copy(update={"labels": LabelSpace(structures=[{"name": "L1"}])})
    with pytest.raises(PlanError, match="no structures to order"):
        planned(single, ordered=True)


def test_structures_that_overlap_in_drawing_only_are_learnt_against_each_other():
    plan = planned(facts("overlapping", in_row=0.5))
    assert (plan.target, plan.train.loss.name, plan.net.out_channels) == ("shares", "dice_ce", len(NAMES) + 1)
    assert "drawn outlines that touch" in plan.why["target"]
    lying = facts("overlapping", in_row=0.5, shared=0.3)
    assert planned(lying).target == "regions" and planned(lying, target="shares").target == "shares"
    inside = facts("overlapping", in_row=0.5, shared=0.005, covered=1.0)
    assert planned(inside).target == "regions", "a small tumour in its organ"
    assert planned(facts("overlapping", in_row=0.5), loss="dice_bce").target == "regions"
    asked = planned(facts("overlapping"), target="shares", loss="tversky")
    assert asked.train.loss.params["activation"] == "softmax"
    with pytest.raises(PlanError, match="read off a softmax"):
        planned(facts("overlapping"), target="shares", loss="dice_bce")
    with pytest.raises(PlanError, match="does not suit"):
        planned(facts(), target="shares")


@pytest.mark.parametrize(("axis", "kept"), [(1, (2,)), (2, (1,))])
def test_the_rows_axis_is_never_mirrored(axis, kept):
    plan = planned(facts(axis=axis), mirror=["y", "x"])
    assert plan.augment.mirror == plan.window.mirror == kept
    assert f"not {'zyx'[axis]}" in plan.why["augment.mirror"]
    assert planned(facts(axis=axis), mirror=["y", "x"], ordered=False).augment.mirror == (1, 2)


def test_losses_of_other_targets_are_refused():
    with pytest.raises(PlanError, match="Leave the loss open"):
        planned(facts(), loss="dice_ce")
    with pytest.raises(PlanError, match="ordered=true"):
        planned(facts(), loss="chain", ordered=False)
    assert planned(facts(), loss={"name": "chain", "core_weight": 1.0}).train.loss.params["core_weight"] == 1.0


def test_no_case_is_mixed_into_another():
    names = [step.name for step in steps_for("strong", dims=3, modality="mr")]
    assert "cutmix" in names
    steps = steps_for("strong", dims=3, modality="mr")
    assert [step.name for step in order.unmixed("chain", steps)] == [name for name in names if name != "cutmix"]
    assert order.unmixed("classes", steps) == steps


def volumes(axis: int) -> Fingerprint:
    large = (300.0, 200.0, 180.0)
    update = {"dims": 3, "modality": "mr", "orientation": "SAR", "spacing": (1.0,) * 3, "fine_spacing": (1.0,) * 3,
              "shape_median": large, "shape_large": large}  # fmt: skip
    return facts(axis=axis).model_copy(update=update)


def test_volumes_are_seen_along_the_whole_row():
    upright = planned(volumes(0))
    assert upright.net.slab == 0 and upright.sample.patch[0] >= 300 and "whole along z" in upright.why["sample.patch"]
    lying = planned(volumes(1))
    assert lying.net.slab == 5 and lying.sample.patch[1] >= 200 and "whole row" in lying.why["net.slab"]
    apart = planned(volumes(0), ordered=False)
    assert apart.net.slab == 0 and apart.sample.patch[0] < 100


@pytest.mark.parametrize(("folder", "is_row"), [("spine-dicom", True), ("vertebrae-mr", True), ("chest", False)])
def test_real_folders(shared_data, folder, is_row):
    dataset = open_dataset(shared_data(folder))
    dataset = dataset.model_copy(update={"cases": dataset.cases[:12]})
    seen = fingerprint(dataset, inspect(dataset)).order
    assert seen is not None and (seen.doubt == "") == is_row


def test_a_small_tumour_in_its_organ_is_no_slip_of_the_pen():
    space = LabelSpace(structures=[{"name": name} for name in "abcd"], kind="overlapping")
    label = np.zeros((4, 1, 40, 100), np.int8)
    for index in range(3):
        label[index, 0, 4:36, 5 + 30 * index : 30 + 30 * index] = 1
    label[3, 0, 20:22, 10:13] = 1
    assert shared_voxels(label) < 0.01
    shares = covered_shares(label, space)
    assert shares["d"] == 1.0 and shares["b"] == 0.0 and shares["a"] == pytest.approx(6 / 800)
    places = {name: (0.0, 20.0, 15.0 + 30 * i) for i, name in enumerate("abcd")}
    one = case(list(places.values())).model_copy(update={"centres": places, "shared": 0.003, "covered": shares})
    found = order_of([one], "abcd", [AS_IS])
    assert found.covered == 1.0 and not found.drawn_only
    apart = one.model_copy(update={"covered": dict.fromkeys("abcd", 0.05)})
    assert order_of([apart], "abcd", [AS_IS]).drawn_only
