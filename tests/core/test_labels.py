"""Label spaces: value maps there and back, ignore, sides, and unknown values."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.core.errors import LabelError
from segwright.core.labels import IGNORE, LabelSpace


def exclusive(**more: object) -> LabelSpace:
    parts = [
        {"name": "left lung", "values": [3]},
        {"name": "right lung", "values": [700]},
        {"name": "heart", "values": [5]},
    ]
    return LabelSpace.model_validate({"structures": parts, **more})


def test_values_travel_there_and_back() -> None:
    raw = np.array([[[0, 3], [700, 5]]])
    space = exclusive()
    labels = space.from_values(raw)
    assert labels.tolist() == [[[[0, 1], [2, 3]]]]
    back = space.to_values(labels)
    assert back.dtype == np.uint16
    np.testing.assert_array_equal(back, raw)


def test_ignore_is_kept_apart_and_returned() -> None:
    space = exclusive(ignore=9)
    labels = space.from_values(np.array([[[9, 3]]]))
    assert labels.tolist() == [[[[IGNORE, 1]]]]
    assert space.ignored(labels).tolist() == [[[True, False]]]
    assert space.to_values(labels).tolist() == [[[9, 3]]]


def test_overlapping_structures_may_share_values() -> None:
    space = LabelSpace.model_validate(
        {
            "kind": "overlapping",
            "structures": [{"name": "whole", "values": [1, 2]}, {"name": "core", "values": [2]}],
            "ignore": 7,
        }
    )
    labels = space.from_values(np.array([[[0, 1, 2, 7]]]))
    assert labels.tolist() == [[[[0, 1, 1, -1]]], [[[0, 0, 1, -1]]]]
    assert space.mask(labels, 0).tolist() == [[[False, True, True, False]]]


def test_unknown_values_are_named() -> None:
    with pytest.raises(LabelError, match="Label value 4 belongs to no structure"):
        exclusive().from_values(np.array([[[4]]]))


@pytest.mark.parametrize(
    ("name", "other"),
    [("left_lung", "right_lung"), ("kidney L", "kidney R"), ("Femur-left", "femur-right"), ("lh-cortex", "rh-cortex")],
)
def test_sides_are_recognised(name: str, other: str) -> None:
    space = LabelSpace.model_validate({"structures": [{"name": name}, {"name": other}]})
    assert space.partner(0) == 1


@pytest.mark.parametrize("names", [("liver", "spleen"), ("left_lung", "heart"), ("l1", "l2")])
def test_names_without_a_pair_have_no_side(names: tuple[str, str]) -> None:
    space = LabelSpace.model_validate({"structures": [{"name": name} for name in names]})
    assert space.partner(0) is None and space.partner(1) is None


def test_masks_make_canonical_labels() -> None:
    masks = [np.array([[[1, 1, 0]]]), np.array([[[0, 1, 0]]]), np.zeros((1, 1, 3))]
    assert exclusive().from_masks(masks).tolist() == [[[[1, 2, 0]]]]
    overlapping = exclusive(kind="overlapping")
    assert overlapping.from_masks(masks)[:, 0, 0].tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_structures_without_values_are_read_back_as_they_are_written():
    """Masks of their own give structures no values; predictions store them as 1 to n and are evaluated so."""
    space = LabelSpace(structures=[{"name": "upper"}, {"name": "lower"}])
    labels = np.array([[[[0, 1, 2]]]], dtype=np.int16)
    assert np.array_equal(space.from_values(space.to_values(labels)), labels)
    with pytest.raises(LabelError, match="3 belongs to no structure"):
        space.from_values(np.array([[[3]]]))
