"""Geometry: every operation is checked through world coordinates, over all 48 orientations and sheared affines."""

from __future__ import annotations

import itertools

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segwright.core.box import Box
from segwright.core.errors import GeometryError
from segwright.core.geometry import Geometry

SHAPE = (4, 5, 6)
ORIENTATIONS = [
    (order, signs) for order in itertools.permutations(range(3)) for signs in itertools.product((1.0, -1.0), repeat=3)
]


def grid(order: tuple[int, ...], signs: tuple[float, ...], *, shear: float = 0.0) -> Geometry:
    """A grid whose array axis `i` runs along world axis `order[i]` with spacing 1, 2, 3 mm, optionally sheared."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = sign * (axis + 1.0)
    affine[:3, :3] = (np.eye(3) + shear * np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]])) @ affine[:3, :3]
    affine[:3, 3] = (10.0, -20.0, 30.0)
    return Geometry(SHAPE, affine)


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_orientation_agrees_with_nibabel(order: tuple[int, ...], signs: tuple[float, ...]) -> None:
    geometry = grid(order, signs, shear=0.2)
    assert geometry.orientation == "".join(nib.aff2axcodes(geometry.affine))


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_turning_to_an_orientation_keeps_every_voxel_in_place(order: tuple[int, ...], signs: tuple[float, ...]) -> None:
    geometry = grid(order, signs, shear=0.1)
    array = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    path, flips = geometry.path_to("SPR")
    turned = geometry.permute(path).flip(flips)
    moved = np.flip(array.transpose(path), flips)
    assert turned.orientation == "SPR"
    for value in (0, 17, 119):
        before = geometry.to_world(np.argwhere(array == value)[0])
        after = turned.to_world(np.argwhere(moved == value)[0])
        np.testing.assert_allclose(before, after, atol=1e-9)


@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    target=st.tuples(*[st.integers(1, 9)] * 3),
    place=st.integers(0, 47),
)
@settings(max_examples=60, deadline=None)
def test_resampling_keeps_the_outer_faces(shape: tuple[int, ...], target: tuple[int, ...], place: int) -> None:
    base = grid(*ORIENTATIONS[place], shear=0.3)
    old = Geometry((shape[0], shape[1], shape[2]), base.affine)
    new = old.resample(target)
    for corner in itertools.product((0, 1), repeat=3):
        first = old.to_world([c * n - 0.5 for c, n in zip(corner, shape, strict=True)])
        second = new.to_world([c * n - 0.5 for c, n in zip(corner, target, strict=True)])
        np.testing.assert_allclose(first, second, atol=1e-9)


def test_crop_moves_the_origin_and_padding_is_a_crop_outside() -> None:
    geometry = grid((2, 1, 0), (1, 1, 1))
    cropped = geometry.crop(Box((1, 2, 3), (3, 4, 5)))
    assert cropped.shape == (2, 2, 2)
    np.testing.assert_allclose(cropped.to_world((0, 0, 0)), geometry.to_world((1, 2, 3)))
    padded = geometry.crop(Box((-2, 0, 0), (6, 5, 6)))
    np.testing.assert_allclose(padded.to_world((2, 0, 0)), geometry.to_world((0, 0, 0)))


def test_world_and_index_are_inverse_for_a_sheared_grid() -> None:
    geometry = grid((1, 2, 0), (1, -1, 1), shear=0.4)
    points = np.random.default_rng(0).normal(size=(7, 3))
    np.testing.assert_allclose(geometry.to_index(geometry.to_world(points)), points, atol=1e-12)


def test_unknown_spacing_stays_unknown_through_every_operation() -> None:
    image = Geometry.from_spacing((1, 8, 6), (None, None, 0.5))
    assert image.spacing == (None, None, 0.5)
    assert image.resample((1, 4, 3)).spacing == (None, None, 1.0)
    assert image.crop(Box((0, 1, 1), (1, 3, 3))).spacing == (None, None, 0.5)
    assert image.permute((0, 2, 1)).spacing == (None, 0.5, None)
    assert image.voxel_volume is None


def test_voxel_volume_is_area_for_planes_and_determinant_for_volumes() -> None:
    assert Geometry.from_spacing((1, 4, 4), (None, 0.5, 0.5)).voxel_volume == pytest.approx(0.25)
    sheared = grid((0, 1, 2), (1, 1, 1), shear=0.5)
    assert sheared.voxel_volume == pytest.approx(6.0)


def test_alignment_is_judged_in_voxels() -> None:
    geometry = Geometry.from_spacing((4, 4, 4), (1.0, 0.5, 0.5))
    shifted = geometry.affine.copy()
    shifted[0, 3] += 0.004
    near = Geometry(geometry.shape, shifted)
    assert geometry.aligned_with(near)
    assert geometry.corner_distance(near) == pytest.approx(0.008)
    shifted[0, 3] += 1
    assert not geometry.aligned_with(Geometry(geometry.shape, shifted))


@pytest.mark.parametrize(
    "affine", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.eye(3), np.diag([1.0, 0.0, 1.0, 1.0])]
)
def test_impossible_affines_are_refused(affine: np.ndarray) -> None:
    with pytest.raises(GeometryError):
        Geometry(SHAPE, affine)


def test_xyz_columns_follow_nifti() -> None:
    affine = np.diag([0.5, 1.0, 2.0, 1.0])
    geometry = Geometry.from_xyz((3, 4, 5), affine)
    assert geometry.spacing == (2.0, 1.0, 0.5)
    np.testing.assert_array_equal(geometry.affine_xyz, affine)


def test_edges_of_nanometres_are_no_degenerate_grid():
    from segwright.core.geometry import Geometry

    grid = Geometry.from_spacing((2, 3, 4), (3e-5, 8e-6, 8e-6))
    assert grid.spacing == pytest.approx((3e-5, 8e-6, 8e-6))
