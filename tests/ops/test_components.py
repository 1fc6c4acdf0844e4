"""Components agree with SciPy for every connectivity, in three dimensions and in a plane."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage import measure

from segwright.core.errors import UsageError
from segwright.ops.components import (
    component_sizes,
    connected_ids,
    enclosing_box,
    label_components,
    largest_component,
    number_boxes,
)

RANKS = {6: 1, 18: 2, 26: 3}


def blobs(shape: tuple[int, ...], seed: int = 0, share: float = 0.3) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < share


@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("seed", range(3))
def test_components_are_those_of_scipy(connectivity: int, seed: int) -> None:
    mask = blobs((9, 11, 13), seed, 0.25)
    ours, count = label_components(mask, connectivity)
    theirs, expected = ndimage.label(mask, ndimage.generate_binary_structure(3, RANKS[connectivity]))
    assert count == expected
    pairs = np.unique(np.stack([ours.ravel(), theirs.ravel()]), axis=1)
    assert pairs.shape[1] == count + 1  # a one-to-one renaming
    assert sorted(component_sizes(ours, count)) == sorted(np.bincount(theirs.ravel())[1:])


@pytest.mark.parametrize(("connectivity", "rank"), [(6, 1), (4, 1), (26, 2), (8, 2), (18, 2)])
def test_a_plane_uses_planar_neighbours(connectivity: int, rank: int) -> None:
    mask = blobs((1, 20, 20), 4, 0.4)
    assert label_components(mask, connectivity)[1] == measure.label(mask[0], connectivity=rank).max()


def test_unknown_connectivity_is_named() -> None:
    with pytest.raises(UsageError, match="connectivity"):
        label_components(blobs((2, 3, 3)), 7)


def test_largest_component_is_scikit_images_largest_region() -> None:
    mask = blobs((8, 20, 20), 2, 0.2)
    regions = measure.regionprops(measure.label(mask, connectivity=3))
    kept = largest_component(mask)
    assert kept.sum() == max(region.area for region in regions)
    assert not (kept & ~mask).any()
    assert np.array_equal(largest_component(kept), kept)


def test_nothing_has_no_components() -> None:
    empty = np.zeros((2, 3, 4), bool)
    labels, count = label_components(empty)
    assert count == 0 and not labels.any() and not largest_component(empty).any()
    assert component_sizes(labels, count).size == 0


@pytest.mark.parametrize("shape", [(1, 30, 30), (12, 30, 31)])
def test_enclosing_box_is_that_of_regionprops(shape: tuple[int, ...]) -> None:
    mask = np.zeros(shape, bool)
    mask[0, 4:9, 6:7] = True
    mask[-1, 20, 3] = True
    low_high = measure.regionprops(mask.astype(np.uint8))[0].bbox
    box = enclosing_box(mask)
    assert box is not None and (*box.start, *box.stop) == low_high
    assert np.array_equal(mask[box.slices].sum(), mask.sum())


def test_enclosing_box_joins_masks_and_says_nothing_for_none() -> None:
    a, b = np.zeros((2, 3, 5, 5), bool)
    assert enclosing_box(a, b) is None
    b[1, 2, 3] = True
    assert enclosing_box(a, b) == enclosing_box(b)
    a[2, 0, 4] = True
    box = enclosing_box(a, b)
    assert box is not None and box.start == (1, 0, 3) and box.stop == (3, 3, 5)


def test_boxes_of_numbers_are_those_of_their_masks() -> None:
    numbered = np.random.default_rng(0).integers(-1, 4, (4, 6, 7)).astype(np.int16)
    numbered[numbered == 2] = 0
    assert number_boxes(numbered, 3) == [enclosing_box(numbered == value) for value in (1, 2, 3)]


@pytest.mark.parametrize(
    "shape", [(1, 1, 5), (1, 5, 5), (1, 20, 17), (1, 33, 3), (3, 1, 7), (5, 3, 1), (2, 2, 9), (3, 5, 7)]
)
@pytest.mark.parametrize("connectivity", [6, 18, 26])
def test_components_agree_with_scipy_on_any_shape(shape, connectivity):
    rank = {6: 1, 18: 2, 26: 3}[connectivity]
    structure = ndimage.generate_binary_structure(3, rank)
    for seed in range(40):
        mask = np.random.default_rng(seed).random(shape) < 0.4
        expected, number = ndimage.label(mask, structure=structure)
        found, count = label_components(mask, connectivity)
        ids = connected_ids(mask.astype(np.uint32) * 5, connectivity)
        assert count == number
        for labels in (found, ids):
            pairs = {tuple(pair) for pair in np.stack([labels.ravel(), expected.ravel()], axis=1).tolist()}
            assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def test_touching_ids_stay_apart():
    ids = np.array([[[1, 1, 2], [2, 0, 2]]], np.uint32)
    assert connected_ids(ids, 6).tolist() == [[[1, 1, 2], [3, 0, 2]]]
