"""What is left of a budget is shared out, and even a budget that is used up ends."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from segwright.api.budget import LEAST_STEPS, Budget, Work
from segwright.core.plan import PreparePlan

MEASURED = SimpleNamespace(step_seconds=0.5, forward_seconds=0.1)


class Loose(SimpleNamespace):
    """A stand-in for a plan: fields may be replaced."""

    def model_copy(self, update):  # type: ignore[no-untyped-def]
        return Loose(**{**vars(self), **update})


def plan() -> Loose:
    window = Loose(mirror=(1,), size=(1, 64, 64), overlap=0.5)
    prepare = PreparePlan(normalise=())
    sample = Loose(patch=(1, 32, 64))
    return Loose(train=Loose(seconds=None, members=1), window=window, prepare=prepare, sample=sample, why={})


@pytest.mark.parametrize("left", [-30.0, 0.0, 0.4])
def test_a_budget_used_up_still_trains_a_few_steps_and_says_so(left: float) -> None:
    made = Budget(left).allot(plan(), MEASURED, Work((3, 3), 1))
    assert made.train.seconds == LEAST_STEPS * MEASURED.step_seconds
    assert "too short" in made.why["train.seconds"]


def test_folds_share_what_prediction_leaves() -> None:
    made = Budget(1000.0).allot(plan(), MEASURED, Work((5, 5, 5, 5), 1))
    assert 0.9 * 1000 / 4 < made.train.seconds < 1000 / 4
    assert "too short" not in made.why["train.seconds"]


def test_steps_need_no_seconds() -> None:
    assert Budget(None).allot(plan(), MEASURED, Work((3,), 1)).train.seconds is None


def test_scans_of_many_windows_leave_less_for_training() -> None:
    facts = SimpleNamespace(shape_large=(10.0, 64.0, 256.0), spacing=(None, None, None))
    work = Work.of(plan(), facts, [5])
    assert work == Work((5,), 10 * 1 * 7)
    few, many = (Budget(1000.0).allot(plan(), MEASURED, Work((5,), windows)) for windows in (1, 70))
    seconds = 69 * 5 * 2 * 0.1 * 2  # windows more, cases, mirrored copies, twice the measured patch
    assert few.train.seconds - many.train.seconds == pytest.approx(seconds, abs=0.2)


def test_prediction_never_takes_most_of_a_budget() -> None:
    made = Budget(100.0).allot(plan(), MEASURED, Work((5,), 10_000))
    assert made.train.seconds == pytest.approx(30.0)
