"""What scans say of a row: places measured by hand, and refused where they say nothing; shares counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.core.inspection import CaseFacts
from segwright.core.plan import RowPlan
from segwright.core.seed import derive
from segwright.ops.ordered_labels import LEAST_BACKGROUND, PLACE_REACH, PLACE_WEIGHT, identify
from segwright.planning.places import FLOOR, row_facts

NAMES = ("a", "b", "c")
AS_IS = ((0, 1, 2), (False, False, False))
FLIPPED = ((0, 1, 2), (False, True, False))


def film(places: dict[str, float], *, length: int = 200) -> CaseFacts:
    """Facts of a film on which structures lie at those shares of its height."""
    return CaseFacts(
        case="c",
        group="p",
        shape=(1, length, 50),
        spacing=(None, None, None),
        orientation="IPL",
        image_type="uint8",
        percentiles=((0, 0, 1, 2, 2),),
        mean=(0.0,),
        std=(1.0,),
        zero_share=0.0,
        content=(1, length, 50),
        centres={name: (0.0, share * length - 0.5, 25.0) for name, share in places.items()},
    )


def films(spread: float, count: int = 40) -> list[CaseFacts]:
    """Films of many heights; whole rows lie off their usual place by `spread`."""
    rng = derive(0, "films")
    return [
        film({name: 0.2 * (i + 1) + off for i, name in enumerate(NAMES)}, length=int(rng.integers(150, 400)))
        for off in rng.normal(0, spread, count)
    ]


def test_places_are_shares_of_each_scan() -> None:
    row, why = row_facts(films(0.08), NAMES, 1, [AS_IS] * 40)
    assert row.axis == 1 and "counts beside" in why
    np.testing.assert_allclose([mean for mean, _ in row.places], [0.2, 0.4, 0.6], atol=0.04)
    np.testing.assert_allclose([deviation for _, deviation in row.places], 0.08, atol=0.02)


def test_places_hardly_moving_keep_some_doubt() -> None:
    row, _ = row_facts(films(0.001), NAMES, 1, [AS_IS] * 40)
    np.testing.assert_allclose([deviation for _, deviation in row.places], FLOOR * 0.2, rtol=1e-3)


def test_scans_stored_the_other_way_round_agree() -> None:
    straight, _ = row_facts(films(0.05), NAMES, 1, [AS_IS] * 40)
    turned, _ = row_facts(films(0.05), NAMES, 1, [FLIPPED] * 40)
    assert len(straight.places) == len(turned.places) == 3
    for (mean, one), (other, two) in zip(straight.places, turned.places, strict=True):
        assert mean == pytest.approx(1 - other, abs=1e-4) and one == pytest.approx(two, abs=1e-4)


def test_what_says_nothing_is_left_out() -> None:
    assert not row_facts(films(0.3), NAMES, 1, [AS_IS] * 40)[0].places
    few, why = row_facts(films(0.05, 9), NAMES, 1, [AS_IS] * 9)
    assert not few.places and "9" in why
    absent = [film({"a": 0.2, "b": 0.4})] * 20
    assert not row_facts(absent, NAMES, 1, [AS_IS] * 20)[0].places
    assert not row_facts([], NAMES, 1, [])[0].places


def test_scans_are_counted_that_show_a_structure() -> None:
    scans = [film({"a": 0.2, "b": 0.4, "c": 0.6})] * 3 + [film({"a": 0.2, "b": 0.4})] * 5 + [film({})]
    assert row_facts(scans, NAMES, 1, [AS_IS] * 9)[0].shown == (0.9, 0.9, 0.4)


def undecided() -> np.ndarray:
    """Scores of two boxes that look like a and b as much as like b and c."""
    scores = np.zeros((4, 1, 100, 10), np.float32)
    scores[0] = 1
    for top, names in ((35, (1, 2)), (55, (2, 3))):
        scores[0, :, top : top + 10], scores[names[0], :, top : top + 10] = 0, 0.5
        scores[names[1], :, top : top + 10] = 0.5
    return scores


@pytest.mark.parametrize(("usual", "labels"), [((0.4, 0.6, 0.8), (1, 2)), ((0.2, 0.4, 0.6), (2, 3))])
def test_places_decide_where_looks_do_not(usual: tuple[float, ...], labels: tuple[int, ...]) -> None:
    row = RowPlan(axis=1, places=tuple((mean, 0.05) for mean in usual))
    found = identify(undecided(), row=row)
    assert tuple(sorted(found.labels)) == labels
    far_off = PLACE_WEIGHT * 2 * PLACE_REACH**2 / 2
    assert found.margin == pytest.approx(far_off, rel=0.05) and identify(undecided()).margin < 0.1


def test_a_scan_of_another_part_of_the_body_is_named_by_its_looks() -> None:
    scores = undecided()
    scores[1, :, 35:45], scores[2, :, 35:45] = 0.9, 0.1  # surely a and b, though both lie far below their usual places
    scores[2, :, 55:65], scores[3, :, 55:65] = 0.9, 0.1
    row = RowPlan(axis=1, places=((0.05, 0.01), (0.1, 0.01), (0.15, 0.01)))
    alone, placed = identify(scores), identify(scores, row=row)
    assert placed.labels == alone.labels
    named, none = -np.log(0.9) + PLACE_WEIGHT * PLACE_REACH**2 / 2, -np.log(LEAST_BACKGROUND)
    assert placed.margin == pytest.approx(none - named), "the next best is to call one of them no structure"
