"""A label travels out and back through every format that stores a grid, for all orientations of the axes."""

from __future__ import annotations

import itertools

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from segwright import io
from segwright.core.geometry import Geometry
from segwright.core.volume import Volume

SHAPE = (3, 4, 5)
SPACINGS = ((1.0, 1.0, 1.0), (7.7, 1.25, 0.6), (0.05, 0.3, 2.0))
TURNS = [
    np.eye(3)[list(order)] * np.array(signs)[:, None]
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def rotation() -> np.ndarray:
    a, b, c = 0.3, -0.2, 0.15
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return x @ y @ z


KINDS = {
    "upright": np.eye(3),
    "oblique": rotation(),
    "sheared": rotation() @ np.array([[1, 0, 0.2], [0, 1, -0.1], [0, 0, 1]]),
}


def grids(kind: str):
    for turn, spacing in itertools.product(TURNS, SPACINGS):
        affine = np.eye(4)
        affine[:3, :3] = KINDS[kind] @ turn * np.array(spacing)
        affine[:3, 3] = (-101.3, 47.9, 1203.7)
        yield Geometry(SHAPE, affine)


def label() -> np.ndarray:
    voxels = np.zeros((1, *SHAPE), np.int16)
    voxels[0, 1:, 2, 1:4] = 3
    voxels[0, 0, 0, 0] = 300
    return voxels


def centroid(volume: Volume) -> np.ndarray:
    return volume.geometry.to_world(np.argwhere(volume.array()[0] == 3)).mean(axis=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
def test_out_and_back(tmp_path, suffix, kind):
    """144 grids a case: nothing moves, and a second trip through the same format changes no bit of the header."""
    for geometry in grids(kind):
        source = Volume.of(label(), geometry)
        first = io.read(io.write(source, tmp_path / f"a{suffix}"))
        step = min(geometry.lengths)
        assert geometry.corner_distance(first.geometry) < 1e-3
        assert np.allclose(first.geometry.affine[:3, :3], geometry.affine[:3, :3], atol=1e-6)
        assert np.linalg.norm(centroid(first) - centroid(source)) < 1e-3 * step
        assert first.geometry.orientation == geometry.orientation
        assert first.dtype == np.uint16
        assert np.array_equal(first.array(), label())
        again = io.read(io.write(Volume.of(label(), first.geometry), tmp_path / f"b{suffix}", like=first))
        assert again.geometry == first.geometry
        assert not first.header["warnings"]


@pytest.mark.parametrize("kind", ["upright", "oblique"])
@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
def test_other_libraries_place_voxels_where_we_do(tmp_path, suffix, kind):
    """Oracle: SimpleITK for all, nibabel for NIfTI; world positions of all corners."""
    for geometry in itertools.islice(grids(kind), 0, None, 3):
        path = io.write(Volume.of(label(), geometry), tmp_path / f"a{suffix}")
        ours = io.read(path)
        image = sitk.ReadImage(str(path))
        for index in itertools.product((0, 2), (0, 3), (0, 4)):
            lps = np.array(image.TransformIndexToPhysicalPoint([index[2], index[1], index[0]]))
            assert np.allclose(lps * (-1, -1, 1), ours.geometry.to_world(index), atol=2e-3)
        assert np.array_equal(sitk.GetArrayFromImage(image), ours.array()[0])
        if suffix == ".nii":
            other = nib.load(path)
            assert np.array_equal(other.affine, ours.geometry.affine_xyz)
            assert np.array_equal(np.asarray(other.dataobj).T, ours.array()[0])


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".hdr", ".img", ".nrrd", ".nhdr", ".mha", ".mhd"])
def test_every_suffix_and_overlapping_channels(tmp_path, suffix):
    geometry = next(iter(grids("oblique")))
    masks = np.stack([label()[0] == 3, label()[0] == 300, label()[0] > 0]).astype(np.int8)
    path = io.write(Volume.of(masks, geometry), tmp_path / f"out{suffix}")
    back = io.read(path)
    assert np.array_equal(back.array(), masks)
    assert back.dtype == np.uint8
    assert io.output_suffix(back) == suffix
    assert geometry.corner_distance(back.geometry) < 1e-3
    assert not [file.name for file in tmp_path.iterdir() if file.name.startswith(".")]


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_unknown_spacing_stays_unknown(tmp_path, suffix):
    source = Volume.of(label(), Geometry.from_spacing(SHAPE))
    back = io.read(io.write(source, tmp_path / f"a{suffix}"))
    assert back.geometry.spacing == (None, None, None)
    assert back.geometry == source.geometry


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_single_plane(tmp_path, suffix):
    source = Volume.of(label()[:, :1], Geometry.from_spacing((1, 4, 5), (None, 0.5, 0.25)))
    back = io.read(io.write(source, tmp_path / f"a{suffix}"))
    assert back.geometry == source.geometry
    assert np.array_equal(back.array(), source.array())
