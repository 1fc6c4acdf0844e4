"""The record of what was learnt from: no scan of training is unlike it, and others are named with the reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from segwright.core.appearance import Appearance, Look
from segwright.core.case import Case, Dataset, LabelSource, Source
from segwright.core.domain import Domain, field_slack
from segwright.core.inspection import CaseFacts
from segwright.core.labels import LabelSpace
from segwright.core.plan import PreparePlan
from segwright.ops.appearance import appearance
from segwright.planning.domain import LEVEL, bounds, domain_of, seen_in

SPACE = LabelSpace(structures=[{"name": "a"}])


def picture(number: int, *, kind: str = "t1") -> np.ndarray:
    """A drawn channel: bright things on a dark ground, or dark ones on a bright ground."""
    rng = np.random.default_rng(number)
    y, x = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 40), indexing="ij")
    inside = np.clip(1.2 - np.hypot(y, x * rng.uniform(0.9, 1.1)), 0, 1)
    values = inside * 100 if kind == "t1" else 100 - inside**0.4 * 80
    return (values + rng.normal(0, 2, (4, 40, 40)))[None]


def fact(number: int, **changes: Any) -> CaseFacts:
    channels = np.concatenate([picture(number), picture(number + 1000, kind="t2")])
    told = {
        "case": f"c{number}", "group": f"c{number}", "shape": (30, 100 + number % 5, 90), "spacing": (3.0, 1.6, 1.2),
        "orientation": "SAR", "image_type": "int16", "percentiles": ((0, 0, 5, 9, 10),) * 2, "mean": (5, 5),
        "std": (2, 2), "zero_share": 0, "content": (1, 1, 1), "volumes": {"a": 9}, "modality": "MR",
        "appearance": appearance([channels]),
    }  # fmt: skip
    return CaseFacts.model_validate({**told, **changes})


@pytest.fixture
def record(plain_plan):
    """A function from facts to plan and record; the facts are those of all cases."""

    def make(facts: list[CaseFacts], flat: bool = False, **prepare: Any):
        source = {"images": (Source(path="a"),), "label": (LabelSource(path="b"),)}
        cases = tuple(Case(id=f.case, group=f.group, **source) for f in facts)
        dataset = Dataset(root=".", layout="x", channels=("t1", "t2"), labels=SPACE, cases=cases)
        ready = PreparePlan(orientation=None if flat else "SAR", normalise=(), **prepare)
        net = {"out_channels": 2, "widths": (4,), "strides": ((1, 1, 1),), "kernels": ((3, 3, 3),)}
        plan = plain_plan(SPACE, (8, 8, 8), net, prepare=ready, channels=("t1", "t2"), modality="mr")
        return plan, domain_of(plan, dataset, facts)

    return make


USUAL = [fact(n) for n in range(12)]
AS_WAS = USUAL[0].appearance
assert AS_WAS is not None


def told(record, **changes: Any) -> str:
    plan, domain = record(USUAL)
    return "; ".join(domain.reasons(seen_in(fact(99, **changes), plan)))


def test_a_further_scan_of_the_kind_is_like_them(record) -> None:
    assert told(record) == ""
    assert told(record, spacing=(3.2, 1.7, 1.1), shape=(28, 95, 98)) == ""
    plan, domain = record(USUAL)
    assert not any(domain.reasons(seen_in(one, plan)) for one in USUAL)
    assert Domain.from_json(domain.to_json()) == domain


OUTSIDE = {
    "x 2": ({"spacing": (6.0, 3.2, 2.4), "shape": (15, 50, 45)},
            "its voxels are 6 x 3.2 x 2.4 mm, in training 3 x 1.6 x 1.2"),
    "/ 2": ({"spacing": (3.0, 0.8, 1.2), "shape": (30, 200, 90)}, "0.8 mm from back to front"),
    "no spacing": ({"spacing": (None, None, None)}, "it states no voxel size, which was 3 x 1.6 x 1.2 mm in training"),
    "other axes": ({"orientation": "SPL"}, "its axes run SPL, in training SAR"),
    "cropped": ({"shape": (30, 50, 90)}, "its field of view is 80 mm from back to front, in training 160 to 166"),
    "whole body": ({"shape": (300, 100, 90)}, "its field of view is 900 mm from foot to head, in training 90"),
    "header": ({"modality": "CT"}, "its header calls it CT, and the model learnt from MR"),
    "plane": ({"shape": (1, 100, 90)}, "it is a single plane, and the model learnt from volumes"),
    "colour": ({"adapted": ("colour image taken as luminance",)}, "colour image taken as luminance, which no scan"),
    "units": ({"appearance": appearance([np.concatenate([picture(5) * 4 - 1000, picture(6, kind="t2")])])},
              "channel 't1' has intensities from -1"),
    "exchanged": ({"appearance": appearance([np.concatenate([picture(1003, kind="t2"), picture(6)])])},
                  "channel 't1' looks like channel 't2'; channel 't2' looks like channel 't1'"),
    "doubled": ({"appearance": appearance([np.concatenate([picture(5), picture(5)])])},
                "channel 't2' looks like channel 't1'; channels 't1' and 't2' are the same image"),
    "missing": ({"appearance": appearance([np.concatenate([picture(5), 0 * picture(5)])])},
                "channel 't2' has one value everywhere"),
    "noise": ({"appearance": appearance([np.random.default_rng(0).normal(50, 20, (2, 4, 40, 40))])},
              "channel 't1' has another mix"),
}  # fmt: skip


@pytest.mark.parametrize("kind", OUTSIDE)
def test_a_scan_of_another_kind_is_named_with_its_reason(kind: str, record) -> None:
    changes, words = OUTSIDE[kind]
    assert words in told(record, **changes)


def test_a_scan_turned_as_the_plan_asks_is_measured_along_the_same_axes(record) -> None:
    """The same scan stored with its axes in another order is unlike in its axes alone."""
    reason = told(record, orientation="RSA", shape=(90, 30, 101), spacing=(1.2, 3.0, 1.6))
    assert reason == "its axes run RSA, in training SAR; it was turned, so check left and right"


def test_scans_that_were_seen_without_spacing_may_have_none(record) -> None:
    plan, mixed = record([*USUAL, fact(50, spacing=(None, None, None), orientation="SAR")])
    assert not mixed.reasons(seen_in(fact(99, spacing=(None, None, None)), plan))
    plan, none = record([fact(n, spacing=(None, None, None)) for n in range(5)])
    assert not none.reasons(seen_in(fact(99, spacing=(None, None, None)), plan))
    reason = none.reasons(seen_in(fact(99), plan))
    assert reason and "states a voxel size (3 x 1.6 x 1.2 mm), and no scan of training did" in reason[0]


def test_films_without_spacing_are_compared_at_the_working_size(record) -> None:
    films = [fact(n, shape=(1, 1000, 800), spacing=(None, None, None)) for n in range(6)]
    plan, domain = record(films, flat=True, fit=(500, 400))
    larger, smaller = (fact(9, shape=(1, 1000 * k // 10, 800 * k // 10), spacing=(None, None, None)) for k in (20, 3))
    assert not domain.reasons(seen_in(larger, plan)), "twice the pixels of the same film become the same"
    assert "its field of view is 300 x 240 voxels, in training 500 x 400" in domain.reasons(seen_in(smaller, plan))[0]


def test_models_of_objects_take_tiles_of_any_size(record, plain_plan) -> None:
    plan, _ = record(USUAL)
    em = plan.model_copy(update={"modality": "em"})
    source = {"images": (Source(path="a"),), "label": (LabelSource(path="b"),)}
    cases = tuple(Case(id=f.case, group=f.group, **source) for f in USUAL)
    dataset = Dataset(root=".", layout="x", channels=("t1", "t2"), labels=SPACE, cases=cases)
    assert domain_of(em, dataset, USUAL).fields == {}
    assert domain_of(plan, dataset, USUAL).fields["mm"][1] == pytest.approx((160.0, 166.4))


def test_facts_of_earlier_versions_give_a_record_without_looks(record) -> None:
    plan, domain = record([one.model_copy(update={"appearance": None}) for one in USUAL])
    assert domain.channels == () and not domain.reasons(seen_in(USUAL[0], plan))


@pytest.mark.parametrize("count", [2, 5, 60])
def test_bounds_are_the_prediction_interval_and_hold_what_was_seen(count: int) -> None:
    values = np.random.default_rng(count).normal(3, 2, count).tolist()
    low, high = bounds(values, 0.0)
    half = stats.t.ppf((1 + LEVEL) / 2, count - 1) * np.std(values, ddof=1) * np.sqrt(1 + 1 / count)
    assert low == pytest.approx(min(*values, np.mean(values) - half))
    assert high == pytest.approx(max(*values, np.mean(values) + half))
    assert bounds([5.0], 0.1) == pytest.approx((4.6, 5.4)) and bounds([5.0] * 30, 0.1) == pytest.approx((4.89, 5.11))


def test_few_scans_leave_more_room() -> None:
    assert [round(field_slack(n), 2) for n in (1, 3, 100)] == [2.44, 1.56, 1.26]


@given(st.lists(st.tuples(st.integers(5, 300), st.floats(0.1, 9), st.integers(0, 40)), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_no_scan_of_training_is_unlike_the_training_scans(drawn: list[tuple[int, float, int]]) -> None:
    from segwright.core.plan import AugmentPlan, NetSpec, Plan, SamplePlan, TrainPlan, WindowPlan
    from segwright.core.recipe import PartChoice

    part = PartChoice(name="x")
    look = {"shares": (0.1, 0.2, 0.3, 0.4, 0.5), "zero": 0.0}
    facts = [
        fact(i, shape=(n, 2 * n, 30), spacing=(step, step, 1.0), appearance=Appearance(
            channels=(Look(low=level, high=level + step, texture=step / 9, **look),)))
        for i, (n, step, level) in enumerate(drawn)
    ]  # fmt: skip
    plan = Plan(
        channels=("t1",), labels=SPACE, prepare=PreparePlan(orientation="SAR", normalise=()), target="classes",
        net=NetSpec(in_channels=1, out_channels=2, widths=(4,), strides=((1, 1, 1),), kernels=((3, 3, 3),),
                    encoder_blocks=(1,), decoder_blocks=()),
        sample=SamplePlan(policy=part, patch=(8, 8, 8)), augment=AugmentPlan(), window=WindowPlan(size=(8, 8, 8)),
        folds=1,
        train=TrainPlan(batch=1, steps=1, loss=part, optimiser=part, schedule=part, lr=1, weight_decay=0),
    )  # fmt: skip
    source = {"images": (Source(path="a"),), "label": (LabelSource(path="b"),)}
    cases = tuple(Case(id=f.case, group=f.group, **source) for f in facts)
    domain = domain_of(plan, Dataset(root=".", layout="x", channels=("t1",), labels=SPACE, cases=cases), facts)
    assert not [domain.reasons(seen_in(one, plan)) for one in facts if domain.reasons(seen_in(one, plan))]
