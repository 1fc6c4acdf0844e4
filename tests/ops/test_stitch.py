"""Numbering by blocks against numbering the whole: the same objects, the same ids, the same table."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import regionprops

from segwright.ops.windows import final_numbers, measure_parts, meetings, unite


def test_parts_equal_regionprops():
    rng = np.random.default_rng(0)
    ids, count = ndimage.label(rng.random((7, 30, 31)) < 0.2)
    scores = rng.random(ids.shape)
    parts = measure_parts(ids, count, start=(0, 0, 0), shape=ids.shape, scores=scores)
    for region in regionprops(ids, intensity_image=scores):
        row = region.label - 1
        assert parts.voxels[row] == region.area
        assert (*parts.low[row], *parts.high[row]) == region.bbox
        assert np.allclose(parts.total[row] / parts.voxels[row], region.centroid)
        assert np.isclose(parts.score[row] / parts.voxels[row], region.intensity_mean)
        assert parts.first[row] == np.flatnonzero(ids == region.label)[0]


def test_numbers_follow_the_first_voxel_and_small_objects_go():
    ids = np.array([[[0, 3, 3, 1, 0, 2]]])
    parts = measure_parts(ids, 3, start=(0, 0, 0), shape=ids.shape)
    assert final_numbers(parts).tolist() == [2, 3, 1]
    assert final_numbers(parts, smallest=2).tolist() == [0, 0, 1]


def test_rows_merge_in_any_order():
    ids = np.random.default_rng(1).integers(0, 5, (4, 6, 6))
    whole = measure_parts(ids, 4, start=(0, 0, 0), shape=ids.shape)
    halves = [measure_parts(ids[z : z + 2], 4, start=(z, 0, 0), shape=ids.shape) for z in (2, 0)]
    merged = type(whole).joined(halves).merged(np.tile(np.arange(4), 2), 4)
    for name, column in whole.columns().items():
        assert np.array_equal(column, merged.columns()[name]), name


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_meetings_count_every_pair_once(share):
    rng = np.random.default_rng(2)
    first, second = rng.integers(0, 9, 400), rng.integers(0, 3, 400)
    one, two = meetings(first, second, share)
    wanted = set()
    for a in range(1, 9):
        for b in range(1, 3):
            common = np.count_nonzero((first == a) & (second == b))
            if common > share * min(np.count_nonzero(first == a), np.count_nonzero(second == b)) and common:
                wanted.add((a, b))
    assert set(zip(one.tolist(), two.tolist(), strict=True)) == wanted


def test_unite_is_transitive():
    names, count = unite(np.array([[0, 1], [3, 4], [1, 4]]), 6)
    assert count == 3 and len(set(names[[0, 1, 3, 4]])) == 1 and names[2] != names[5]
    assert unite(np.zeros((0, 2), np.int64), 2)[1] == 2
