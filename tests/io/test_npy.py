"""NumPy files: memory-mapped slices, archives, and no pickles."""

from __future__ import annotations

import numpy as np
import pytest

from segwright import io
from segwright.core.errors import ReadError
from segwright.core.volume import Volume

RAW = np.arange(60, dtype=np.int16).reshape(3, 4, 5)


def test_array_and_label_back(tmp_path):
    np.save(tmp_path / "a.npy", RAW)
    volume = io.read(tmp_path / "a.npy")
    assert np.array_equal(volume.data[(slice(0, 1), slice(0, 2), slice(1, 2), slice(0, 5))][0], RAW[:2, 1:2])
    out = io.write(Volume.of(volume.array() % 3, volume.geometry), tmp_path / "b.npy", like=volume)
    assert np.array_equal(np.load(out), RAW % 3) and np.load(out).dtype == np.uint8


def test_planes_and_colour(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(4 * 5 * 7).reshape(4, 5, 7))
    assert io.read_planes(tmp_path / "a.npy").data.shape == (7, 1, 4, 5)
    np.save(tmp_path / "b.npy", np.zeros((4, 5, 3), np.uint8))
    colour = io.read(tmp_path / "b.npy")
    assert colour.data.shape == (3, 1, 4, 5) and colour.header["channel_axis"] == 2
    out = io.write(Volume.of(np.ones((1, 1, 4, 5)) > 0, colour.geometry), tmp_path / "c.npy", like=colour)
    assert np.load(out).shape == (4, 5)


def test_archive(tmp_path):
    np.savez(tmp_path / "a.npz", image=RAW, label=RAW > 5)
    assert [info.name for info in io.keys(tmp_path / "a.npz")] == ["image", "label"]
    assert io.read(tmp_path / "a.npz", key="label").dtype == np.uint8
    with pytest.raises(ReadError, match="several arrays"):
        io.read(tmp_path / "a.npz")


def test_pickles_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ReadError, match=r"a\.npy"):
        io.read(tmp_path / "a.npy")
