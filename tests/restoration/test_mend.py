"""Spoiled sections are mended from both sides, and where that cannot be they are left and named."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.ops.section_faults import Fault
from segwright.restoration.mend import mend


def mended(faults: list[Fault], planes: np.ndarray) -> dict[int, tuple[str, np.ndarray | None, str]]:
    rows = mend(len(planes), lambda z: planes[z], faults, lambda a, b: (a + b) / 2)
    return {row.fault.section: (row.action, row.plane, row.why) for row in rows}


def planes(count: int = 8) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(100, 10, (count, 12, 9)).astype(np.float32)


def test_a_missing_section_comes_from_its_nearest_clean_neighbours() -> None:
    stack = planes()
    rows = mended([Fault(3, "missing", 0), Fault(4, "noisy", 9)], stack)
    assert rows[3][0] == "made anew"
    assert np.allclose(rows[3][1], (stack[2] + stack[5]) / 2)
    assert np.allclose(rows[4][1], (stack[2] + stack[5]) / 2)


def test_a_dark_section_keeps_its_content() -> None:
    stack = planes()
    dark = stack.copy()
    dark[4] = dark[4] * 0.3
    action, plane, _ = mended([Fault(4, "dark", -9)], dark)[4]
    assert action == "lit again"
    assert np.corrcoef(plane.ravel(), stack[4].ravel())[0, 1] == pytest.approx(1, abs=1e-5)
    assert plane.mean() == pytest.approx((stack[3].mean() + stack[5].mean()) / 2, rel=1e-4)


def test_a_shifted_section_is_moved_back_and_its_free_edge_filled() -> None:
    stack = planes()
    moved = stack.copy()
    moved[4] = np.roll(stack[4], (2, -3), (0, 1))
    action, plane, _ = mended([Fault(4, "shifted", 3, (-2, 3))], moved)[4]
    assert action == "moved back"
    assert np.array_equal(plane[:-2, 3:], stack[4][:-2, 3:])
    assert np.allclose(plane[-2:], (stack[3] + stack[5])[-2:] / 2)


def test_ends_and_long_gaps_are_left_and_named() -> None:
    rows = mended([Fault(0, "noisy", 9), *[Fault(z, "missing", 0) for z in range(2, 7)]], planes(9))
    assert rows[0] == ("left as it is", None, "no clean section within 3 on one side")
    assert rows[4][1] is not None, "three sections from both sides"
    assert rows[2][1] is None


def test_a_noisy_section_stays_where_its_noise_is_the_smaller_harm() -> None:
    stack, fault = planes(), Fault(4, "noisy", 9, noise=5.0)

    def told(error: float) -> tuple[str, str]:
        row = next(mend(len(stack), lambda z: stack[z], [fault], lambda a, b: (a + b) / 2, error=error, contrast=10.0))
        return row.action, row.why

    action, why = told(error=6.0)
    assert action == "left as it is" and "0.50 of the contrast" in why and "0.60" in why
    assert told(error=4.0) == ("made anew", "") == told(error=float("nan"))
