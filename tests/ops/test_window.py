"""Windows cover everything evenly, and their weights are what they claim."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.utils import compute_importance_map

from segwright.ops.windows import importance_profile, total_weight, window_starts


@settings(max_examples=200, deadline=None)
@given(length=st.integers(1, 200), size=st.integers(1, 64), overlap=st.floats(0, 0.95))
def test_cover(length: int, size: int, overlap: float) -> None:
    starts = window_starts(length, size, overlap)
    assert starts[0] == 0 and starts[-1] == max(0, length - size)
    steps = np.diff(starts)
    if len(steps):
        assert steps.min() >= 1 and steps.max() - steps.min() <= 1
        assert steps.max() <= max(1, np.ceil(size * (1 - overlap)))
        total = total_weight(importance_profile(size), starts, length)
        assert (total > 0).all()


@settings(max_examples=30, deadline=None)
@given(size=st.integers(1, 60))
def test_importance(size) -> None:
    weight = importance_profile(size)
    assert weight.shape == (size,) and weight.dtype == np.float32
    assert (weight > 0).all() and weight.max() <= 1
    np.testing.assert_allclose(weight, weight[::-1], rtol=1e-6)


def test_importance_matches_monai_away_from_the_floor() -> None:
    ours = importance_profile(32)[:, None] * importance_profile(24)
    theirs = compute_importance_map((32, 24), mode="gaussian", sigma_scale=0.125).numpy()
    middle = (slice(8, 24), slice(6, 18))
    np.testing.assert_allclose(ours[middle], theirs[middle] / theirs.max() * ours.max(), atol=2e-3)
