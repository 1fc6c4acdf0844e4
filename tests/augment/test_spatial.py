"""The one resampling against SciPy, and motion in millimetres against geometry by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from segwright.augment.spatial import Spatial, turn, warp


def smooth(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, [min(2, n // 4) for n in shape]).astype(np.float32)


def positions(shape, matrix, offset) -> np.ndarray:
    """Input positions of every output voxel, `(3, z, y, x)`, by the formula of the docstring."""
    centre = (np.array(shape) - 1) / 2
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")) - centre[:, None, None, None]
    return np.einsum("ij,jzyx->izyx", matrix, grid) + (offset + centre)[:, None, None, None]


def inside(place: np.ndarray, shape, rim: float = 0.01) -> np.ndarray:
    top = np.array(shape)[:, None, None, None] - 1 - rim
    return ((place >= np.where(top <= 0, -1, rim)) & (place <= np.where(top <= 0, 1, top))).all(axis=0)


@settings(max_examples=25, deadline=None)
@given(
    angle=st.tuples(*[st.floats(-40, 40)] * 3),
    size=st.tuples(*[st.floats(0.7, 1.4)] * 3),
    shift=st.tuples(*[st.floats(-2, 2)] * 3),
    thin=st.booleans(),
)
def test_affine_equals_scipy(angle, size, shift, thin):
    shape = (1, 24, 20) if thin else (10, 14, 12)
    matrix = np.linalg.inv(turn(np.array([angle]))[0] * np.array(size))
    offset = np.array(shift)
    if thin:
        matrix[0], matrix[:, 0], offset[0] = (1, 0, 0), (1, 0, 0), 0
    image = smooth(shape)
    label = (image > 0.05).astype(np.int16) * 3
    centre = (np.array(shape) - 1) / 2
    expected = ndimage.affine_transform(image, matrix, offset + centre - matrix @ centre, order=1, mode="constant")
    place = positions(shape, matrix, offset)
    nearest = ndimage.map_coordinates(label, place, order=0, mode="nearest")
    got, got_label = warp(
        torch.from_numpy(image)[None, None],
        torch.from_numpy(label)[None, None],
        matrix=torch.from_numpy(matrix.astype(np.float32))[None],
        offset=torch.from_numpy(offset.astype(np.float32))[None],
        field=None,
        flat=thin,
    )
    interior = inside(place, shape)
    assert np.abs(got[0, 0].numpy() - expected)[interior].max(initial=0) < 1e-4
    halfway = np.abs(place % 1 - 0.5).min(axis=0) < 1e-3
    assert (got_label[0, 0].numpy() == nearest)[interior & ~halfway].all()


@pytest.mark.parametrize(("shape", "flat"), [((1, 30, 26), True), ((12, 16, 14), False)])
def test_elastic_equals_scipy(shape, flat):
    rng = np.random.default_rng(1)
    knots = (1, 5, 5) if flat else (5, 5, 5)
    field = rng.uniform(-1.5, 1.5, (1, 3, *knots)).astype(np.float32)
    if flat:
        field[:, 0] = 0
    steps = [np.linspace(0, k - 1, n) if n > 1 else np.zeros(1) for k, n in zip(knots, shape, strict=True)]
    fine = np.stack(
        [
            ndimage.map_coordinates(part, np.meshgrid(*steps, indexing="ij"), order=1, mode="nearest")
            for part in field[0]
        ]
    )
    matrix, offset = np.eye(3), np.zeros(3)
    place = positions(shape, matrix, offset) + fine
    image = smooth(shape, 2)
    expected = ndimage.map_coordinates(image, place, order=1, mode="nearest")
    got, _ = warp(
        torch.from_numpy(image)[None, None],
        torch.zeros(1, 1, *shape, dtype=torch.int8),
        matrix=torch.eye(3)[None],
        offset=torch.zeros(1, 3),
        field=torch.from_numpy(field),
        flat=flat,
    )
    interior = inside(place, shape)
    assert interior.mean() > 0.4
    assert np.abs(got[0, 0].numpy() - expected)[interior].max() < 1e-4


def test_folding_slices_into_channels_changes_nothing():
    image = torch.randn(2, 2, 5, 12, 10, generator=torch.Generator().manual_seed(0))
    label = (image[:, :1] > 0).to(torch.int16)
    matrix = torch.eye(3).repeat(2, 1, 1)
    matrix[:, 1:, 1:] = torch.tensor([[0.9, -0.3], [0.3, 0.9]])
    field = torch.zeros(2, 3, 1, 4, 4)
    field[:, 1:] = torch.randn(2, 2, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    settings_ = {"matrix": matrix, "offset": torch.tensor([[0.0, 0.4, -1.2]]).repeat(2, 1), "field": field}
    folded, whole = (warp(image, label, **settings_, flat=flat) for flat in (True, False))
    torch.testing.assert_close(folded[0], whole[0], atol=1e-5, rtol=1e-5)
    assert (folded[1] == whole[1]).float().mean() > 0.999


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.0, 0.8)])
@pytest.mark.parametrize(("rotation", "tilt"), [(25.0, 0.0), (0.0, 20.0), (10.0, -20.0)])
def test_a_body_turns_in_millimetres(spacing, rotation, tilt):
    """A ball off the centre lands where the rotation matrix puts it in mm, in image and in label."""
    mm, shape = np.array(spacing), np.array((47, 61, 61))
    arm = np.array([6.0, 8.0, -7.0])  # mm from the centre
    grid = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij"), axis=-1) * mm
    image = np.exp(-((grid - arm) ** 2).sum(-1) / (2 * 3.0**2)).astype(np.float32)
    label = (image > 0.2).astype(np.int16)
    part = Spatial(rotation=(rotation, rotation), tilt=(tilt, tilt), p_rotation=1, p_scale=0)
    draw = part.draw(np.random.default_rng(0), 1, (1, *shape), mm[None])
    out, out_label = part.apply(torch.from_numpy(image)[None, None], torch.from_numpy(label)[None, None], draw)
    expected = turn(np.array([[rotation, tilt, tilt]]))[0] @ arm
    for mass, voxels in ((out[0, 0].numpy(), 0.05), (out_label[0, 0].numpy().astype(float), 0.25)):
        centroid = (grid * mass[..., None]).sum((0, 1, 2)) / mass.sum()
        assert (np.abs(centroid - expected) < voxels * mm).all()


def test_scale_enlarges_and_shift_moves_the_content_forward():
    image = torch.zeros(1, 1, 1, 41, 41)
    image[..., 15:26, 15:26] = 1
    label = image.to(torch.int16)
    rng = np.random.default_rng(0)
    bigger = Spatial(p_rotation=0, p_scale=1, scale=(1.5, 1.5))
    out = bigger.apply(image, label, bigger.draw(rng, 1, (1, 1, 41, 41)))[1]
    assert out.sum() / label.sum() == pytest.approx(1.5**2, rel=0.1)
    moved = Spatial(p_rotation=0, p_scale=0, p_shift=1, shift=(5 / 41, 5 / 41))
    out, out_label = moved.apply(image, label, moved.draw(rng, 1, (1, 1, 41, 41)))
    torch.testing.assert_close(out[..., 20:31, 20:31], torch.ones(1, 1, 1, 11, 11), atol=1e-4, rtol=0)
    assert out_label.nonzero().float().mean(0)[3:].tolist() == [25, 25]


@pytest.mark.parametrize("shape", [(3, 1, 1, 48, 48), (3, 1, 20, 24, 24)])
def test_image_and_label_stay_aligned(shape):
    """The image shows its label; after moving both, rounding the image gives the label again off the edges."""
    blobs = np.stack([smooth(shape[2:], seed) for seed in range(shape[0])])[:, None]
    label = torch.from_numpy((blobs > np.quantile(blobs, 0.7)).astype(np.int16))
    part = Spatial(p_rotation=1, p_scale=1, p_shift=1, shift=(-0.1, 0.1), p_elastic=1, elastic=(0.1, 0.25))
    draw = part.draw(np.random.default_rng(0), shape[0], shape[1:])
    out, out_label = part.apply(label.float(), label, draw)
    sure = (out < 0.25) | (out > 0.75)
    assert sure.float().mean() > 0.7
    agree = out.round().to(torch.int16) == out_label
    assert agree[sure].float().mean() > 0.99
    assert agree.float().mean() > 0.95


@pytest.mark.parametrize("in_plane", [True, False])
def test_in_plane_leaves_slices_where_they_are(in_plane):
    image = torch.arange(6.0).reshape(1, 1, 6, 1, 1).expand(2, 1, 6, 16, 16).contiguous()
    part = Spatial(p_rotation=1, p_scale=1, p_shift=1, shift=(0.1, 0.2), in_plane=in_plane)
    draw = part.draw(np.random.default_rng(0), 2, (1, 6, 16, 16), np.array([[5.0, 1, 1], [np.nan, 1, 1]]))
    out, _ = part.apply(image, image.to(torch.int16), draw)
    centre = out[..., 7:9, 7:9]
    kept = torch.allclose(centre, image[..., 7:9, 7:9], atol=1e-4)
    assert kept is in_plane


def test_unknown_spacing_counts_as_the_mean_of_the_known():
    part = Spatial(p_rotation=1)
    mm = np.array([[np.nan, 2.0, 2.0], [np.nan, np.nan, np.nan]])
    with_gaps = part.draw(np.random.default_rng(0), 2, (1, 4, 8, 8), mm)
    cubes = part.draw(np.random.default_rng(0), 2, (1, 4, 8, 8))
    assert np.allclose(with_gaps.values["matrix"], cubes.values["matrix"])


def test_elastic_keeps_the_rim_and_its_declared_size():
    part = Spatial(p_rotation=0, p_scale=0, p_elastic=1, elastic=(0.3, 0.3), cells=6)
    mm = np.array([[4.0, 1.0, 2.0]])
    field = part.draw(np.random.default_rng(0), 1, (1, 20, 50, 50), mm).values["field"]
    assert field.shape == (1, 3, 6, 6, 6)
    assert not field[:, :, 0].any() and not field[..., -1].any()
    physical = np.abs(field * mm[..., None, None, None])
    assert 0.2 * 10 < physical.max() <= 0.3 * 10  # the smallest cell is 50 voxels of 1 mm over 5 gaps
    assert physical.max(axis=(0, 2, 3, 4)).min() > 2
