"""As many patches with a structure as without, where a published sampler failed too: at borders, in empty scans."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.sample import POLICIES
from segwright.sample.case import SampleCase
from segwright.sample.patches import Patches

PATCH = (8, 8, 8)


def case(number: int, box: tuple[slice, slice, slice] | None, shape: tuple[int, int, int] = (10, 40, 40)) -> SampleCase:
    label = np.zeros((1, *shape), np.int16)
    if box is not None:
        label[0][box] = 1
    spots = {0: np.argwhere(label[0])} if box is not None else {}
    return SampleCase(np.zeros((1, *shape), np.float32), label, spots, f"c{number}")


def held(patches: Patches, steps: int) -> list[bool]:
    """Whether each patch shows a structure."""
    batches = [patches.at(step).label for step in range(steps)]
    return [bool((label > 0).any()) for batch in batches for label in batch]


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_half_of_any_stretch_holds_a_structure_even_on_the_first_and_last_slices(batch: int) -> None:
    """Ten slices and patches of eight: a sampler that keeps centres half a patch from the border sees two slices."""
    corner, edge = np.s_[0:1, 0:3, 0:3], np.s_[9:10, 37:40, 37:40]
    cases = [case(0, corner), case(1, edge), case(2, None), case(3, None), case(4, None)]
    shown = held(Patches(cases, patch=PATCH, policy="equal", foreground=0.5, batch=batch, seed=3), 60 // batch)
    for stop in range(len(shown) + 1):
        assert abs(sum(shown[:stop]) - stop / 2) <= 0.5


def test_drawn_shares_are_met_to_within_one() -> None:
    cases = [case(0, np.s_[4:6, 10:14, 10:14]), case(1, None)]
    shown = held(Patches(cases, patch=PATCH, policy="equal", foreground=0.3, batch=2), 50)
    assert sum(shown) == 30


def test_without_any_structure_and_with_nothing_else_patches_still_come() -> None:
    empty = Patches([case(0, None)], patch=PATCH, policy="equal", foreground=0.5, batch=2)
    assert not any(held(empty, 4))
    full = Patches([case(0, np.s_[:, :, :])], patch=PATCH, policy="equal", foreground=0.5, batch=2)
    assert all(held(full, 4))


def test_a_patch_without_a_structure_is_the_emptiest_tried_where_none_is_empty() -> None:
    crowded = case(0, np.s_[:, :, ::7])
    policy = POLICIES.load("equal")
    boxes = [policy(crowded, np.random.default_rng(i), patch=PATCH, foreground=0.0) for i in range(20)]
    assert {int((crowded.label[0][box.slices] > 0).sum()) for box in boxes} == {64}


def with_tumour(number: int, tumour: bool, kind: str = "exclusive") -> SampleCase:
    """A liver through the whole scan, in some cases with a tumour in a corner."""
    planes = np.zeros((2, 10, 40, 40), np.int8)
    planes[0, :, 5:35, 5:35] = 1
    planes[1, 0:2, 6:9, 6:9] = tumour
    label = np.where(planes[1:], 2, planes[:1]).astype(np.int16) if kind == "exclusive" else planes
    spots = {index: np.argwhere(plane) for index, plane in enumerate(planes) if plane.any()}
    return SampleCase(np.zeros((1, 10, 40, 40), np.float32), label, spots, f"c{number}")


@pytest.mark.parametrize("kind", ["exclusive", "overlapping"])
def test_half_of_the_patches_hold_the_structure_that_is_sought_whatever_else_is_labelled(kind: str) -> None:
    cases = [with_tumour(0, True, kind), with_tumour(1, False, kind), with_tumour(2, False, kind)]
    patches = Patches(cases, patch=PATCH, policy="equal", foreground=0.5, batch=2, seek=(1,))
    labels = [label for step in range(20) for label in patches.at(step).label.numpy()]
    tumours = [bool((label[0] == 2).any() if kind == "exclusive" else label[1].any()) for label in labels]
    assert sum(tumours) == len(tumours) / 2
    livers = [bool((label[0] == 1).any()) for label in labels]
    assert sum(livers) > len(livers) / 2  # what is not sought is cut like background, and stays in the label


def test_a_step_stays_a_pure_function_of_its_number() -> None:
    cases = [case(0, np.s_[0:2, 0:4, 0:4]), case(1, None), case(2, None)]
    one, other = (Patches(cases, patch=PATCH, policy="equal", foreground=0.5, batch=2, seed=1) for _ in range(2))
    held(one, 7)
    assert one.draws(9) == other.draws(9)
