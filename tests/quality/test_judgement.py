"""What a model expects of a prediction, in cases made by hand: Dice, bounds, volumes, flags with their reasons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.quality.judgement import Judgement, signal_of, unit_of, volumes_of
from segwright.quality.learn import Known, learn
from segwright.quality.signals import Signals

SPACE = LabelSpace.model_validate({"structures": [{"name": "a"}, {"name": "b"}]})
GRID = Geometry.from_spacing((2, 10, 10), (10.0, 10.0, 10.0))  # a voxel is 1 ml


def signals(*dice: float) -> Signals:
    """Copies of two structures that agree by so much."""
    found = Signals()
    found.add(0, "scores", [[50 * one, 50, 50] for one in dice])
    return found


def known(number: int, a: float, b: float = 0.9, *, size: float = 20.0) -> Known:
    """A case whose copies agree as well as it does with its reference; predictions are a tenth too small."""
    predicted, reference = {"a": 0.9 * size, "b": 18.0}, {"a": size, "b": 20.0}
    return Known(f"p{number}", signals(a, b), {"a": a, "b": b}, predicted, reference)


@pytest.fixture
def judgement() -> Judgement:
    rng = np.random.default_rng(0)
    found = learn([known(n, 0.95 - 0.15 * rng.uniform(), size=20 + n) for n in range(40)], SPACE.names, "ml")
    assert found is not None
    return found


def labels(a: int, b: int) -> np.ndarray:
    flat = np.zeros(200, np.uint8)
    flat[:a], flat[a : a + b] = 1, 2
    return flat.reshape(1, 2, 10, 10)


def test_a_prediction_like_those_out_of_fold_is_not_flagged(judgement: Judgement) -> None:
    quality = judgement.judge(signals(0.9, 0.9), labels(30, 18), SPACE, GRID)
    a = quality.structures["a"]
    assert not quality.flagged and quality.reasons == ()
    assert a.expected_dice == pytest.approx(0.9, abs=0.02) and a.lower is not None and 0.8 < a.lower <= a.expected_dice
    assert a.volume == 30 and a.volume_low is not None and a.volume_low < 30 / 0.9 < (a.volume_high or 0)
    assert quality.expected_dice == pytest.approx((a.expected_dice + 0.9) / 2, abs=0.01) and a.patients == 40


@pytest.mark.parametrize(
    ("found", "sizes", "reason"),
    [
        ((0.3, 0.9), (30, 18), "copies of the answer agree less than on scans of training: a"),
        ((0.9, 0.3), (30, 18), "copies of the answer agree less than on scans of training: b"),
        ((0.9, 0.9), (0, 18), "not found, and in every scan of training: a"),
        ((0.9, 0.9), (12, 18), "much smaller than in any scan of training: a"),
        ((0.9, 0.9), (92, 18), "much larger than in any scan of training: a"),
    ],
)
def test_what_is_unlike_those_is_flagged_with_its_reason(
    judgement: Judgement, found: tuple[float, float], sizes: tuple[int, int], reason: str
) -> None:
    quality = judgement.judge(signals(*found), labels(*sizes), SPACE, GRID)
    assert quality.flagged and quality.reasons == (reason,)
    assert quality.also(["its voxels are odd"]).reasons == ("its voxels are odd", reason)


def test_few_of_the_cases_that_were_learnt_from_would_be_flagged(judgement: Judgement) -> None:
    assert judgement.flagged <= 0.05
    assert Judgement.from_json(judgement.to_json()) == judgement


def test_a_doubtful_answer_promises_less(judgement: Judgement) -> None:
    good, poor = (
        judgement.judge(signals(one, 0.9), labels(30, 18), SPACE, GRID).structures["a"] for one in (0.93, 0.5)
    )
    assert (poor.expected_dice or 1) < (good.expected_dice or 0) and (poor.lower or 0) < (good.lower or 0)
    assert (poor.volume_high or 0) - (poor.volume_low or 0) > (good.volume_high or 0) - (good.volume_low or 0)


def test_what_too_few_cases_cannot_tell_is_left_open() -> None:
    found = learn([known(n, 0.9) for n in range(4)], SPACE.names, "ml")
    assert found is not None
    quality = found.judge(signals(0.2, 0.9), labels(0, 100), SPACE, GRID)
    assert not quality.flagged and quality.expected_dice is None and quality.structures["a"].lower is None
    assert learn([replace(known(0, 0.9), signals=Signals())], SPACE.names, "ml") is None
    assert learn([], SPACE.names, "ml") is None


def test_a_structure_that_some_scans_lack_may_be_missing(judgement: Judgement) -> None:
    cases = [known(n, 0.9) for n in range(20)]
    cases[3] = replace(cases[3], predicted={"a": 0.0, "b": 18.0}, dice={"a": 0.0, "b": 0.9})
    found = learn(cases, SPACE.names, "ml")
    assert found is not None and not found.structures["a"].always and found.structures["b"].always


def test_volumes_are_told_in_the_unit_of_training() -> None:
    film = Geometry.from_spacing((1, 10, 20), (None, 0.5, 2.0))
    bare = Geometry.from_spacing((2, 10, 10))
    assert (unit_of([GRID]), unit_of([film]), unit_of([GRID, bare]), unit_of([GRID, film])) == (
        "ml", "mm2", "voxels", "voxels",
    )  # fmt: skip
    assert volumes_of(labels(30, 0), SPACE, GRID, "ml") == {"a": 30.0, "b": 0.0}
    assert volumes_of(labels(30, 5), SPACE, bare, "ml") == {"a": None, "b": None}
    assert volumes_of(labels(30, 5), SPACE, bare, "voxels") == {"a": 30.0, "b": 5.0}
    assert volumes_of(labels(30, 5)[:, :1], SPACE, film, "mm2") == {"a": 30.0, "b": 5.0}


def test_members_are_held_against_themselves_only() -> None:
    found = Signals()
    found.add(0, "mirrored", [[5, 10, 10], [0, 0, 0]])
    found.add(0, "mirrored", [[3, 10, 10], [0, 0, 0]])
    found.add(1, "mirrored", [[10, 10, 10], [1, 1, 1]])
    assert found.agreement()["mirrored"].tolist() == [(0.4 + 1) / 2, 1.0]
    assert signal_of(found, ("a", "b", "c")[:2], ("mirrored", "earlier")) == {"a": 0.7, "b": 1.0}
    again = Signals.from_data(found.to_data())
    again.merge(found)
    assert again.counts[0, "mirrored"].tolist() == [[16, 40, 40], [0, 0, 0]]
