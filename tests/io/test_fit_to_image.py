"""The image tells how a label lies: planted flips and shifts are found, noise and symmetry are admitted."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.io.fit_to_image import Look, judge, look


def scene(seed: int, *, contrast: float, shape=(12, 40, 44)) -> tuple[np.ndarray, np.ndarray]:
    """A noisy scan and a label of one box, in one half of each axis, and one half of its slices."""
    rng = np.random.default_rng(seed)
    label = np.zeros(shape, np.uint8)
    y, x = rng.integers(3, 12, 2)
    label[1:5, y : y + 8, x : x + 9] = 1
    return (rng.normal(0, 1, shape) + contrast * label)[None], label


TURNS = {
    "stored": lambda a: a,
    "slices": lambda a: a[::-1],
    "rows": lambda a: a[:, ::-1],
    "columns": lambda a: a[:, :, ::-1],
    "moved": lambda a: np.roll(a, 8, axis=1),
}


@pytest.mark.parametrize("planted", list(TURNS))
@pytest.mark.parametrize("cases", [1, 6])
def test_a_planted_turn_is_found(planted, cases):
    looks = []
    for seed in range(cases):
        image, label = scene(seed, contrast=3.0)
        turned = {name: turn(label) for name, turn in TURNS.items()}
        moved = np.roll(image, 8, axis=2) if planted == "moved" else TURNS[planted](image[0])[None]
        looks.append({name: look(moved, laid) for name, laid in turned.items()})
    verdict = judge(looks)
    assert verdict.winner == verdict.best == planted
    assert verdict.ratios[planted] > 1.5
    assert verdict.cases == (cases, cases)


def test_noise_does_not_tell():
    """At a chance of one in twenty and less, thirty sets of scans that show nothing give no more than two verdicts."""
    wrong = 0
    for start in range(0, 180, 6):
        looks = []
        for seed in range(start, start + 6):
            image, label = scene(seed, contrast=0.0)
            looks.append({name: look(image, turn(label), seed=seed) for name, turn in TURNS.items()})
        wrong += judge(looks).winner is not None
    assert wrong <= 2


def test_a_symmetric_label_does_not_tell():
    image, label = scene(0, contrast=5.0)
    label[:] = np.maximum(label, label[::-1])
    verdict = judge([{"stored": look(image, label), "slices": look(image, label[::-1])}] * 4)
    assert verdict.winner is None
    assert verdict.cases == (0, 0)


def test_the_step_across_borders_is_that_of_a_hand_computed_scene():
    """A disc of 1 on 0: every border has a step of 1; borders moved elsewhere have one where they meet the disc's."""
    image = np.zeros((1, 1, 64, 64))
    image[0, 0, 8:16, 8:16] = 1.0
    label = image[0].astype(np.uint8)
    found = look(image, label)
    again = look(image, np.roll(label, 30, axis=2))
    assert found.ratio > 5
    assert again.ratio < 1
    assert found.contrast[1, 0] > 0


def test_weak_borders_are_told_by_intensities_that_agree_over_cases():
    """Steps that are no larger than chance, and intensities of one sign: cases agree, where one alone says nothing."""
    looks = [{"right": Look(1.0, 0.6, {(1, 0): 2.0}), "left": Look(1.0, 0.6, {(1, 0): (-1.0) ** i})} for i in range(6)]
    assert judge(looks).winner == "right"
    assert judge(looks[:2]).winner is None


def test_a_sign_test_needs_most_cases():
    """Ahead in 5 of 5 cases is a chance of 1 in 32; in 4 of 6 it is 22 in 64, and not told."""
    won = {"a": Look(2.0, 2.5, {}), "b": Look(1.0, 0.0, {})}
    lost = {"a": Look(1.0, 0.0, {}), "b": Look(2.0, 2.5, {})}
    assert judge([won] * 5).winner == "a"
    assert judge([won] * 4 + [lost] * 2).winner is None
    assert judge([lost] * 5).winner == "b"


def test_an_empty_label_fits_nothing():
    image, label = scene(0, contrast=1.0)
    assert look(image, label * 0) == Look(1.0, 0.0, {})
