"""Cases unlike the others: pieces, shared voxels, and values that have no usual size."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from segwright.core.inspection import CaseFacts
from segwright.core.labels import LabelSpace
from segwright.planning.case_facts import CRUMB, piece_counts
from segwright.planning.exploration import UNUSUAL, oddities


def fact(number: int, **other) -> CaseFacts:
    usual = {
        "group": f"{number}",
        "shape": (1, 64, 64),
        "spacing": (None, None, None),
        "orientation": "SPR",
        "image_type": "uint8",
        "percentiles": ((0, 1, 50, 99, 100),),
        "mean": (50.0,),
        "std": (20.0,),
        "zero_share": 0.0,
        "content": (1, 64, 64),
        "volumes": {"a": 900},
        "pieces": {"a": 17},
    }
    return CaseFacts(case=f"c{number:02}", **{**usual, **other})


def told(facts: list[CaseFacts]) -> dict[str, list[str]]:
    found = oddities(facts, {one.case: {"a": 900.0} for one in facts})
    return {case: words for case, rows in found.items() if (words := [text for far, text in rows if far >= UNUSUAL])}


def test_a_row_of_vertebrae_drawn_as_one_ribbon_is_told() -> None:
    facts = [fact(n, pieces={"a": 1 if n == 3 else 16 + n % 3}) for n in range(12)]
    assert told(facts) == {"c03": ["a: 1 piece, usually 17, as in 1 of 12 cases"]}


def test_pieces_that_always_differ_are_not_odd() -> None:
    assert told([fact(n, pieces={"a": 1 + n % 5}) for n in range(20)]) == {}


def test_structures_drawn_on_each_other_are_told_where_they_usually_lie_apart() -> None:
    facts = [fact(n, shared=0.24 if n == 7 else 0.003) for n in range(12)]
    assert told(facts) == {"c07": ["structures share 24% of their voxels, usually 0%, as in 1 of 12 cases"]}
    assert told([fact(n, shared=0.3 + 0.01 * (n % 3)) for n in range(12)]) == {}


def test_intensities_of_two_scanners_have_no_usual_size() -> None:
    wide = ((0, 0, 2000, 4000, 4095),)
    assert list(told([fact(n, percentiles=wide) if n == 4 else fact(n) for n in range(12)])) == ["c04"]
    assert told([fact(n, percentiles=wide) if n % 3 == 0 else fact(n) for n in range(12)]) == {}


@pytest.mark.parametrize(("deviation", "unusual"), [(3.2, False), (3.4, False), (3.6, True), (4.0, True), (4.8, True)])
def test_a_case_is_unusual_from_three_and_a_half_deviations_on(deviation: float, unusual: bool) -> None:
    """By hand: sizes whose logarithms lie 0.1 about the median have the robust spread 1.4826 * 0.1 + 0.05."""
    logs = [-0.1] * 5 + [0.0] + [0.1] * 4 + [deviation * (1.4826 * 0.1 + 0.05)]
    sizes = {f"c{n:02}": {"a": 900.0 * math.exp(log)} for n, log in enumerate(logs)}
    found = oddities([fact(n) for n in range(11)], sizes)
    assert found["c10"][0][0] == pytest.approx(deviation, abs=0.01)
    assert [case for case, rows in found.items() if any(far > UNUSUAL for far, _ in rows)] == ["c10"] * unusual


def test_pieces_of_random_labels_equal_those_of_scipy() -> None:
    rng = np.random.default_rng(3)
    space = LabelSpace(structures=[{"name": "a"}, {"name": "b"}, {"name": "c"}])
    for shape in ((1, 30, 40), (7, 12, 15)):
        label = (rng.integers(0, 3, shape) * (ndimage.gaussian_filter(rng.random(shape), 1.2) > 0.5)).astype(np.uint8)
        found = piece_counts(label[None], space)
        assert "c" not in found
        for value, name in ((1, "a"), (2, "b")):
            parts, count = ndimage.label(label == value, np.ones((3, 3, 3)))
            sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
            assert found[name] == np.count_nonzero(sizes >= CRUMB * sizes.max())


def test_overlapping_planes_are_counted_each_and_ignored_voxels_not() -> None:
    space = LabelSpace(structures=[{"name": "a"}, {"name": "b"}], kind="overlapping")
    label = np.array([[[[1, 0, 1, -1]]], [[[1, 1, 1, 0]]]], np.int8)
    assert piece_counts(label, space) == {"a": 2, "b": 1}
