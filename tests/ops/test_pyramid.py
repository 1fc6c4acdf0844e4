"""Shrinking against a direct count over each window."""

from __future__ import annotations

import numpy as np
import pytest

from segwright.ops.resample import shrink_labels, shrink_scores


@pytest.mark.parametrize("factor", [(1, 2, 2), (2, 2, 2), (1, 1, 1)])
def test_labels_take_the_commonest_value(factor):
    labels = np.random.default_rng(0).integers(0, 3, (2, 4, 6, 8)).astype(np.uint16)
    small = shrink_labels(labels, factor)
    assert small.dtype == labels.dtype
    for p, z, y, x in np.ndindex(small.shape):
        a, b, c = (i * f for i, f in zip((z, y, x), factor, strict=True))
        window = labels[p, a : a + factor[0], b : b + factor[1], c : c + factor[2]]
        values, counts = np.unique(window, return_counts=True)
        assert counts[values == small[p, z, y, x]] == counts.max()


def test_scores_take_the_mean_and_odd_edges_stay():
    scores = np.random.default_rng(1).random((1, 3, 5, 7)).astype(np.float32)
    small = shrink_scores(scores, (1, 2, 2))
    assert small.shape == (1, 3, 3, 4)
    assert np.allclose(small[0, :, :2, :3], scores[0, :, :4, :6].reshape(3, 2, 2, 3, 2).mean(axis=(2, 4)))
