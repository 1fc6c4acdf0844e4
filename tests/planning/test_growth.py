"""Sizes that a published system grew through: as they were where they fit, in proportion where they do not."""

from __future__ import annotations

import math
from typing import Any

import pytest

from segwright.api.planning import make_plan
from segwright.core.errors import PlanError
from segwright.core.labels import LabelSpace
from segwright.core.plan import Plan
from segwright.core.recipe import Recipe
from segwright.planning.fingerprint import Fingerprint
from segwright.planning.limits import Limits
from segwright.planning.machine import Machine
from segwright.planning.recipe_book import load_recipe
from segwright.planning.rules.network import shrunk
from segwright.train.parts import timeline

GPU = Machine(cores=16, memory=128 * 2**30, gpu_memory=80 * 2**30)
SMALL_GPU = Machine(cores=8, memory=32 * 2**30, gpu_memory=6 * 2**30)
LAPTOP = Machine(cores=2, memory=24 * 2**30, bfloat16=True)
TINY = Machine(cores=1, memory=320 * 2**20)
SYSTEMS = pytest.mark.parametrize("name", ["mitochondria-rat", "mitochondria-human"])


def stack(shape: tuple[float, float, float] = (100.0, 4096.0, 4096.0), **changes: Any) -> Fingerprint:
    """MitoEM's voxels: 30 nm across, 8 nm along."""
    names = {"structures": [{"name": "mitochondria"}], "kind": "instances"}
    spacing = (30e-6, 8e-6, 8e-6)
    usual: dict[str, Any] = {
        "cases": 2, "groups": 2, "channels": ("EM",), "modality": "em", "labels": LabelSpace.model_validate(names),
        "dims": 3, "orientation": "SAR", "spacing": spacing, "fine_spacing": spacing, "spacing_spread": 0.0,
        "shape_median": shape, "shape_large": shape, "zero_share": 0.0, "content_share": 1.0,
        "foreground": ((100.0, 20.0, 60.0, 150.0),), "presence": {"mitochondria": 2}, "share": {"mitochondria": 0.08},
    }  # fmt: skip
    return Fingerprint.model_validate({**usual, **changes})


def planned(name: str, machine: Machine, facts: Fingerprint | None = None, **wishes: Any) -> Plan:
    return make_plan(load_recipe(name, wishes), facts or stack(), machine=machine)


@SYSTEMS
def test_a_large_gpu_trains_the_sizes_of_the_source(name: str) -> None:
    plan = planned(name, GPU)
    assert plan.sample.patch == (36, 320, 320) and plan.sample.stages == ((0.667, (32, 256, 256)),)
    assert plan.train.batch == 2 and "at the source" in plan.why["sample.patch"]
    assert "in proportion" in plan.why["sample.stages"]
    assert [stretch.patch for stretch in timeline(plan.sample)] == [(32, 256, 256), (36, 320, 320)]


@SYSTEMS
@pytest.mark.parametrize(("machine", "short"), [(SMALL_GPU, "memory"), (TINY, "memory"), (LAPTOP, "a step affords")])
def test_small_machines_shrink_both(name: str, machine: Machine, short: str) -> None:
    plan = planned(name, machine)
    (share, first), last = plan.sample.stages[0], plan.sample.patch
    assert share == 0.667 and short in plan.why["sample.patch"] and "36 x 320 x 320" in plan.why["sample.patch"]
    assert math.prod(first) <= math.prod(last) < 36 * 320 * 320
    assert plan.memory["train"] <= 0.9 * (machine.gpu_memory or machine.memory)
    for size in (first, last):
        assert all(n % d == 0 for n, d in zip(size, plan.net.divisor, strict=True))
    for axis, (then, now) in enumerate(((32, 36), (256, 320), (256, 320))):
        assert abs(first[axis] - last[axis] * then / now) < plan.net.divisor[axis]
    if machine is LAPTOP:
        assert math.prod(last) <= 1.2 * Limits().voxels_cpu, "rounded up to what the network divides"


def test_shallow_stacks_keep_the_plane() -> None:
    plan = planned("mitochondria-rat", GPU, stack((10.0, 1024.0, 1024.0)))
    assert plan.sample.patch == (10, 320, 320) and plan.sample.stages == ((0.667, (9, 256, 256)),)
    assert "no larger than the scans" in plan.why["sample.patch"]


def test_what_is_asked_for_is_kept() -> None:
    plan = planned("mitochondria-rat", LAPTOP, patch=(8, 96, 96))
    assert plan.sample.patch == (8, 96, 96) and plan.sample.stages == ((0.667, (7, 80, 80)),)
    plan = planned("mitochondria-rat", LAPTOP, patch=(8, 64, 64), stages=[[0.3, [4, 32, 32]]])
    assert plan.sample.patch == (8, 64, 64) and plan.sample.stages == ((0.3, (4, 32, 32)),)
    plan = planned("mitochondria-rat", GPU, growth=[])
    assert plan.sample.patch != (36, 320, 320) and plan.sample.stages == ()


def test_slices_grow_in_their_plane() -> None:
    wishes = {"growth": [[0.5, [32, 128, 128]], [1, [36, 256, 256]]], "slab": 1, "surround": 1, "width": 8}
    plan = make_plan(Recipe.from_data(wishes), stack(), machine=LAPTOP)
    assert plan.sample.patch == (1, 256, 256) and plan.sample.stages == ((0.5, (1, 128, 128)),)


@pytest.mark.parametrize("shares", [[0.5, 0.9], [1, 0.5], [0.0, 1], [0.5, 0.5, 1]])
def test_shares_rise_to_one(shares: list[float]) -> None:
    sizes = [[share, [8, 64, 64]] for share in shares]
    with pytest.raises(PlanError, match="growth="):
        make_plan(Recipe.from_data({"growth": sizes, "width": 8}), stack(), machine=LAPTOP)


def test_shrinking_ends_within_the_limit_and_near_cubic() -> None:
    for most in (1_000_000, 300_000, 100_000, 20_000):
        z, y, x = shrunk((36, 320, 320), (30 / 8, 1.0, 1.0), most)
        assert most / 2.2 < z * y * x <= most and abs(y - x) <= 16
        assert 0.4 < z * 30 / 8 / y < 2.5
