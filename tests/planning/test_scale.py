"""The physical scale is part of every plan: known spacing is stored whether scans agree or not."""

from __future__ import annotations

from typing import Any

import pytest

from segwright.core.case import Case, Dataset, LabelSource, Source
from segwright.core.inspection import CaseFacts, Inspection
from segwright.core.labels import LabelSpace
from segwright.core.plan import PreparePlan
from segwright.core.recipe import Recipe
from segwright.planning.fingerprint import Fingerprint, fingerprint, prepared_shape, prepared_steps
from segwright.planning.machine import Machine
from segwright.planning.rules import space

LAPTOP = Machine(cores=2, memory=24 * 2**30)
SPACE = LabelSpace.model_validate({"structures": [{"name": "a"}]})
Spacing = tuple[float | None, float | None, float | None]


def measured(spacings: list[Spacing], shape: tuple[int, int, int] = (20, 100, 80), **changes: Any) -> Fingerprint:
    """The fingerprint of scans of these spacings, as a pass over their files would give it."""
    facts = tuple(
        CaseFacts(
            case=f"c{i}", group=f"c{i}", shape=shape, spacing=spacing, orientation="SAR", image_type="uint8",
            percentiles=((0, 0, 5, 9, 10),), mean=(5,), std=(2,), zero_share=0, content=shape, volumes={"a": 100},
            foreground=((5, 1, 3, 7),),
        )
        for i, spacing in enumerate(spacings)
    )  # fmt: skip
    cases = tuple(
        Case(id=fact.case, images=(Source(path="a"),), label=(LabelSource(path="b"),), group=fact.group)
        for fact in facts
    )
    dataset = Dataset(root=".", layout="x", channels=("grey",), labels=SPACE, cases=cases, **changes)
    return fingerprint(dataset, Inspection(findings=(), facts=facts))


def prepared(facts: Fingerprint, **recipe: Any) -> tuple[PreparePlan, str]:
    wish = Recipe.from_data(recipe)
    (spacing, kept), why = space.scale(wish, facts, LAPTOP)
    fit, _ = space.fit(wish, facts, LAPTOP)
    return PreparePlan(orientation="SAR", spacing=spacing, kept=kept, voxel=facts.voxel, fit=fit, normalise=()), why


def test_scans_that_agree_leave_their_spacing_in_the_plan_and_keep_their_voxels() -> None:
    facts = measured([(3.0, 1.6, 1.2)] * 4 + [(3.1, 1.58, 1.21)])
    plan, why = prepared(facts)
    assert plan.spacing == (3.0, 1.6, 1.2) and "agree within 3.3 %" in why
    assert plan.size((20, 100, 80), (3.0, 1.6, 1.2)) == plan.size((20, 100, 80), (3.1, 1.58, 1.21)) == (20, 100, 80)
    assert plan.size((40, 200, 160), (1.5, 0.8, 0.6)) == plan.size((10, 50, 40), (6.0, 3.2, 2.4)) == (20, 100, 80)
    assert plan.size((20, 100, 80), (3.0, 1.6 * 1.06, 1.2)) == (20, 106, 80), "only what is beyond 5 % is resampled"
    assert prepared_shape(facts, plan) == (20, 100, 80) and prepared_steps(facts, plan) == (2.5, 1.6 / 1.2, 1.0)


def test_thick_slices_keep_the_range_that_was_seen_and_others_go_to_its_nearer_end() -> None:
    plan, why = prepared(measured([(6.0, 0.7, 0.7), (7.0, 0.75, 0.75), (8.0, 0.8, 0.8)]))
    assert plan.spacing == (None, 0.75, 0.75)
    assert plan.kept is not None and plan.kept[0] == pytest.approx((5.7, 8.4)) and "5.7 to 8.4 mm" in why
    assert [plan.size((30, 10, 10), (z, 0.75, 0.75))[0] for z in (6.0, 8.0, 2.85, 16.8)] == [30, 30, 15, 60]
    even, _ = prepared(measured([(7.0, 0.75, 0.75)] * 3))
    assert even.spacing == (7.0, 0.75, 0.75) and even.size((30, 10, 10), (3.5, 0.75, 0.75)) == (15, 10, 10)


def test_films_with_spacing_get_pixels_of_one_size_and_large_ones_the_working_size() -> None:
    facts = measured([(None, 0.2, 0.2)] * 5, (1, 2000, 1000))
    plan, why = prepared(facts)
    assert plan.spacing is not None and plan.spacing[0] is None
    assert plan.spacing[1] == plan.spacing[2] == pytest.approx(0.2 * (2e6 / 320**2) ** 0.5)
    _, height, width = prepared_shape(facts, plan)
    assert height * width == pytest.approx(320**2) and "of 2000 x 1000 pixels" in why
    assert plan.size((1, 2000, 1000), (None, 0.2, 0.2)) == plan.size((1, 1000, 500), (None, 0.4, 0.4))
    assert plan.size((1, 1000, 500), (None, 0.2, 0.2))[1] == round(height / 2), "half a film is half as large"
    small, _ = prepared(measured([(None, 0.5, 0.5)] * 5, (1, 200, 150)))
    assert small.spacing == (None, 0.5, 0.5)
    assert small.size((1, 200, 150), (None, 0.5, 0.5)) == small.size((1, 100, 75), (None, 1.0, 1.0)) == (1, 200, 150)
    asked, _ = prepared(facts, size=(500, 500))
    assert asked.size((1, 2000, 1000), (None, 0.2, 0.2)) == (1, 500, 250)


def test_films_of_several_detectors_are_as_large_as_their_millimetres_say() -> None:
    facts = measured([(None, 0.1, 0.1)] * 3 + [(None, 0.2, 0.2)], (1, 3000, 2000))
    halves = measured([(None, 0.2, 0.2)], (1, 3000, 2000))
    assert facts.extent_large == pytest.approx((None, 555, 370)) and halves.extent_large == pytest.approx(
        (None, 600, 400)
    )


def test_films_without_spacing_keep_the_working_size_and_the_plan_says_so() -> None:
    plan, why = prepared(measured([(None, None, None)] * 3, (1, 2000, 1000)))
    assert plan.spacing is None and plan.fit == (448, 224) and "working size" in why
    assert plan.size((1, 2000, 1000), (None, 0.2, 0.2)) == plan.size((1, 2000, 1000), (None, None, None))


def test_where_most_scans_state_their_spacing_it_counts_and_the_others_are_taken_as_they_lie() -> None:
    most = measured([(2.0, 1.0, 1.0)] * 3 + [(None, None, None)])
    plan, why = prepared(most)
    assert plan.spacing == (2.0, 1.0, 1.0) and "1 of 4 scans state no spacing" in why
    assert plan.size((20, 30, 40), (None, None, None)) == (20, 30, 40)
    few, why = prepared(measured([(2.0, 1.0, 1.0)] + [(None, None, None)] * 3))
    assert few.spacing is None and "unknown" in why
    films, _ = prepared(measured([(None, 0.2, 0.2)] * 3 + [(None, None, None)], (1, 2000, 1000)))
    assert films.size((1, 2000, 1000), (None, None, None)) == (1, 448, 224)


def test_nanometres_are_not_rounded_away() -> None:
    plan, _ = prepared(measured([(4.5e-5, 4.6e-6, 4.6e-6)] * 2))
    assert plan.spacing == (4.5e-5, 4.6e-6, 4.6e-6)
    assert plan.size((20, 100, 100), (4.5e-5, 4.6e-6, 4.6e-6)) == (20, 100, 100)


def test_what_a_recipe_says_is_kept() -> None:
    facts = measured([(3.0, 1.6, 1.2)] * 3)
    assert prepared(facts, spacing="native")[0].spacing is None
    plan, _ = prepared(facts, spacing=[2, 1, 1])
    assert (plan.spacing, plan.kept) == ((2, 1, 1), None) and plan.size((20, 100, 80), (3, 1.6, 1.2)) == (30, 160, 96)
    told, _ = prepared(measured([(45.0, 4.6, 4.6)] * 2, voxel=(45.0, 4.6, 4.6)))
    assert told.voxel == (45.0, 4.6, 4.6)
