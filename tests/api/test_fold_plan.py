"""What a fold takes from labels comes from the cases it learns from, and a validation case changes nothing of it."""

from __future__ import annotations

from math import log
from types import SimpleNamespace
from typing import Any, cast

import pytest

from segwright.api.run import Run
from segwright.core.case import Fold, Split
from segwright.core.inspection import CaseFacts, Inspection
from segwright.core.labels import LabelSpace
from segwright.core.plan import RowPlan

NAMES = ("a", "b")


def facts(case: str, volume: int, row: float) -> CaseFacts:
    return CaseFacts(
        case=case, group=case, shape=(10, 10, 10), spacing=(1, 1, 1), orientation="SPR", image_type="", percentiles=(),
        mean=(), std=(), zero_share=0, content=(1, 1, 1), volumes={"a": volume, "b": 10},
        centres={"a": (row, 5, 5), "b": (row + 4, 5, 5)},
    )  # fmt: skip


def run(plan: Any, held_out: int) -> Run:
    """Twenty cases, of which one is validated: the only one that is unlike the rest."""
    cases = [facts(str(number), 100, 2) for number in range(20)]
    cases.append(facts("odd", held_out, 2.0 + held_out / 1000))
    split = Split(folds=(Fold(train=tuple(map(str, range(20))), validation=("odd",)),), groups={}, rule="")
    return cast(Run, SimpleNamespace(plan=plan, split=split, inspection=Inspection(findings=(), facts=tuple(cases))))


@pytest.fixture
def plan(plain_plan: Any) -> Any:
    labels = LabelSpace.model_validate({"structures": [{"name": name} for name in NAMES]})
    net = {"out_channels": 3, "widths": (8,), "strides": ((1, 1, 1),), "kernels": ((3, 3, 3),)}
    made = plain_plan(labels, (8, 8, 8), net, row=RowPlan(axis=0, shown=(0.5, 0.5)))
    return made.model_copy(update={"train": made.train.model_copy(update={"start": (9.0, 9.0, 9.0)})})


def test_start_scores_and_places_are_those_of_the_training_cases(plan: Any) -> None:
    found = Run.plan_of(run(plan, 900), 0)
    assert found.train.start == (round(log(1 - 0.11), 3), round(log(0.1), 3), round(log(0.01), 3))
    assert found.row is not None
    assert [place[0] for place in found.row.places] == [pytest.approx(0.25), pytest.approx(0.65)]
    assert found.row.shown == (pytest.approx(21 / 22, abs=1e-4),) * 2
    assert Run.plan_of(run(plan, 0), 0) == found


def test_a_plan_that_takes_nothing_from_labels_stays_as_it_is(plan: Any) -> None:
    bare = plan.model_copy(update={"row": None, "train": plan.train.model_copy(update={"start": ()})})
    assert Run.plan_of(run(bare, 1), 0) is bare
