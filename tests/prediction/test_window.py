"""Streamed windows equal the whole-image answer, for every size, dimension and batch, and hold only a band."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.inferers import sliding_window_inference
from torch import Tensor

from segwright.core.errors import GeometryError
from segwright.core.plan import WindowPlan
from segwright.prediction.window import AxisCover, _Band, predict_slabs

RNG = np.random.default_rng(0)


def gather(image: np.ndarray, forward, **options) -> np.ndarray:
    """All slabs joined; checks that they follow one another."""
    slabs, got = [], 0
    with torch.inference_mode():
        for z0, z1, scores in predict_slabs(image, forward, **options):
            assert z0 == got and z1 > z0 and scores.shape[1] == z1 - z0 and scores.dtype == np.float32
            got = z1
            slabs.append(scores)
    assert got == image.shape[1]
    return np.concatenate(slabs, axis=1)


def identity(batch: Tensor) -> Tensor:
    return torch.cat([batch, -batch], dim=1)


sizes = st.tuples(*[st.integers(1, 19)] * 3)


@settings(max_examples=80, deadline=None)
@given(
    shape=sizes,
    size=st.tuples(*[st.integers(1, 9)] * 3),
    divisor=st.tuples(*[st.sampled_from([1, 2, 4])] * 3),
    overlap=st.floats(0, 0.8),
    batch=st.integers(1, 5),
    pad=st.sampled_from(["edge", "constant"]),
)
def test_identity_of_any_size(shape, size, divisor, overlap, batch, pad) -> None:
    image = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)

    def forward(windows: Tensor) -> Tensor:
        assert windows.shape[0] <= batch
        assert all(n % d == 0 for n, d in zip(windows.shape[2:], divisor, strict=True))
        return identity(windows)

    plan = WindowPlan(size=size, overlap=overlap, batch=batch)
    out = gather(image, forward, window=plan, divisor=divisor, pad=pad)
    np.testing.assert_allclose(out, np.concatenate([image, -image]), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 40, 50), (30, 25, 20), (5, 5, 5), (1, 1, 1)])
def test_constant_network(shape: tuple[int, int, int]) -> None:
    image = RNG.normal(size=(1, *shape)).astype(np.float32)
    out = gather(image, lambda b: torch.full_like(b, 0.3), window=WindowPlan(size=(8, 16, 16)), divisor=(1, 4, 4))
    np.testing.assert_allclose(out, 0.3, atol=1e-6)


def convolution(kernel: tuple[int, int, int]):
    weight = torch.from_numpy(RNG.normal(size=(2, 1, *kernel)).astype(np.float32))
    padding = tuple(k // 2 for k in kernel)
    return lambda batch: torch.nn.functional.conv3d(batch, weight, padding=padding)


@pytest.mark.parametrize(
    ("shape", "size", "kernel"),
    [
        ((1, 60, 70), (1, 24, 24), (1, 3, 3)),
        ((30, 34, 41), (12, 16, 16), (3, 3, 3)),
        ((40, 20, 20), (12, 24, 24), (3, 3, 3)),
    ],
)
def test_convolution_through_windows_that_discard_their_rim(shape, size, kernel) -> None:
    """Windows whose rim is excluded by context give the whole-image convolution everywhere."""
    image = RNG.normal(size=(1, *shape)).astype(np.float32)
    conv = convolution(kernel)
    context = tuple(k // 2 for k in kernel)
    grown = np.pad(image, [(0, 0), *[(c, c) for c in context]], mode="edge")
    inner = (slice(None), slice(None), *[slice(c, -c or None) for c in context])
    expected = conv(torch.from_numpy(grown)[None])[inner][0].numpy()
    window = WindowPlan(size=size, overlap=0.4, batch=3)
    out = gather(image, lambda b: conv(b)[inner], window=window, context=context, pad="edge")
    # small axes are padded by the edge as well, so the answer is the same there
    np.testing.assert_allclose(out, expected, atol=2e-5)


def test_whole_image_in_one_window_is_one_unblended_forward() -> None:
    image = RNG.normal(size=(2, 9, 20, 17)).astype(np.float32)
    calls = []

    def forward(batch: Tensor) -> Tensor:
        calls.append(tuple(batch.shape))
        return batch * 3

    out = gather(image, forward, window=WindowPlan(size=(16, 32, 24)), divisor=(2, 8, 8))
    assert calls == [(1, 2, 10, 24, 24)]
    np.testing.assert_array_equal(out, image * 3)


def test_context_of_a_slab_network_beyond_the_scan() -> None:
    image = np.arange(6, dtype=np.float32).reshape(1, 6, 1, 1) * np.ones((1, 6, 4, 4), np.float32)
    window = WindowPlan(size=(1, 8, 8), batch=4)

    def forward(batch: Tensor) -> Tensor:
        return batch.mean(dim=2, keepdim=True)

    edge = gather(image, forward, window=window, context=(1, 0, 0), pad="edge")
    np.testing.assert_allclose(edge[0, :, 0, 0], [1 / 3, 1, 2, 3, 4, 14 / 3], atol=1e-6)
    zero = gather(image, forward, window=window, context=(1, 0, 0))
    np.testing.assert_allclose(zero[0, :, 0, 0], [1 / 3, 1, 2, 3, 4, 3], atol=1e-6)


def test_outside_of_a_small_scan_is_zero() -> None:
    image = np.ones((1, 3, 5, 6), np.float32)
    seen = []
    gather(image, lambda b: (seen.append(b), b)[1], window=WindowPlan(size=(8, 8, 8)), divisor=(4, 4, 4))
    assert seen[0].shape == (1, 1, 8, 8, 8) and seen[0].sum() == 90


@pytest.mark.parametrize("batch", [2, 3, 7, 50])
def test_the_batch_changes_nothing(batch: int) -> None:
    image = RNG.normal(size=(1, 13, 22, 18)).astype(np.float32)
    conv = convolution((3, 3, 3))
    one = gather(image, conv, window=WindowPlan(size=(6, 8, 8), overlap=0.5, batch=1))
    many = gather(image, conv, window=WindowPlan(size=(6, 8, 8), overlap=0.5, batch=batch))
    np.testing.assert_allclose(one, many, atol=1e-5)


def test_blending_matches_monai() -> None:
    """With a network that depends on the place in the window, the blend itself is compared."""
    image = RNG.normal(size=(1, 1, 40, 40)).astype(np.float32)
    ramp = torch.linspace(0, 1, 16).expand(1, 1, 1, 16, 16)
    theirs = sliding_window_inference(
        torch.from_numpy(image), (16, 16), 2, lambda b: b * ramp[:, :, 0], overlap=0.5, mode="gaussian"
    )
    ours = gather(image, lambda b: b * ramp, window=WindowPlan(size=(1, 16, 16), overlap=0.5))
    inner = (slice(None), slice(None), slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(ours[inner], theirs.numpy()[inner], atol=0.03)


def test_slabs_leave_early_and_only_a_band_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    held = []
    finished = _Band.finished

    def spy(self, upto):
        held.append(len(self.open))
        return finished(self, upto)

    monkeypatch.setattr(_Band, "finished", spy)
    image = np.zeros((1, 200, 8, 8), np.float32)
    read = []

    def forward(batch: Tensor) -> Tensor:
        read.append(len(batch))
        return batch

    stream = predict_slabs(image, forward, window=WindowPlan(size=(10, 8, 8), overlap=0.5, batch=2))
    z0, z1, _ = next(stream)
    assert (z0, z1) == (0, 10) and len(read) == 1, "the first slices leave after the first batch"
    for _ in stream:
        pass
    assert max(held) <= 15


def test_large_slabs_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segwright.prediction.window.SLAB_VALUES", 2 * 8 * 8)
    image = RNG.normal(size=(1, 9, 8, 8)).astype(np.float32)
    slabs = list(predict_slabs(image, lambda b: b, window=WindowPlan(size=(16, 8, 8))))
    assert [slab[:2] for slab in slabs] == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 9)]
    np.testing.assert_array_equal(np.concatenate([slab[2] for slab in slabs], axis=1), image)


def test_a_thin_volume_equals_its_plane() -> None:
    plane = RNG.normal(size=(1, 1, 30, 30)).astype(np.float32)
    conv = convolution((1, 3, 3))
    flat = gather(plane, conv, window=WindowPlan(size=(1, 16, 16)))
    stack = gather(plane.repeat(3, axis=1), conv, window=WindowPlan(size=(1, 16, 16), batch=4))
    for z in range(3):
        np.testing.assert_allclose(stack[:, z], flat[:, 0], atol=1e-5)


def test_small_axes_keep_room_for_normalisation() -> None:
    cover = AxisCover.of(3, 32, 8, 0.5)
    assert (cover.size, cover.before, cover.starts) == (16, 6, (0,))
    assert AxisCover.of(1, 1, 1, 0.5).size == 1
    assert AxisCover.of(50, 20, 8, 0.5).size == 24


def test_wrong_output_is_refused() -> None:
    with pytest.raises(GeometryError, match="another size"):
        list(
            predict_slabs(np.zeros((1, 4, 4, 4), np.float32), lambda b: b[..., :-1], window=WindowPlan(size=(4, 4, 4)))
        )


def test_half_precision_scores_and_gradients_pass() -> None:
    image = RNG.normal(size=(1, 8, 8, 8)).astype(np.float32)
    scale = torch.nn.Parameter(torch.ones(()))
    slabs = list(predict_slabs(image, lambda b: (b * scale).bfloat16(), window=WindowPlan(size=(4, 8, 8))))
    np.testing.assert_allclose(np.concatenate([s[2] for s in slabs], axis=1), image, rtol=1e-2)


def test_slices_of_slabs_count_alike_and_pixels_of_tiles_do_not() -> None:
    """Slabs of three slices, all labelled: inner slices average three votes; side by side, tiles fade over."""
    calls: list[float] = []

    def forward(windows: Tensor) -> Tensor:
        calls.append(float(len(calls)))
        return torch.full_like(windows, calls[-1])

    image = np.zeros((1, 6, 4, 4), dtype=np.float32)
    alike = gather(image, forward, window=WindowPlan(size=(3, 4, 4), overlap=0.67, blend="slices"))
    assert len(calls) == 4
    np.testing.assert_allclose(alike[0, :, 0, 0], [0, 0.5, 1, 2, 2.5, 3], atol=1e-6)
    calls.clear()
    peaked = gather(image, forward, window=WindowPlan(size=(3, 4, 4), overlap=0.67))
    assert abs(peaked[0, 1, 0, 0] - 0.0) < 0.1 < abs(alike[0, 1, 0, 0])
    calls.clear()
    tiles = gather(image[:, :3], forward, window=WindowPlan(size=(3, 4, 2), overlap=0.5, blend="slices"))
    plain = gather(image[:, :3], forward, window=WindowPlan(size=(3, 4, 2), overlap=0.5))
    np.testing.assert_allclose(tiles + len(calls) / 2, plain, atol=1e-5)
