"""Resampling against SciPy, torch and hand-computed values; labels keep their places and values."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from segwright.core.errors import UsageError
from segwright.core.labels import IGNORE, LabelSpace
from segwright.ops.resample import axis_taps, resample, resample_labels, resample_slab

RNG = np.random.default_rng(0)
SPACE = LabelSpace(structures=[{"name": name} for name in "abc"])
OVERLAP = LabelSpace(structures=[{"name": name} for name in "abc"], kind="overlapping")


def grid(old: tuple[int, ...], new: tuple[int, ...]) -> np.ndarray:
    axes = [(np.arange(n) + 0.5) * o / n - 0.5 for o, n in zip(old, new, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("new", [(5, 6, 7), (10, 13, 7), (1, 4, 9), (4, 5, 21)])
def test_matches_scipy_with_clamped_edges(order: int, new: tuple[int, int, int]) -> None:
    array = RNG.normal(size=(2, 5, 7, 9)).astype(np.float32)
    ours = resample(array, new, order=order, antialias=False)
    where = grid(array.shape[1:], new)
    if order == 0:
        where = np.floor(where + 0.5)
    theirs = [map_coordinates(channel, where, order=order, mode="nearest") for channel in array]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("new", [(8, 20, 31), (3, 9, 5)])
def test_linear_matches_torch(new: tuple[int, int, int]) -> None:
    array = RNG.normal(size=(3, 6, 11, 17)).astype(np.float32)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(array)[None], size=new, mode="trilinear", align_corners=False
    )
    np.testing.assert_allclose(resample(array, new, antialias=False), theirs[0].numpy(), atol=1e-5)


@pytest.mark.parametrize(("order", "mode"), [(1, "bilinear"), (3, "bicubic")])
@pytest.mark.parametrize("new", [(12, 15), (100, 77)])
def test_antialiased_and_cubic_match_torch_inside(order: int, mode: str, new: tuple[int, int]) -> None:
    array = RNG.normal(size=(1, 1, 60, 45)).astype(np.float32)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(array[0])[None], size=new, mode=mode, align_corners=False, antialias=True
    )[0].numpy()
    ours = resample(array, (1, *new), order=order)[0]
    inside = (slice(None), slice(4, -4), slice(4, -4))  # torch drops taps outside, we repeat the edge
    np.testing.assert_allclose(ours[inside], theirs[inside], atol=1e-4)


def test_shrinking_does_not_alias() -> None:
    stripes = np.tile(np.array([0.0, 1.0], np.float32), 500).reshape(1, 1, 1, 1000)
    np.testing.assert_allclose(resample(stripes, (1, 1, 200))[..., 1:-1], 0.5, atol=0.021)
    noise = RNG.normal(5, 1, size=(1, 1, 300, 300)).astype(np.float32)
    small = resample(noise, (1, 60, 60))
    assert abs(small.mean() - noise.mean()) < 0.01
    assert small.std() < 0.25


@settings(max_examples=60, deadline=None)
@given(
    old=st.tuples(*[st.integers(1, 12)] * 3),
    new=st.tuples(*[st.integers(1, 12)] * 3),
    order=st.sampled_from([0, 1, 3]),
    value=st.floats(-100, 100),
)
def test_constants_stay_and_shapes_fit(old, new, order, value) -> None:
    out = resample(np.full((2, *old), value, np.float32), new, order=order)
    assert out.shape == (2, *new)
    np.testing.assert_allclose(out, np.float32(value), rtol=1e-5, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(old=st.integers(4, 40), new=st.integers(4, 40), order=st.sampled_from([1, 3]))
def test_a_ramp_keeps_its_physical_place(old: int, new: int, order: int) -> None:
    ramp = ((np.arange(old) + 0.5) / old).astype(np.float32).reshape(1, 1, 1, old)
    expected = (np.arange(new) + 0.5) / new
    out = resample(ramp, (1, 1, new), order=order).ravel()
    away = 2.5 * max(1 / old, 1 / new)
    inside = (expected > away) & (expected < 1 - away)
    np.testing.assert_allclose(out[inside], expected[inside], atol=1e-5)


def test_types_and_untouched_axes() -> None:
    array = RNG.integers(0, 9, (1, 4, 4, 4)).astype(np.int16)
    assert resample(array, (4, 4, 4)) is array
    assert resample(array, (4, 4, 8), order=0).dtype == np.int16
    assert resample(array, (4, 4, 8)).dtype == np.float32
    assert resample(array.astype(np.float64), (4, 4, 8)).dtype == np.float64
    with pytest.raises(UsageError, match="order"):
        axis_taps(3, 4, 2)


@settings(max_examples=60, deadline=None)
@given(
    old=st.tuples(*[st.integers(1, 10)] * 3),
    new=st.tuples(*[st.integers(1, 10)] * 3),
    cuts=st.sets(st.integers(1, 9)),
)
def test_slabs_join_to_the_whole(old, new, cuts) -> None:
    array = np.random.default_rng(1).normal(size=(2, *old)).astype(np.float32)
    whole = resample(array, new)
    edges = [0, *sorted(cut for cut in cuts if cut < new[0]), new[0]]
    for start, stop in pairwise(edges):
        low, high = axis_taps(old[0], new[0]).rows(start, stop).span
        if old[0] == new[0]:
            low, high = start, stop
        slab = resample_slab(array[:, low:high], new, rows=(start, stop), first=low, length=old[0])
        np.testing.assert_allclose(slab, whole[:, start:stop], atol=1e-5)


def brute_labels(labels: np.ndarray, shape: tuple[int, int, int], space: LabelSpace) -> np.ndarray:
    """Straightforward one-hot route at full size."""
    closest = resample(labels, shape, order=0)
    if space.exclusive:
        shares = np.concatenate([resample((labels == v).astype(np.float32), shape) for v in range(4)])
        out = (shares > shares.max(axis=0) - 1e-6).argmax(axis=0)[None]
    else:
        out = resample((labels == 1).astype(np.float32), shape) > 0.5 + 1e-6
    return np.where(closest == IGNORE, IGNORE, out)


@pytest.mark.parametrize("space", [SPACE, OVERLAP], ids=["exclusive", "overlapping"])
@pytest.mark.parametrize("shape", [(9, 14, 10), (4, 30, 3), (18, 5, 20), (1, 1, 1), (9, 15, 21)])
def test_labels_match_the_plain_one_hot_route(space: LabelSpace, shape: tuple[int, int, int]) -> None:
    high = 4 if space.exclusive else 2
    blocks = RNG.integers(-1, high, (space.planes, 3, 5, 7)).repeat(3, 1).repeat(3, 2).repeat(3, 3)
    labels = blocks.astype(space.dtype)
    out = resample_labels(labels, shape, space=space)
    assert out.dtype == labels.dtype
    np.testing.assert_array_equal(out, brute_labels(labels, shape, space))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), shape=st.tuples(*[st.integers(1, 12)] * 3), nearest=st.booleans())
def test_labels_never_gain_values(seed, shape, nearest) -> None:
    labels = np.random.default_rng(seed).choice([IGNORE, 0, 1, 3], (1, 5, 6, 7)).astype(np.int16)
    out = resample_labels(labels, shape, space=SPACE, nearest=nearest)
    assert set(np.unique(out)) <= {IGNORE, 0, 1, 3}
    np.testing.assert_array_equal(out == IGNORE, resample(labels, shape, order=0) == IGNORE)


def test_same_shape_is_exact() -> None:
    labels = RNG.integers(0, 4, (1, 4, 5, 6)).astype(np.int16)
    assert resample_labels(labels, (4, 5, 6), space=SPACE) is labels
