"""Objects of patches are scored as one set, by hand-computed cases, and steer the choice of weights."""

from __future__ import annotations

import pytest
import torch

from segwright.core.labels import LabelSpace
from segwright.core.plan import Plan
from segwright.train.pseudo import PseudoObjects

SHAPE = (8, 16, 32)


@pytest.fixture
def objects_plan(plan: Plan) -> Plan:
    space = LabelSpace(structures=[{"name": "cell"}], kind="instances")
    return plan.model_copy(update={"labels": space, "target": "boundary"})


def two_cells() -> torch.Tensor:
    """Ids of two boxes of 8 x 8 x 8 voxels, apart from one another."""
    ids = torch.zeros(1, 1, *SHAPE, dtype=torch.int64)
    ids[0, 0, :, 4:12, 2:10], ids[0, 0, :, 4:12, 20:28] = 1, 2
    return ids


def scores_of(ids: torch.Tensor) -> torch.Tensor:
    """Perfect scores of mask and boundary."""
    from segwright.targets import build_target

    space = LabelSpace(structures=[{"name": "cell"}], kind="instances")
    return build_target("boundary", space).encode(ids)[0]


def test_perfect_scores_find_every_object(objects_plan: Plan) -> None:
    judge = PseudoObjects(objects_plan)
    judge.add(scores_of(two_cells()), two_cells())
    judge.add(scores_of(two_cells()), two_cells())
    assert len(judge.table.reference_ids) == 4 and judge.score() == pytest.approx(1.0)


def test_half_of_the_objects_is_half_of_the_recall(objects_plan: Plan) -> None:
    """One of two objects is found, whole, and nothing else: precision is 1 at recalls from 0 to 0.5, then 0.

    That is 51 of the 101 recalls at which precision is read, the same at every IoU.
    """
    judge = PseudoObjects(objects_plan)
    found = torch.where(two_cells() == 1, 1, 0)
    judge.add(scores_of(found), two_cells())
    assert judge.score() == pytest.approx(51 / 101)


def test_merged_objects_count_less_than_parted_ones_of_the_same_voxels(objects_plan: Plan) -> None:
    ids = torch.zeros(1, 1, *SHAPE, dtype=torch.int64)
    ids[0, 0, :, 4:12, 2:10], ids[0, 0, :, 4:12, 10:18] = 1, 2
    merged, parted = PseudoObjects(objects_plan), PseudoObjects(objects_plan)
    merged.add(scores_of((ids > 0).long()), ids)
    parted.add(scores_of(ids), ids)
    assert parted.score() == pytest.approx(1.0)
    # the whole meets each half with IoU 0.5: found once at the threshold 0.5 (51 of 101), at no other of the ten
    assert merged.score() == pytest.approx(51 / 101 / 10)


def test_ignored_voxels_and_empty_patches_have_no_say(objects_plan: Plan) -> None:
    judge = PseudoObjects(objects_plan)
    judge.add(scores_of(two_cells()), torch.where(two_cells() == 2, -1, two_cells()))
    assert judge.score() == pytest.approx(1.0)
    empty = PseudoObjects(objects_plan)
    empty.add(torch.zeros(1, 2, *SHAPE), torch.zeros(1, 1, *SHAPE, dtype=torch.int64))
    assert empty.score() is None
