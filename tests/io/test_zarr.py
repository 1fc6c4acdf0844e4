"""Zarr 2 and 3, plain and OME: level 0, axes, units, keys, and a label in the same version."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from segwright import io
from segwright.core.errors import ReadError
from segwright.core.volume import Volume

RAW = np.arange(120, dtype=np.uint16).reshape(2, 3, 4, 5)


def ome(path, version, *, unit="micrometer", names="czyx"):
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    axes = [{"name": n, "type": "space", "unit": unit} if n in "zyx" else {"name": n, "type": "channel"} for n in names]
    if unit is None:
        axes = [{k: v for k, v in axis.items() if k != "unit"} for axis in axes]
    levels = [
        {
            "path": f"s{i}",
            "coordinateTransformations": [
                {"type": "scale", "scale": [1.0, 50.0, 4.0 * 2**i, 5.0 * 2**i]},
                {"type": "translation", "translation": [0.0, 100.0, 8.0, 0.0]},
            ],
        }
        for i in range(2)
    ]
    scales = [{"version": "0.4", "axes": axes, "datasets": levels}]
    group.attrs.update({"multiscales": scales} if version == 2 else {"ome": {"multiscales": scales}})
    group.create_array("s0", data=RAW, chunks=(1, 2, 2, 5))
    group.create_array("s1", data=RAW[:, :, ::2, ::2])
    return path


@pytest.mark.parametrize("version", [2, 3])
def test_ome_level_zero_with_units(tmp_path, version):
    volume = io.read(ome(tmp_path / "a.zarr", version))
    assert np.array_equal(volume.array(), RAW)
    assert np.allclose(volume.geometry.spacing, (0.05, 0.004, 0.005))
    assert np.allclose(volume.geometry.to_world((0, 0, 0)), (0, 0.008, 0.1))
    part = volume.data[(slice(1, 2), slice(0, 3), slice(1, 3), slice(0, 1))]
    assert np.array_equal(part, RAW[1:2, :, 1:3, :1])
    label = Volume.of((RAW[:1] > 30).astype(np.int16), volume.geometry)
    back = io.read(io.write(label, tmp_path / "b.zarr", like=volume))
    assert back.geometry == volume.geometry and back.header["zarr_format"] == version
    assert np.array_equal(back.array(), label.array()) and back.dtype == np.uint8


@pytest.mark.parametrize("version", [2, 3])
def test_smaller_copies_of_a_pyramid(tmp_path, version):
    path = ome(tmp_path / "a.zarr", version)
    (copy,) = io.read_coarser(path)
    assert np.array_equal(copy.array(), RAW[:, :, ::2, ::2]) and np.allclose(copy.geometry.spacing, (0.05, 0.008, 0.01))
    assert io.read_coarser(path, "s0")[0].geometry == copy.geometry
    zarr.create_array(str(tmp_path / "b.zarr"), data=RAW[0], zarr_format=version)
    assert io.read_coarser(tmp_path / "b.zarr") == ()
    np.save(tmp_path / "c.npy", RAW[0])
    assert io.read_coarser(tmp_path / "c.npy") == ()


def test_scale_without_unit_is_unknown(tmp_path):
    volume = io.read(ome(tmp_path / "a.zarr", 2, unit=None))
    assert volume.geometry.spacing == (None, None, None) and "no unit" in volume.header["warnings"][0]


@pytest.mark.parametrize("version", [2, 3])
def test_plain_array_and_group(tmp_path, version):
    zarr.create_array(str(tmp_path / "a.zarr"), data=RAW[0], zarr_format=version)
    assert io.sniff(tmp_path / "a.zarr") == "zarr"
    assert np.array_equal(io.read(tmp_path / "a.zarr").array()[0], RAW[0])
    group = zarr.open_group(str(tmp_path / "b"), mode="w", zarr_format=version)
    group.create_array("volumes/raw", data=RAW[0])
    assert io.read(tmp_path / "b").header["key"] == "volumes/raw"
    group.create_array("volumes/label", data=RAW[0])
    with pytest.raises(ReadError, match="several arrays"):
        io.read(tmp_path / "b")
    assert len(io.keys(tmp_path / "b")) == 2


def test_image_before_its_labels(tmp_path):
    path = ome(tmp_path / "a.zarr", 2)
    zarr.open_group(str(path), mode="a").create_array("labels/cells/0", data=RAW[0])
    assert io.read(path).header["key"] == "s0"
    assert io.read(path, key="labels/cells").header["key"] == "labels/cells/0"


def test_damage(tmp_path):
    path = ome(tmp_path / "a.zarr", 2)
    (path / "s0" / ".zarray").write_text("{")
    with pytest.raises(ReadError, match=r"a\.zarr"):
        io.read(path)
