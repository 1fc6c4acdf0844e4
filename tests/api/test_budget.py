"""What is left of a budget is shared out, and even a budget that is used up ends."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from segwright.api.budget import LEAST_STEPS, Budget

MEASURED = SimpleNamespace(step_seconds=0.5, forward_seconds=0.1)


class Loose(SimpleNamespace):
    """A stand-in for a plan: fields may be replaced."""

    def model_copy(self, update):  # type: ignore[no-untyped-def]
        return Loose(**{**vars(self), **update})


def plan() -> Loose:
    return Loose(train=Loose(seconds=None, members=1), window=Loose(mirror=(), batch=1), why={})


@pytest.mark.parametrize("left", [-30.0, 0.0, 0.4])
def test_a_budget_used_up_still_trains_a_few_steps_and_says_so(left: float) -> None:
    made = Budget(left).allot(plan(), 2, MEASURED, [3, 3])
    assert made.train.seconds == LEAST_STEPS * MEASURED.step_seconds
    assert "too short" in made.why["train.seconds"]


def test_folds_share_what_prediction_leaves() -> None:
    made = Budget(1000.0).allot(plan(), 4, MEASURED, [5, 5, 5, 5])
    assert 0.9 * 1000 / 4 < made.train.seconds < 1000 / 4
    assert "too short" not in made.why["train.seconds"]


def test_steps_need_no_seconds() -> None:
    assert Budget(None).allot(plan(), 2, MEASURED, [3]).train.seconds is None
