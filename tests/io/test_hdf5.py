"""HDF5: which array is meant, axes, spacing attributes, and labels in the source's own place."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from segwright import io
from segwright.core.errors import ReadError
from segwright.core.volume import Volume

RAW = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)


def store(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name.replace("__", "/")] = array
    return path


def test_only_array_is_taken_and_sliced(tmp_path):
    volume = io.read(store(tmp_path / "a.h5", volumes__raw=RAW, note=np.arange(3)))
    assert volume.header["key"] == "volumes/raw"
    assert np.array_equal(volume.data[(slice(0, 1), slice(1, 2), slice(0, 4), slice(2, 3))][0], RAW[1:2, :, 2:3])
    assert volume.geometry.spacing == (None, None, None)


def test_several_arrays_are_listed(tmp_path):
    path = store(tmp_path / "a.h5", raw=RAW, label=RAW.astype(np.int64))
    assert io.keys(path) == (("label", (3, 4, 5), "int64"), ("raw", (3, 4, 5), "uint8"))
    with pytest.raises(ReadError, match=r"raw \(3, 4, 5\) uint8") as caught:
        io.read(path)
    assert "key:" in str(caught.value.hint)
    assert io.read(path, key="label").dtype == np.int64
    with pytest.raises(ReadError, match="Did you mean 'key: label'"):
        io.read(path, key="labels")


def test_rules_for_axes(tmp_path):
    cases = {(4, 5): (1, 1, 4, 5), (4, 5, 3): (3, 1, 4, 5), (2, 3, 4, 5): (2, 3, 4, 5), (6, 4, 5, 2): (2, 6, 4, 5)}
    for shape, expected in cases.items():
        volume = io.read(store(tmp_path / "a.h5", raw=np.zeros(shape, np.uint8)))
        assert volume.data.shape == expected
    assert io.read(store(tmp_path / "a.h5", raw=np.zeros((4, 5, 3), np.float32))).data.shape == (1, 4, 5, 3)
    assert io.read_planes(store(tmp_path / "a.h5", raw=np.zeros((4, 5, 7)))).data.shape == (7, 1, 4, 5)
    assert io.read(store(tmp_path / "a.h5", raw=np.zeros((1, 2, 3, 4, 5)))).data.shape == (2, 3, 4, 5)
    with pytest.raises(ReadError, match="2, 3 or 4 axes"):
        io.read(store(tmp_path / "a.h5", raw=np.zeros((2, 2, 3, 4, 5))))
    stated = io.read(tmp_path / "a.h5", axes="tczyx")
    assert stated.data.shape == (4, 3, 4, 5)
    with pytest.raises(ReadError, match="do not fit the array"):
        io.read(tmp_path / "a.h5", axes="zyx")


def test_spacing_attribute_and_label_back(tmp_path):
    path = store(tmp_path / "a.h5", raw=RAW)
    with h5py.File(path, "a") as file:
        file["raw"].attrs["element_size_um"] = (50.0, 4.6, 4.7)
    volume = io.read(path)
    assert np.allclose(volume.geometry.spacing, (0.05, 0.0046, 0.0047))
    label = Volume.of((volume.array() > 7).astype(np.int16), volume.geometry)
    back = io.read(io.write(label, tmp_path / "b.h5", like=volume))
    assert back.geometry == volume.geometry and back.header["key"] == "raw"
    assert np.array_equal(back.array(), label.array()) and back.dtype == np.uint8


def test_nothing_inside(tmp_path):
    with pytest.raises(ReadError, match="no array that could be a scan"):
        io.read(store(tmp_path / "a.h5", words=np.array([b"a", b"b"])))
