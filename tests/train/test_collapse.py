"""What counts as a collapse: by hand at each bound, and a sound, slow, stuck and diverging course of losses."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.train.collapse import LEAST_STEPS, verdict

FLAT = [1.0] * 150


@pytest.mark.parametrize(
    ("steps", "progress", "best", "expected"),
    [
        (99, 0.5, 0.0, "sound"),
        (100, 0.5, 0.0, "stuck"),
        (100, 0.149, 0.0, "sound"),
        (100, 0.15, 0.0, "stuck"),
        (100, 0.649, 0.0, "stuck"),
        (100, 0.65, 0.0, "sound"),
        (100, 0.5, 0.0199, "stuck"),
        (100, 0.5, 0.02, "sound"),
    ],
)
def test_the_bounds(steps: int, progress: float, best: float, expected: str) -> None:
    assert verdict(FLAT[:steps], progress, best) == expected


@pytest.mark.parametrize(
    ("end", "expected"),
    [(0.7, "slow"), (0.88, "slow"), (0.97, "stuck"), (1.0, "stuck"), (1.03, "stuck"), (1.1, "diverged")],
)
def test_noisy_losses_that_fall_stay_or_rise(end: float, expected: str) -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, LEAST_STEPS)
    assert verdict((np.linspace(1.0, end, LEAST_STEPS) + noise).tolist(), 0.2, 0.0) == expected


def test_a_loss_that_fell_to_background_and_stays_there_is_stuck() -> None:
    assert verdict([1.0] * 50 + [0.4] * 100, 0.3, 0.0) == "stuck"


def test_losses_that_are_no_numbers_do_not_count() -> None:
    assert verdict([float("nan")] * LEAST_STEPS, 0.3, 0.0) == "sound"
    assert verdict([*FLAT, float("inf")], 0.3, 0.0) == "stuck"
