"""Spoiled sections are found for what they are, and clean stacks raise no alarm."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from segwright.ops.section_faults import faults
from segwright.ops.sections import correlation, measure, overlap


def stack(count: int = 12, edge: int = 96, seed: int = 0) -> NDArray[np.float32]:
    """Sections of a smooth texture with grain, which changes slowly from one to the next."""
    rng = np.random.default_rng(seed)
    texture = gaussian_filter(rng.normal(size=(count + 4, edge, edge)), (2.0, 3.0, 3.0))[2:-2]
    grain = gaussian_filter(rng.normal(size=(count, edge, edge)), (0, 0.6, 0.6))
    return (100 + 40 * texture / texture.std() + 6 * grain).astype(np.float32)


def found(planes: NDArray[np.float32]) -> dict[int, str]:
    return {fault.section: fault.kind for fault in faults(measure(len(planes), lambda z: planes[z]))}


@pytest.mark.parametrize("seed", range(8))
def test_a_clean_stack_has_no_fault(seed: int) -> None:
    assert found(stack(seed=seed)) == {}


def test_a_slow_drift_of_brightness_is_no_fault() -> None:
    assert found(stack() + np.linspace(0, 120, 12, dtype=np.float32)[:, None, None]) == {}


def test_each_kind_is_named() -> None:
    planes, rng = stack(24), np.random.default_rng(1)
    planes[3] += rng.normal(0, 25, planes[3].shape)
    planes[7] = 0
    planes[11] -= 90
    planes[15] = np.roll(planes[15], (9, -14), (0, 1))
    planes[19] = gaussian_filter(planes[19], 3)
    planes[21] += 90
    wanted = {3: "noisy", 7: "missing", 11: "dark", 15: "shifted", 19: "blurred", 21: "bright"}
    assert found(planes) == wanted


@pytest.mark.parametrize("deviation", [15.0, 40.0])
def test_noise_is_measured_beneath_the_usual_grain(deviation: float) -> None:
    planes, rng = stack(24, edge=192), np.random.default_rng(1)
    noise = rng.normal(0, deviation, planes[3].shape)
    planes[3] += noise
    fault = next(one for one in faults(measure(24, lambda z: planes[z])) if one.section == 3)
    assert fault.noise == pytest.approx(float(np.abs(noise).mean()), rel=0.15)


def test_a_shift_is_measured_to_the_pixel() -> None:
    planes = stack()
    planes[5] = np.roll(planes[5], (9, -14), (0, 1))
    (fault,) = faults(measure(len(planes), lambda z: planes[z]))
    assert max(abs(fault.shift[0] + 9), abs(fault.shift[1] - 14)) <= 1


def test_short_stacks_and_flat_stacks_do_not_fail() -> None:
    assert found(stack(4)) == {}
    assert found(np.zeros((6, 16, 16), np.float32)) == {}
    planes = stack(7)
    planes[[1, 3]] = 0
    assert found(planes) == {1: "missing", 3: "missing"}


def test_correlation_is_numpys() -> None:
    a, b = stack(2)
    assert correlation(a, b) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1], abs=1e-5)


def test_overlapping_parts_hold_the_same_places() -> None:
    plane = np.arange(48, dtype=np.float32).reshape(6, 8)
    first, second = overlap(plane, np.roll(plane, (-2, 3), (0, 1)), (2, -3))
    assert np.array_equal(first, second) and first.shape == (4, 5)
