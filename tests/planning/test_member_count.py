"""How many networks a fold trains: one until its time would only repeat what is known, never more than asked for."""

from __future__ import annotations

from typing import Any

import pytest

from segwright.core.recipe import Recipe
from segwright.planning.limits import Limits
from segwright.planning.rules.training import members

USUAL = Limits()
MEMBER_PASSES, MEMBER_STEPS, MEMBERS_MOST = USUAL.member_passes, USUAL.member_steps, USUAL.members_most
ROW_MEMBER_STEPS, ROW_MEMBERS_MOST = USUAL.row_member_steps, USUAL.row_members_most


def count(time: float, passes: float, target: str = "classes", **wishes: Any) -> int:
    return members(Recipe.from_data(wishes), time, 1000.0 * passes, 1000.0, target=target)[0]


@pytest.mark.parametrize(
    ("steps", "passes", "expected"),
    [
        (10 * MEMBER_STEPS, 1.9 * MEMBER_PASSES, 1),  # many cases: one network is not through with them yet
        (1.9 * MEMBER_STEPS, 10 * MEMBER_PASSES, 1),  # few cases, seen often, but few steps
        (2 * MEMBER_STEPS, 2 * MEMBER_PASSES, 2),
        (99 * MEMBER_STEPS, 99 * MEMBER_PASSES, MEMBERS_MOST),
        (0.0, 0.0, 1),
    ],
)
def test_time_is_shared_once_one_network_has_enough(steps: float, passes: float, expected: int) -> None:
    assert count(steps, passes) == expected


def test_wishes_come_first_and_counted_steps_are_for_one_network() -> None:
    assert count(1.0, 1.0, members=3) == 3
    assert count(1e6, 1e6, members=1) == 1
    assert count(1e6, 1e6, steps=10**6) == 1
    assert count(1e6, 1e6, steps=10**6, members=2) == 2


def test_rows_of_look_alikes_share_their_time_sooner() -> None:
    assert count(3 * ROW_MEMBER_STEPS, 10 * MEMBER_PASSES, "chain") == 3
    assert count(3 * ROW_MEMBER_STEPS, 10 * MEMBER_PASSES) == 1
    assert count(3 * ROW_MEMBER_STEPS, 1.5 * MEMBER_PASSES, "chain") == 1
    assert count(1e6, 1e6, "chain") == ROW_MEMBERS_MOST
