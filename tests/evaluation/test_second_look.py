"""Planted label faults are found and named; sound labels and networks that are merely wrong are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.core.labels import LabelSpace
from segwright.evaluation.second_look import Judged, doubts, overlap_dice

NAMES = ("L1", "L2", "L3", "L4", "L5")
ROW = LabelSpace(structures=[{"name": name} for name in NAMES])
SIDES = LabelSpace(structures=[{"name": "left lung"}, {"name": "right lung"}, {"name": "heart"}], kind="overlapping")
USUAL = dict.fromkeys((*NAMES, *SIDES.names), 100 / 12000)
KNOWN = dict.fromkeys((*NAMES, *SIDES.names), 0.9)


def row(*labels: int) -> np.ndarray:
    """Boxes of 10 x 10 pixels below one another under those names; 0 leaves one out."""
    found = np.zeros((1, 1, 120, 100), np.int16)
    for place, label in enumerate(labels):
        found[0, 0, 20 * place + 5 : 20 * place + 15, 45:55] = label
    return found


def scored(space: LabelSpace, labels: np.ndarray, score: float = 1.0) -> np.ndarray:
    """Scores of a network that is that sure of those labels."""
    masks = np.stack([space.mask(labels, index) for index in range(len(space.names))])
    return (masks * round(255 * score)).astype(np.uint8)


def found(
    space: LabelSpace, reference: np.ndarray, prediction: np.ndarray, score: float = 1.0
) -> list[tuple[str, str]]:
    judged = Judged("c1", reference, prediction, scored(space, prediction, score))
    findings = doubts(judged, space, usual=USUAL, known=KNOWN)
    assert all(finding.where == "c1" and finding.level == "warning" and finding.hint for finding in findings)
    return [(finding.code, finding.what) for finding in findings]


def test_agreement_is_not_mentioned() -> None:
    assert found(ROW, row(1, 2, 3, 4, 5), row(1, 2, 3, 4, 5)) == []


@pytest.mark.parametrize(
    ("reference", "prediction", "told"),
    [
        ((0, 1, 2, 3, 4, 5), (1, 2, 3, 4, 5, 0), "moved by one: all fit if 'L1' is called 'L2', and so on"),
        ((1, 2, 3, 4, 5, 0), (0, 1, 2, 3, 4, 5), "moved by one: all fit if 'L2' is called 'L1', and so back"),
        ((5, 4, 3, 2, 1), (1, 2, 3, 4, 5), "'L1' as 'L5', 'L2' as 'L4', 'L4' as 'L2' and 1 more"),
    ],
)
def test_a_row_counted_otherwise(reference: tuple[int, ...], prediction: tuple[int, ...], told: str) -> None:
    ((code, what),) = found(ROW, row(*reference), row(*prediction))
    assert code == "names-doubtful" and told in what


def test_exchanged_sides() -> None:
    planes = np.zeros((3, 1, 60, 200), np.int8)
    planes[0, :, 10:50, 10:80], planes[1, :, 10:50, 120:190], planes[2, :, 30:50, 70:130] = 1, 1, 1
    ((_, what),) = found(SIDES, planes[[1, 0, 2]], planes)
    assert what.startswith("'left lung' and 'right lung' seem exchanged (mean Dice 1.00 instead of")


def test_a_plain_object_without_a_label_and_a_label_without_an_object() -> None:
    ((code, what),) = found(ROW, row(1, 2, 3, 0, 5), row(1, 2, 3, 4, 5))
    assert code == "unlabelled" and what.endswith("not labelled: 'L4' (score 1.00, 100 voxels at 70, 50).")
    ((code, what),) = found(ROW, row(1, 2, 3, 4, 5), row(1, 2, 3, 0, 5))
    assert code == "unseen" and what.endswith("nothing is seen: 'L4' (100 voxels at 70, 50).")
    ((_, what),) = found(ROW, row(1, 2, 3, 4, 5), row(1, 0, 0, 0, 0))
    assert what.endswith("'L4' (100 voxels at 70, 50) and 1 more."), "one line a case"


def test_an_organ_that_lies_on_another_may_be_missing() -> None:
    planes = np.zeros((3, 1, 60, 200), np.int8)
    planes[0, :, 10:50, 10:110], planes[1, :, 10:50, 120:190], planes[2, :, 30:50, 70:130] = 1, 1, 1
    without = planes * np.array([1, 1, 0], np.int8).reshape(3, 1, 1, 1)
    ((code, what),) = found(SIDES, without, planes)
    assert code == "unlabelled" and "'heart'" in what
    ((code, what),) = found(SIDES, planes, without)
    assert code == "unseen" and "'heart'" in what


def test_what_the_network_is_not_sure_of_is_no_reason() -> None:
    assert found(ROW, row(1, 2, 3, 0, 5), row(1, 2, 3, 4, 5), score=0.8) == []
    unsure = scored(ROW, row(1, 2, 3, 0, 5))
    unsure[3] = 0.1 * 255
    judged = Judged("c1", row(1, 2, 3, 4, 5), row(1, 2, 3, 0, 5), unsure)
    assert doubts(judged, ROW, usual=USUAL, known=KNOWN) == []
    sure = Judged("c1", row(1, 2, 3, 4, 5), row(1, 2, 3, 0, 5), scored(ROW, row(1, 2, 3, 0, 5)))
    assert doubts(sure, ROW, usual=USUAL, known=dict.fromkeys(NAMES, 0.4)) == [], "it finds L4 nowhere well"


@pytest.mark.parametrize(("median", "codes"), [(0.002, []), (0.69, ["names-doubtful"]), (0.7, ["names-doubtful", "x"])])
def test_a_structure_that_the_network_does_not_find_is_no_reason(median: float, codes: list[str]) -> None:
    """After five steps a network of Dice 0.002 was sure of much, and named sound labels."""
    known = dict.fromkeys(NAMES, median)

    def told(reference: np.ndarray, prediction: np.ndarray) -> list[str]:
        judged = Judged("c1", reference, prediction, scored(ROW, prediction))
        return [finding.code for finding in doubts(judged, ROW, usual=USUAL, known=known)]

    assert told(row(0, 1, 2, 3, 4, 5), row(1, 2, 3, 4, 5, 0)) == codes[:1]
    assert told(row(1, 2, 3, 0, 5), row(1, 2, 3, 4, 5)) == (["unlabelled"] if "x" in codes else [])
    assert told(row(1, 2, 3, 4, 5), row(1, 2, 3, 0, 5)) == (["unseen"] if "x" in codes else [])


def test_specks_and_edges_are_no_objects() -> None:
    prediction = row(1, 2, 3, 4, 5)
    prediction[0, 0, 2:5, 10:14] = 1
    prediction[0, 0, 85:95, 55:75] = 5
    assert found(ROW, row(1, 2, 3, 4, 5), prediction) == []


def test_nothing_labelled_and_instances() -> None:
    assert found(ROW, row(), row()) == []
    space = LabelSpace(structures=[{"name": "cell"}], kind="instances")
    judged = Judged("c1", row(1, 2), row(2, 1), np.zeros((1, 1, 120, 100), np.uint8))
    assert doubts(judged, space, usual={}, known={}) == []


@pytest.mark.parametrize("space", [ROW, LabelSpace(structures=ROW.structures, kind="overlapping")])
def test_dice_of_all_pairs_equals_that_of_masks(space: LabelSpace) -> None:
    rng, planes = np.random.default_rng(0), 1 if space.exclusive else 5
    high = 6 if space.exclusive else 2
    reference, prediction = rng.integers(0, high, (2, planes, 3, 20, 20)).astype(np.int16)
    table, own = overlap_dice(space, reference, prediction)
    for i in range(5):
        for j in range(5):
            a, b = space.mask(reference, i), space.mask(prediction, j)
            assert table[i, j] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
    assert own.tolist() == [int(space.mask(reference, k).sum()) for k in range(5)]


@pytest.mark.parametrize("space", [ROW, SIDES])
def test_what_lies_where_the_label_counts_for_nothing_is_not_doubted(space: LabelSpace) -> None:
    count = len(space.names) if space.kind == "overlapping" else 1
    reference, prediction = np.zeros((2, count, 1, 120, 100), np.int16)
    prediction[0, 0, 20:40, 20:40] = 1
    reference[:, 0, 10:50, 10:50] = -1
    assert found(space, reference, prediction) == []
