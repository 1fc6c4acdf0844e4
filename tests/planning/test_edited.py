"""Plans that a person edited are checked field by field against the data."""

from __future__ import annotations

from typing import Any

import pytest
from tests.planning.test_planner import LAPTOP, XRAY, facts

from segwright.api.planning import known, planned
from segwright.core.errors import PlanError
from segwright.core.plan import Plan
from segwright.core.recipe import Recipe
from segwright.planning.edited import changed, recipe_of, taken
from segwright.planning.pipeline import SECTIONS, advance, plan_of
from segwright.planning.planner import RULES

FACTS = facts(**XRAY)
WISHES = Recipe.from_data({"steps": 3, "width": 4, "levels": 2, "folds": 2})


def made() -> Plan:
    return plan_of(planned(WISHES, FACTS, machine=LAPTOP))


def edited(**fields: Any) -> Plan:
    """The plan with fields (`net__widths` for `net.widths`) written otherwise, as an editor would."""
    content = made().model_dump(mode="json")
    for name, value in fields.items():
        *outer, last = name.split("__")
        place = content
        for key in outer:
            place = place[key]
        place[last] = value
    return Plan.from_data(content)


def taken_over(plan: Plan) -> Plan:
    return plan_of(taken(plan, known(recipe_of(plan), FACTS, LAPTOP)))


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"channels": ["a", "b"]}, "channels", "other channels"),
    ({"labels__structures": []}, "labels", "other structures"),
    ({"prepare__orientation": "SAR"}, "prepare.orientation", "turns scans"),
    ({"prepare__normalise": []}, "prepare.normalise", "each channel"),
    ({"net__in_channels": 2}, "net.in_channels", "number of channels"),
    ({"net__out_channels": 9}, "net.out_channels", "number of channels"),
    ({"net__kernels": [[1, 3, 3]]}, "net.kernels", "each level"),
    ({"net__decoder_blocks": []}, "net.decoder_blocks", "each level but the last"),
    ({"net__slab": 0}, "net.slab", "single plane"),
    ({"sample__patch": [1, 33, 48]}, "sample.patch", "do not divide"),
    ({"window__size": [1, 33, 48]}, "window.size", "do not divide"),
    ({"sample__seek": [7]}, "sample.seek", "structures that there are not"),
    ({"augment__mirror": [3]}, "augment.mirror", "flips axes"),
    ({"target": "flow"}, "target", "does not suit"),
    ({"folds": 1}, "folds", "folds"),
    ({"train__seconds": 5}, "train.steps", "seconds or after steps"),
    ({"train__start": [0.0]}, "train.start", "each channel starts"),
    ({"train__loss": {"name": "dicee", "params": {}}}, "train.loss", "a loss that there is not"),
]


@pytest.mark.parametrize(("fields", "where", "what"), WRONG, ids=[row[1] for row in WRONG])
def test_a_plan_that_does_not_fit_is_refused_by_the_field(fields: dict[str, Any], where: str, what: str) -> None:
    with pytest.raises(PlanError, match=what) as told:
        taken_over(edited(**fields))
    assert told.value.where == where and where in str(told.value.hint)


def test_a_plan_that_nobody_touched_stays_as_it_is() -> None:
    plan = made()
    assert taken_over(plan) == plan and not changed(plan) and recipe_of(plan) == WISHES


def test_what_a_person_changed_is_told_with_what_it_was() -> None:
    plan = taken_over(edited(train__lr=0.5, folds=3))
    assert (plan.train.lr, plan.folds) == (0.5, 3) and changed(plan) == {"train.lr": "0.002", "folds": "2"}
    assert plan.why["train.lr"] == "changed by hand; planned was 0.002"
    assert plan.why["folds"] == "changed by hand; planned was 2 (asked for in the recipe)"
    assert taken_over(plan).why["train.lr"].startswith("changed by hand; planned was 0.002")


def test_plans_of_versions_that_kept_nothing_are_taken_too() -> None:
    old = edited(made={}, asked={}, warnings=[])
    assert not changed(old) and taken_over(old).net == made().net


def test_every_field_has_one_rule_in_a_phase_and_every_rule_a_name() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    with pytest.raises(AssertionError, match="second time"):
        advance(known(WISHES, FACTS, LAPTOP), (RULES[0], RULES[0]), "before measuring")
    decided = planned(WISHES, FACTS, machine=LAPTOP).decided
    usual = {"train.channels_last", "train.float32_layers", "train.threads", "train.clip", "train.init", "window.batch"}
    parts = {section: set(type(getattr(made(), section)).model_fields) for section in SECTIONS}
    every = {f"{section}.{name}" for section, names in parts.items() for name in names}
    assert every - set(decided) == usual
