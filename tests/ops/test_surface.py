"""Borders and distances agree with SciPy's erosion and exact distances, whichever way they are computed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.distance import cdist

from segwright.ops import distance
from segwright.ops.distance import border, border_distances, counting_axes


def scipy_border(mask: np.ndarray) -> np.ndarray:
    flat = mask.squeeze()
    return (flat ^ ndimage.binary_erosion(flat)).reshape(mask.shape)


@pytest.mark.parametrize("shape", [(8, 9, 10), (1, 12, 13), (5, 1, 6)])
@pytest.mark.parametrize("share", [0.2, 0.8, 0.97])
def test_border_is_mask_minus_erosion(shape: tuple[int, ...], share: float) -> None:
    mask = np.random.default_rng(0).random(shape) < share
    assert np.array_equal(border(mask), scipy_border(mask))


def test_border_of_a_crop_can_be_that_of_the_scan() -> None:
    sheet = np.ones((1, 5, 5), bool)
    assert border(sheet).sum() == 16
    assert border(sheet, axes=(0, 1, 2)).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), flat=st.booleans(), spacing=st.sampled_from([(1, 1, 1), (5.0, 0.7, 0.4)]))
def test_distances_are_the_nearest_of_all_pairs(seed: int, flat: bool, spacing: tuple[float, ...]) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.random((2, 1 if flat else 6, 9, 8)) < rng.choice([0.02, 0.2, 0.9], size=(2, 1, 1, 1))
    if not first.any() or not second.any():
        return
    scale = np.array(spacing)
    table = cdist(np.argwhere(scipy_border(first)) * scale, np.argwhere(scipy_border(second)) * scale)
    axes = counting_axes(first.shape)
    edges = border(first, axes), border(second, axes)
    ahead, back = border_distances(*edges, spacing), border_distances(*edges[::-1], spacing)
    np.testing.assert_allclose(ahead, table.min(axis=1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(back, table.min(axis=0), rtol=1e-5, atol=1e-5)


def test_tree_and_map_give_the_same_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = np.random.default_rng(3).random((2, 10, 20, 20)) < 0.05
    found = []
    for limit in (0, 10**9):
        monkeypatch.setattr(distance, "_DENSE", limit)
        found.append(border_distances(first, second, (3.0, 0.5, 0.8)))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-5)


def test_far_from_nothing() -> None:
    some, none = np.zeros((2, 2, 4, 4), bool)
    some[0, 1, 1] = True
    assert np.isinf(border_distances(some, none, (1, 1, 1))).tolist() == [True]
    assert border_distances(none, some, (1, 1, 1)).size == border_distances(none, none, (1, 1, 1)).size == 0
