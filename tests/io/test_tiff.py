"""TIFF planes and stacks: axes, spacing from OME, ImageJ and tags, inversion, and damage."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from segwright import io
from segwright.core.errors import ReadError
from segwright.core.geometry import Geometry
from segwright.core.volume import Volume

STACK = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)


def test_pages_are_slices_and_lazy(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="minisblack")
    volume = io.read(tmp_path / "a.tif")
    assert np.array_equal(volume.array()[0], STACK)
    assert volume.geometry.spacing == (None, None, None)
    part = volume.data[(slice(0, 1), slice(1, 3), slice(0, 2), slice(4, 5))]
    assert np.array_equal(part[0], STACK[1:3, :2, 4:])


def test_separate_pages(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for page in STACK:
            tif.write(page, contiguous=False, metadata=None, compression="lzw")
    assert np.array_equal(io.read(tmp_path / "a.tif").array()[0], STACK)


def test_imagej_spacing_comes_and_goes(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        STACK,
        imagej=True,
        resolution=(1 / 0.25, 1 / 0.5),
        metadata={"axes": "ZYX", "spacing": 3.0, "unit": "um"},
    )
    volume = io.read(tmp_path / "a.tif")
    assert np.allclose(volume.geometry.spacing, (3e-3, 0.5e-3, 0.25e-3))
    label = Volume.of((volume.array() > 9).astype(np.uint8), volume.geometry)
    back = io.read(io.write(label, tmp_path / "b.tif", like=volume))
    assert back.header["kind"] == "imagej"
    assert np.allclose(back.geometry.spacing, volume.geometry.spacing, rtol=1e-6)
    assert np.array_equal(back.array(), label.array())


def test_ome_channels_and_spacing(tmp_path):
    data = np.arange(120, dtype=np.uint8).reshape(2, 3, 4, 5)
    sizes = {"PhysicalSizeX": 4.6, "PhysicalSizeY": 4.7, "PhysicalSizeZ": 50, "PhysicalSizeZUnit": "nm"}
    tifffile.imwrite(
        tmp_path / "a.ome.tif", data, metadata={"axes": "CZYX", **sizes, "PhysicalSizeXUnit": "nm"}, ome=True
    )
    volume = io.read(tmp_path / "a.ome.tif")
    assert np.array_equal(volume.array(), data)
    assert np.allclose(volume.geometry.spacing, (50e-6, 4.7e-3, 4.6e-6))
    assert io.output_suffix(volume) == ".ome.tif"
    label = Volume.of((data[:1] > 7).astype(np.uint8), volume.geometry)
    path = io.write(label, tmp_path / "b.ome.tif", like=volume)
    with tifffile.TiffFile(path) as tif:
        assert tif.is_ome
    back = io.read(path)
    assert back.geometry == volume.geometry and np.array_equal(back.array(), label.array())


def test_rgb_and_transparency(tmp_path):
    rgba = np.arange(80, dtype=np.uint8).reshape(4, 5, 4)
    tifffile.imwrite(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
    volume = io.read(tmp_path / "a.tif")
    assert volume.channels == ("red", "green", "blue")
    assert np.array_equal(volume.array()[:, 0], np.moveaxis(rgba[..., :3], -1, 0))
    assert "transparency" in volume.header["warnings"][0]


def test_white_is_zero_and_bits(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK[0].astype(np.uint8), photometric="miniswhite")
    volume = io.read(tmp_path / "a.tif")
    assert np.array_equal(volume.array()[0, 0], 255 - STACK[0]) and "inverted" in volume.header["warnings"][0]
    tifffile.imwrite(tmp_path / "b.tif", STACK[0] > 7, photometric="minisblack")
    assert np.array_equal(io.read(tmp_path / "b.tif").array()[0, 0], (STACK[0] > 7).astype(np.uint8))


def test_centimetres_count_and_inches_do_not(tmp_path):
    for unit, expected in ((3, (None, 0.1, 0.05)), (2, (None, None, None))):
        tifffile.imwrite(tmp_path / "a.tif", STACK[0], resolution=(200, 100), resolutionunit=unit, metadata=None)
        assert io.read(tmp_path / "a.tif").geometry.spacing == expected


def test_grid_and_overlapping_labels_return_exactly(tmp_path):
    affine = np.array([[0.1, 0, -0.7, 3], [0, -0.6, 0, 4], [2.5, 0, 0.1, 5], [0, 0, 0, 1]])
    source = Volume.of(np.stack([STACK > 9, STACK > 30]).astype(np.uint8), Geometry((3, 4, 5), affine))
    back = io.read(io.write(source, tmp_path / "a.tif"))
    assert back.geometry == source.geometry
    assert np.array_equal(back.array(), source.array())


def test_time_without_depth(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, metadata={"axes": "TYX"})
    volume = io.read(tmp_path / "a.tif")
    assert volume.data.shape == (1, 3, 4, 5) and "time points" in volume.header["warnings"][0]


def test_damage(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.random.default_rng(0).integers(0, 9, (3, 64, 64)), compression="zlib", photometric="minisblack"
    )
    whole = path.read_bytes()
    for length in (6, 100, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(ReadError, match=r"a\.tif"):
            io.read(path).array()
