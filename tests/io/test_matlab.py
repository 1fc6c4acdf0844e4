"""MATLAB 5 and 7.3: rows first, slices last, planes, keys, and labels in the same arrangement."""

from __future__ import annotations

import zlib

import h5py
import numpy as np
import pytest
import scipy.io

from segwright import io
from segwright.core.errors import ReadError
from segwright.core.volume import Volume

RAW = np.arange(4 * 5 * 7, dtype=np.int16).reshape(4, 5, 7)


def save(path, version, **arrays):
    if version == 5:
        scipy.io.savemat(path, arrays)
        return path
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array.T)
    block = bytearray(path.read_bytes())
    block[:26] = b"MATLAB 7.3 MAT-file, test "
    path.write_bytes(block)
    return path


@pytest.mark.parametrize("version", [5, 7.3])
def test_volume_planes_and_label_back(tmp_path, version):
    path = save(tmp_path / "a.mat", version, I=RAW)
    volume = io.read(path)
    assert np.array_equal(volume.array()[0], RAW.transpose(2, 0, 1))
    part = volume.data[(slice(0, 1), slice(2, 4), slice(0, 1), slice(1, 5))]
    assert np.array_equal(part[0], RAW.transpose(2, 0, 1)[2:4, :1, 1:])
    assert np.array_equal(io.read_planes(path).array()[:, 0], RAW.transpose(2, 0, 1))
    out = io.write(Volume.of(volume.array() % 4, volume.geometry), tmp_path / "b.mat", like=volume)
    assert np.array_equal(scipy.io.loadmat(out)["I"], RAW % 4)


@pytest.mark.parametrize("version", [5, 7.3])
def test_keys_and_colour(tmp_path, version):
    path = save(tmp_path / "a.mat", version, I=RAW, GT=(RAW > 9).astype(np.uint8), p=np.array([[1.0]]))
    assert {(info.name, info.shape) for info in io.keys(path)} == {("I", (4, 5, 7)), ("GT", (4, 5, 7))}
    with pytest.raises(ReadError, match="key:"):
        io.read(path)
    assert io.read(path, key="GT").data.shape == (1, 7, 4, 5)
    colour = io.read(save(tmp_path / "b.mat", version, rgb=np.zeros((4, 5, 3), np.uint8)))
    assert colour.data.shape == (3, 1, 4, 5)
    four = io.read(save(tmp_path / "c.mat", version, v=np.arange(4 * 5 * 6 * 2.0).reshape(4, 5, 6, 2)))
    assert four.data.shape == (2, 6, 4, 5)


def test_overlapping_labels_go_last(tmp_path):
    source = io.read(save(tmp_path / "a.mat", 5, I=RAW))
    masks = np.zeros((3, 7, 4, 5), np.uint8)
    masks[1, 2, 3, 4] = 1
    out = scipy.io.loadmat(io.write(Volume.of(masks, source.geometry), tmp_path / "b.mat", like=source))["I"]
    assert out.shape == (4, 5, 7, 3) and out[3, 4, 2, 1] == 1 and out.sum() == 1


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", [0, 14, 77])
def test_numbers_of_no_type_of_number_are_refused(tmp_path, packed, kind):
    """SciPy's reader ends the process there, so it is never asked."""
    scipy.io.savemat(tmp_path / "a.mat", {"image": RAW})
    data = bytearray((tmp_path / "a.mat").read_bytes())
    at = data.index(b"image") + 8  # the name fills a tag of eight bytes
    assert int.from_bytes(data[at : at + 4], "little") == 3  # int16
    data[at : at + 4] = kind.to_bytes(4, "little")
    if packed:
        inner = zlib.compress(bytes(data[128:]))
        data[128:] = (15).to_bytes(4, "little") + len(inner).to_bytes(4, "little") + inner
    (tmp_path / "a.mat").write_bytes(data)
    with pytest.raises(ReadError, match="no type of number"):
        io.read(tmp_path / "a.mat")
