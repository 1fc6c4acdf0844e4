"""Published networks are planned by their own traced costs, and what does not fit is told with what would."""

from __future__ import annotations

from typing import Any

import pytest

from segwright.api.planning import make_plan
from segwright.core.errors import PlanError
from segwright.core.labels import LabelSpace
from segwright.core.plan import Plan
from segwright.core.recipe import Recipe
from segwright.nets.forecast import trace
from segwright.planning.fingerprint import Fingerprint
from segwright.planning.machine import Machine

LAPTOP = Machine(cores=2, memory=24 * 2**30)
FACTS = {
    "cases": 40, "groups": 40, "channels": ("CT",), "modality": "ct", "dims": 3, "orientation": "SAR",
    "labels": LabelSpace.model_validate({"structures": [{"name": "lung"}]}), "spacing": (1.0, 1.0, 1.0),
    "fine_spacing": (1.0, 1.0, 1.0), "spacing_spread": 0.0, "shape_median": (96.0, 128.0, 128.0),
    "shape_large": (96.0, 128.0, 128.0), "zero_share": 0.0, "content_share": 1.0,
    "foreground": ((100.0, 20.0, 60.0, 150.0),), "presence": {"lung": 40}, "share": {"lung": 0.03},
}  # fmt: skip


def plan(machine: Machine = LAPTOP, **wishes: Any) -> Plan:
    return make_plan(Recipe.from_data(wishes), Fingerprint.model_validate(FACTS), machine=machine)


def test_the_forecast_is_that_of_the_network_itself() -> None:
    wishes = {"slab": 0, "patch": [32, 64, 64], "batch": 1}
    dense, official = plan(net="pdv-net", **wishes), plan(net="vnet", **wishes)
    for made in (dense, official):
        found = trace(made.net, made.sample.patch, made.train.batch)
        assert made.memory["train"] > 20 * found.parameters + found.kept
    weights = 20 * (trace(official.net, (32, 64, 64), 1).parameters - trace(dense.net, (32, 64, 64), 1).parameters)
    assert weights > 2**30 and official.memory["train"] > 2**30 > dense.memory["train"]


def test_what_does_not_fit_memory_is_refused_with_a_width_that_does() -> None:
    small = Machine(cores=2, memory=1 << 30)
    wishes = {"net": "vnet", "patch": [32, 64, 64], "batch": 1, "slab": 0}
    with pytest.raises(PlanError, match=r"It would fit with width=\d+ \(of 16\)") as caught:
        plan(small, **wishes)
    width = int(str(caught.value.hint).rpartition("width=")[2].split()[0])
    assert plan(small, **wishes, width=width).net.widths[0] == width


def test_a_network_of_fixed_widths_is_told_otherwise() -> None:
    with pytest.raises(PlanError, match=r"smaller patch=.*net\.growth="):
        plan(Machine(cores=2, memory=1 << 28), net="pdv-net", patch=[64, 128, 128], batch=2, slab=0)


def test_too_few_steps_are_told_with_what_would_hold_more() -> None:
    slow = plan(net="vnet", patch=[64, 96, 96], batch=2, slab=0, minutes=5)
    assert "steps fit a fold; for 100 ask for" in slow.warnings[0]
    quick = plan(net="vnet", patch=[16, 16, 16], batch=1, slab=0, minutes=500)
    assert not quick.warnings
    assert not plan(net="vnet", patch=[64, 96, 96], slab=0, steps=5).warnings
