"""Sides are found from labels, whatever the names, and flips are left out or exchange what changes places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests.planning.test_planner import facts as fingerprint_facts

from segwright.core.inspection import CaseFacts
from segwright.core.labels import LabelSpace
from segwright.core.recipe import Recipe
from segwright.planning.case_facts import centres_and_forms
from segwright.planning.fingerprint import turn
from segwright.planning.rules import sides as rule
from segwright.planning.sides import Sides, sides_of

#: Structures of a drawn body: centre from the middle and half axes, in voxels `(z, y, x)`, and tilt of the y-x plane.
BODY = {
    "a": ((0, 2, -14), (6, 4, 3), 0.5),
    "b": ((1, 2, 14), (6, 4, 3), -0.5),
    "liver": ((3, 0, 9), (4, 9, 12), 0.0),
}


def draw(parts: dict[str, Any], rng: np.random.Generator, *, flip: bool = False, shape=(32, 40, 56)) -> np.ndarray:
    """Overlapping planes `(K, z, y, x)` of tilted ellipsoids about a middle that moves from case to case."""
    grid = np.stack(np.meshgrid(*(np.arange(n) - n / 2 for n in shape), indexing="ij"))
    shift = rng.uniform(-4, 4, 3)
    planes = []
    for centre, half, tilt in parts.values():
        z, y, x = grid - (np.array(centre) + shift + rng.normal(0, 0.7, 3)).reshape(3, 1, 1, 1)
        size = np.array(half) * rng.uniform(0.9, 1.1, 3)
        planes.append((z / size[0]) ** 2 + ((y + tilt * x) / size[1]) ** 2 + (x / size[2]) ** 2 <= 1)
    label = np.stack(planes).astype(np.int8)
    return label[..., ::-1] if flip else label


def space_of(names) -> LabelSpace:
    return LabelSpace.model_validate({"structures": [{"name": name} for name in names], "kind": "overlapping"})


def facts_of(label: np.ndarray, names, number: int = 0, *, orientation="SAR", spacing=(1.0, 1.0, 1.0)) -> CaseFacts:
    centres, forms = centres_and_forms(label, space_of(names))
    return CaseFacts(
        case=str(number), group=str(number), shape=label.shape[1:], spacing=spacing, orientation=orientation,
        image_type="uint8", percentiles=(), mean=(), std=(), zero_share=0, content=label.shape[1:],
        volumes={name: int(plane.sum()) for name, plane in zip(names, label, strict=True) if plane.any()},
        centres=centres, forms=forms,
    )  # fmt: skip


def measure(parts: dict[str, Any] = BODY, *, cases: int = 8, absent: dict[int, tuple[str, ...]] | None = None,
            flips: tuple[int, ...] = (), seed: int = 0) -> Sides:  # fmt: skip
    rng, names, found = np.random.default_rng(seed), tuple(parts), []
    for number in range(cases):
        label = draw(parts, rng, flip=number in flips)
        for name in (absent or {}).get(number, ()):
            label[names.index(name)] = 0
        found.append(facts_of(label, names, number))
    sides = sides_of(found, names, [turn(fact, "SAR") for fact in found])
    assert sides is not None
    return sides


def test_forms_are_the_moments_of_the_voxels() -> None:
    label = draw(BODY, np.random.default_rng(1))
    centres, forms = centres_and_forms(label, space_of(BODY))
    for name, plane in zip(BODY, label, strict=True):
        points = np.argwhere(plane).astype(float)
        assert centres[name] == pytest.approx(points.mean(axis=0))
        spread = np.sqrt(points.var(axis=0) + 1 / 12)  # a voxel is a cube
        shrink = points.std(axis=0) / spread
        correlated = np.corrcoef(points.T) * np.outer(shrink, shrink)
        expected = [*spread, correlated[0, 1], correlated[0, 2], correlated[1, 2], *(stats.skew(points) * shrink**3)]
        assert forms[name] == pytest.approx(expected, abs=1e-3)


def test_a_flipped_label_has_the_flipped_form() -> None:
    label = draw(BODY, np.random.default_rng(2))
    there, back = (centres_and_forms(one, space_of(BODY)) for one in (label, label[..., ::-1]))
    for name in BODY:
        assert back[0][name][2] == pytest.approx(label.shape[3] - 1 - there[0][name][2])
        assert back[1][name] == pytest.approx(np.array(there[1][name]) * [1, 1, 1, 1, -1, -1, 1, 1, -1])


def test_twins_are_found_whatever_their_names_and_organs_beside_them_do_not_matter() -> None:
    found = measure()
    assert {flip.axis: flip.pairs for flip in found.flips} == {0: (), 1: (), 2: ((0, 1),)}
    assert not any(flip.stray for flip in found.flips)


def test_what_is_found_does_not_depend_on_how_scans_are_stored() -> None:
    rng, names, found = np.random.default_rng(3), tuple(BODY), []
    for number in range(8):
        label = draw(BODY, rng)  # in the order of SAR
        if number % 2:
            label = label[:, ::-1].transpose(0, 3, 1, 2)  # stored along R, I and A
        found.append(facts_of(label, names, number, orientation="RIA" if number % 2 else "SAR"))
    sides = sides_of(found, names, [turn(fact, "SAR") for fact in found])
    assert sides is not None
    assert [flip.pairs for flip in sides.flips] == [(), (), ((0, 1),)]


def test_twins_one_above_the_other_exchange_in_a_flip_upside_down() -> None:
    parts = {"upper": ((-11, 0, 0), (3, 6, 6), 0.0), "lower": ((11, 0, 0), (3, 6, 6), 0.0)}
    assert [flip.pairs for flip in measure(parts).flips] == [((0, 1),), (), ()]


def test_missing_structures_leave_pairs_as_they_are() -> None:
    absent = {0: ("a",), 1: ("b",), 2: ("a", "b"), 3: ("liver",)}
    found = measure(absent=absent)
    assert found.flips[2].pairs == ((0, 1),) and found.rare == ()
    rare = dict.fromkeys(range(6), ("liver",))
    assert measure(absent=rare).rare == (2,)


def test_structures_that_change_sides_from_case_to_case_have_none() -> None:
    """Hands of both sides: the finger on the left is now the first, now the last."""
    assert measure(flips=(1, 3, 5, 7)).flips[2].pairs == ()


def test_one_case_in_twenty_may_lie_the_other_way_round() -> None:
    assert measure(cases=24, flips=(3,)).flips[2].pairs == ((0, 1),)
    assert measure(cases=24, flips=(3, 9, 15)).flips[2].pairs == ()


def test_shapes_that_are_no_mirror_images_are_no_twins() -> None:
    same_tilt = {**BODY, "b": ((1, 2, 14), (6, 4, 3), 0.5)}  # moved over, not flipped over
    assert measure(same_tilt).flips[2].pairs == ()
    larger = {**BODY, "b": ((1, 2, 14), (8, 5, 4), -0.5)}
    assert measure(larger).flips[2].pairs == ()
    higher = {**BODY, "b": ((11, 2, 14), (6, 4, 3), -0.5)}
    assert measure(higher).flips[2].pairs == ()


def test_a_look_alike_without_a_partner_is_told() -> None:
    found = measure({**BODY, "c": ((0, -14, 15), (6, 4, 3), 0.5)})
    assert found.flips[2].pairs == ((0, 1),)
    assert found.flips[2].stray == ((3, 1),)  # flipped it is tilted as the second


def test_too_few_cases_tell_nothing_and_one_structure_has_nothing_to_change_places_with() -> None:
    assert measure(cases=4) == Sides(cases=4)
    label = draw({"a": BODY["a"]}, np.random.default_rng(0))
    assert sides_of([facts_of(label, ("a",))] * 9, ("a",), [((0, 1, 2), (False,) * 3)] * 9) is None


def test_films_without_spacing_of_any_size_are_compared_by_shares_of_the_image() -> None:
    rng, names, found = np.random.default_rng(5), ("a", "b"), []
    for number in range(8):
        label = draw({name: BODY[name] for name in names}, rng).max(axis=1, keepdims=True)
        label = label.repeat(1 + number % 3, axis=2).repeat(1 + number % 3, axis=3)
        found.append(facts_of(label, names, number, spacing=(None, None, None)))
    sides = sides_of(found, names, [turn(fact, None) for fact in found])
    assert sides is not None
    assert {flip.axis: flip.pairs for flip in sides.flips} == {1: (), 2: ((0, 1),)}


def decide(names, sides: Sides | None, axes=(2,), recipe: dict[str, Any] | None = None, **changes: Any):
    facts = fingerprint_facts(labels=space_of(names), sides=sides, **changes)
    (kept, exchange), reason = rule.flips(axes, "proposed", Recipe.from_data(recipe or {}), facts, 2)
    return kept, exchange, reason


def test_pairs_are_exchanged_and_told() -> None:
    kept, exchange, reason = decide(("11", "21", "liver"), measure())
    assert (kept, exchange) == ((2,), {2: ((0, 1),)})
    assert "exchanges 11/21" in reason
    told = rule.measured(fingerprint_facts(labels=space_of(("11", "21", "liver")), sides=measure()))
    assert "along x 11/21 change places" in told and "along z nothing takes another's place" in told


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("left atrium", "liver", "right atrium"), "would swap 'left atrium' and 'right atrium'"),
        (("11", "21", "left kidney"), "'left kidney' has a side"),
    ],
)
def test_names_that_flips_do_not_exchange_forbid_them(names, reason) -> None:
    kept, exchange, told = decide(names, measure())
    assert (kept, exchange) == ((), {}) and reason in told


def test_strays_and_rare_structures_forbid_the_flip() -> None:
    kept, _, told = decide((*"abcd",), measure({**BODY, "c": ((0, -14, 15), (6, 4, 3), 0.5)}))
    assert kept == () and "like b, has no partner" in told
    kept, _, told = decide((*"abc",), measure(absent=dict.fromkeys(range(6), ("liver",))))
    assert kept == () and "too few cases to tell" in told


def test_few_cases_fall_back_to_names_and_then_to_care() -> None:
    few = Sides(cases=3)
    assert "'left_lung'" in decide(("left_lung", "right_lung"), few)[2]
    kept, _, told = decide(("one", "two"), few)
    assert kept == () and "3 labelled cases are too few" in told
    assert decide(("one", "two"), few, axes=(0, 1, 2), modality="em")[0] == (0, 1, 2)
    assert decide(("one",), None)[0] == (2,)


def test_what_a_recipe_asks_for_is_kept_with_names_exchanged_or_doubts_told() -> None:
    kept, exchange, _ = decide((*"abc",), measure(), axes=(1, 2), recipe={"mirror": ["y", "x"]})
    assert (kept, exchange) == ((1, 2), {2: ((0, 1),)})
    kept, exchange, told = decide((*"abc",), Sides(cases=2), recipe={"mirror": ["x"]})
    assert (kept, exchange) == ((2,), {}) and "doubtful along x" in told


def test_a_structure_without_a_partner_that_lies_where_one_of_a_pair_comes_to_lie_is_told() -> None:
    lobe = {**BODY, "middle": ((1, 2, 14), (4, 2, 2), 0.0)}  # small beside the second of the pair, as a middle lobe
    assert measure(lobe).flips[2].stray == ((3, 0),)
