"""The overlap table against plain counting, in one piece and in blocks."""

from collections import Counter

import numpy as np
import pytest

from segwright.core.errors import GeometryError, LabelError
from segwright.metrics import contingency
from segwright.metrics.contingency import Contingency


def random_ids(seed, shape=(5, 17, 13), high=9, dtype=np.uint64):
    return np.random.default_rng(seed).integers(0, high, shape).astype(dtype)


def as_dict(table):
    return {tuple(pair): int(count) for pair, count in zip(table.pairs.tolist(), table.counts, strict=True)}


def test_counts_are_those_of_plain_counting(monkeypatch):
    monkeypatch.setattr(contingency, "BLOCK", 100)
    first, second = random_ids(0), random_ids(1)
    expected = Counter(zip(first.ravel().tolist(), second.ravel().tolist(), strict=True))
    assert as_dict(Contingency.from_arrays(first, second)) == dict(expected)


def test_blocks_sum_to_the_whole_in_any_order():
    first, second = random_ids(2), random_ids(3)
    whole = Contingency.from_arrays(first, second)
    parts = [Contingency.from_arrays(first[:, i : i + 5], second[:, i : i + 5]) for i in range(0, 17, 5)]
    for order in (parts, parts[::-1]):
        total = sum(order, Contingency.empty())
        assert np.array_equal(total.pairs, whole.pairs)
        assert np.array_equal(total.counts, whole.counts)
    assert whole.voxels == first.size


def test_ids_of_any_width_never_wrap():
    first = np.array([2**63 + 5, 65_536, 0], dtype=np.uint64)
    second = np.array([1, 2**32 + 1, 2**32 + 1], dtype=np.int64)
    assert as_dict(Contingency.from_arrays(first, second)) == {
        (2**63 + 5, 1): 1,
        (65_536, 2**32 + 1): 1,
        (0, 2**32 + 1): 1,
    }


def test_ignored_reference_voxels_count_nowhere():
    table = Contingency.from_arrays(np.array([-1, 1, -1]), np.array([4, 4, 5]))
    assert as_dict(table) == {(1, 4): 1}


def test_sizes_overlaps_and_crumbs():
    first, second = random_ids(4), random_ids(5)
    table = Contingency.from_arrays(first, second)
    sizes = Counter(first.ravel().tolist())
    assert table.reference_sizes.tolist() == [sizes[i] for i in table.reference_ids.tolist()]
    rows, columns, iou = table.overlaps()
    for row, column, value in zip(rows, columns, iou, strict=True):
        a, b = first == table.reference_ids[row], second == table.prediction_ids[column]
        assert value == pytest.approx((a & b).sum() / (a | b).sum())
    cut = table.drop_reference(int(np.median(table.reference_sizes)))
    assert cut.voxels == table.voxels
    assert cut.reference_sizes.min() >= int(np.median(table.reference_sizes))


def test_empty_tables():
    nothing = Contingency.from_arrays(np.zeros((0,), int), np.zeros((0,), int))
    assert not len(nothing.pairs) and not len((nothing + Contingency.empty()).pairs)
    blank = Contingency.from_arrays(np.zeros(4, int), np.zeros(4, int))
    assert as_dict(blank) == {(0, 0): 4} and not len(blank.reference_ids)


def test_bad_arrays_are_refused():
    with pytest.raises(GeometryError, match="one shape"):
        Contingency.from_arrays(np.zeros(3, int), np.zeros(4, int))
    with pytest.raises(LabelError, match="whole numbers"):
        Contingency.from_arrays(np.zeros(3), np.zeros(3, int))
    with pytest.raises(LabelError, match="0 or more"):
        Contingency.from_arrays(np.zeros(3, int), np.array([0, -1, 2]))
