"""Forecasts follow what was decided: precision, optimiser, number of networks; what does not fit is refused."""

from __future__ import annotations

import pytest
from tests.planning.test_planner import GPU, LAPTOP, facts, make

from segwright.core.errors import PlanError
from segwright.core.plan import Plan
from segwright.core.recipe import PartChoice
from segwright.planning.forecast import Costs, fitting_precisions, memory
from segwright.planning.machine import Machine
from segwright.planning.memory import parameter_count

OLD = Machine(cores=2, memory=24 * 2**30)


def changed(plan: Plan, **fields: object) -> Plan:
    return plan.model_copy(update={"train": plan.train.model_copy(update=fields)})


@pytest.mark.parametrize("machine", [LAPTOP, GPU, OLD])
def test_activations_in_float32_take_twice_those_in_bfloat16(machine: Machine) -> None:
    asked = {one: make(machine, {"precision": one}).memory["train"] for one in ("auto", "bfloat16", "float32")}
    assert 1.5 < asked["float32"] / asked["bfloat16"] < 2
    assert asked["auto"] == asked["float32" if machine is OLD else "bfloat16"]


def test_what_is_decided_by_measuring_is_foreseen_anew() -> None:
    plan = make(LAPTOP)
    slow, why = memory(changed(plan, precision="float32"), facts(), LAPTOP, None)
    assert slow["train"] == make(LAPTOP, {"precision": "float32"}).memory["train"]
    assert "float32" in why and "bfloat16" in plan.why["memory"]


def test_an_optimiser_with_one_number_a_weight_takes_less() -> None:
    adamw, sgd = (changed(make(OLD), optimiser=PartChoice(name=name)) for name in ("adamw", "sgd"))
    less = [memory(one, facts(), OLD, None)[0]["train"] for one in (adamw, sgd)]
    assert less[0] - less[1] == 4 * parameter_count(adamw.net)


def test_prediction_holds_the_networks_of_all_folds() -> None:
    plan = make(OLD, {"folds": 5})
    several, _ = memory(changed(plan, members=3), facts(), OLD, None)
    more = several["predict"] - plan.memory["predict"]
    assert more == (15 - 5) * 4 * parameter_count(plan.net)


def test_a_precision_that_does_not_fit_is_not_offered_and_is_refused_if_chosen() -> None:
    plan = make(LAPTOP)
    needs = {
        one: Costs(LAPTOP, one).of_step(plan.net, plan.sample.patch, plan.train.batch)
        for one in ("bfloat16", "float32")
    }
    tight = LAPTOP.model_copy(update={"memory": int((needs["bfloat16"] + needs["float32"]) / 2 / 0.9)})
    assert fitting_precisions(plan, LAPTOP, None) == ("bfloat16", "float32")
    assert fitting_precisions(plan, tight, None) == ("bfloat16",)
    memory(changed(plan, precision="bfloat16"), facts(), tight, None)
    with pytest.raises(PlanError, match="would not fit"):
        memory(changed(plan, precision="float32"), facts(), tight, None)
