"""A folder of sections: natural order, the odd one named, missing numbers told, labels under the same names."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segwright import io
from segwright.core.errors import ReadError
from segwright.core.volume import Volume


def sections(folder, numbers, shape=(4, 5)):
    folder.mkdir()
    for n in numbers:
        Image.fromarray(np.full(shape, n, np.uint8)).save(folder / f"s{n}.png")
    return folder


def test_natural_order_lazy_and_back(tmp_path):
    volume = io.read(sections(tmp_path / "a", [8, 9, 10, 11]))
    assert volume.array()[0, :, 0, 0].tolist() == [8, 9, 10, 11]
    assert volume.data[(slice(0, 1), slice(1, 3), slice(0, 1), slice(0, 1))].ravel().tolist() == [9, 10]
    assert volume.geometry.spacing == (None, None, None) and not volume.header["warnings"]
    assert io.output_suffix(volume) == ""
    label = Volume.of((volume.array() > 9).astype(np.uint8), volume.geometry)
    back = io.read(io.write(label, tmp_path / "out", like=volume))
    assert np.array_equal(back.array(), label.array()) and back.header["files"] == volume.header["files"]


def test_missing_number(tmp_path):
    assert "s3.png to s5.png" in io.read(sections(tmp_path / "a", [1, 2, 3, 5])).header["warnings"][0]


def test_odd_section_is_named(tmp_path):
    folder = sections(tmp_path / "a", [1, 2, 3])
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(folder / "s2.png")
    with pytest.raises(ReadError, match="differs") as caught:
        io.read(folder)
    assert str(caught.value.where).endswith("s2.png")


def test_damaged_section_is_named(tmp_path):
    folder = sections(tmp_path / "a", [1, 2, 3])
    (folder / "s2.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(ReadError) as caught:
        io.read(folder)
    assert str(caught.value.where).endswith("s2.png")
