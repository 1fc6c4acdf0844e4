"""The contract of every format: values and grid return, slices equal the whole, damage is one kind of error."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from segwright import io
from segwright.core.errors import ReadError, WriteError
from segwright.core.geometry import Geometry
from segwright.core.volume import Volume
from segwright.io.formats import FormatInfo

WRITERS = [(name, suffix) for name in io.READERS for suffix in io.READERS.load(name).writes if suffix]
DAMAGED = [(name, suffix) for name, suffix in WRITERS if name != "zarr"]


def label(name: str) -> Volume:
    shape = (1, 24, 20) if name == "image" else (6, 24, 20)
    values = np.random.default_rng(1).integers(0, 5, shape).astype(np.int16)
    return Volume.of(values, Geometry.from_spacing(shape, (None if name == "image" else 2.0, 1.0, 0.5)))


def array_or_error(path) -> np.ndarray | ReadError:
    try:
        return io.read(path).array()
    except ReadError as error:
        return error


@pytest.mark.parametrize(("name", "suffix"), WRITERS)
def test_values_return_and_slices_agree(tmp_path, name, suffix):
    source = label(name)
    path = io.write(source, tmp_path / f"case.1{suffix}")
    assert io.sniff(path) == name and io.is_readable(path)
    assert path.name.endswith(suffix)
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")]
    volume = io.read(path)
    assert volume.dtype == np.uint8 == volume.array().dtype
    assert np.array_equal(volume.array(), source.array())
    assert volume.header["format"] == name and volume.header["path"] == str(path)
    assert isinstance(volume.header["warnings"], tuple)
    n = volume.data.shape
    for z, y, x in itertools.product((0, n[1] // 2), (0, 7), (3, 11)):
        index = (slice(0, 1), slice(z, z + 1), slice(y, y + 9), slice(x, n[3]))
        assert np.array_equal(volume.data[index], volume.array()[index])
    suffix_back = io.output_suffix(volume)
    assert suffix_back == suffix
    again = io.read(io.write(Volume.of(volume.array(), volume.geometry), tmp_path / f"b{suffix_back}", like=volume))
    assert again.geometry == volume.geometry and np.array_equal(again.array(), volume.array())


@pytest.mark.parametrize(("name", "suffix"), DAMAGED)
def test_damage_is_always_a_read_error(tmp_path, name, suffix):
    """Cut at many lengths and with bytes changed, nothing but `ReadError` comes out; a cut never goes unnoticed."""
    path = io.write(label(name), tmp_path / f"a{suffix}")
    original = label(name).array()
    whole = path.read_bytes()
    random = np.random.default_rng(2)
    for length in sorted({0, 1, 3, 10, 131, *random.integers(0, len(whole), 12).tolist(), len(whole) - 1}):
        path.write_bytes(whole[:length])
        read = array_or_error(path)
        whole_sentence = isinstance(read, ReadError) and read.where and read.hint and read.what.endswith(".")
        assert whole_sentence or np.array_equal(read, original), f"{length} of {len(whole)} bytes pass for a whole file"
    for _ in range(40):
        changed = bytearray(whole)
        for position in random.integers(0, min(len(whole), 2000), 4):
            changed[position] = random.integers(0, 256)
        path.write_bytes(changed)
        read = array_or_error(path)
        assert isinstance(read, np.ndarray) or (read.where and read.hint)


@pytest.mark.parametrize("name", io.READERS)
def test_rows_are_complete(name):
    row = io.READERS.load(name)
    assert row.name == name
    assert callable(row.read)
    assert set(row.writes) <= {*io.READERS.info(name, FormatInfo).suffixes, ""}


def test_missing_empty_and_unknown(tmp_path):
    (tmp_path / "empty.nii").touch()
    (tmp_path / "a.xyz").write_text("x")
    for path, said in (("absent.nii", "no such file"), ("empty.nii", "empty"), ("a.xyz", "No reader"), ("", "folder")):
        with pytest.raises(ReadError, match=said):
            io.read(tmp_path / path)
    with pytest.raises(WriteError, match="suffix"):
        io.write(label("nifti"), tmp_path / "a.xyz")
    with pytest.raises(WriteError, match=r"not written as \.dcm"):
        io.write(label("nifti"), tmp_path / "a.dcm")


def test_failed_write_leaves_nothing(tmp_path):
    """A folder that cannot be made, for every writer: a `WriteError`, and no partial file."""
    (tmp_path / "file.txt").write_text("not a folder")
    for name, suffix in WRITERS:
        with pytest.raises(WriteError):
            io.write(label(name), tmp_path / "file.txt" / f"a{suffix}")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]


def test_grid_of_another_scan_is_not_taken(tmp_path):
    """`like` counts only where the grids agree; a resampled label keeps its own."""
    first = io.read(io.write(label("nifti"), tmp_path / "a.nii.gz"))
    other = Volume.of(np.ones((1, 3, 24, 20), np.uint8), Geometry.from_spacing((3, 24, 20), (4.0, 1.0, 0.5)))
    back = io.read(io.write(other, tmp_path / "b.nii.gz", like=first))
    assert back.geometry.spacing == (4.0, 1.0, 0.5)


def test_signed_and_real_values_survive(tmp_path):
    for array in (np.array([[[-1, 0, 300]]]), np.array([[[0.25, np.nan, 3]]], np.float32)):
        volume = Volume.of(array, Geometry.from_spacing(array.shape))
        for suffix in (".nii.gz", ".nrrd", ".h5", ".npy", ".tif", ".zarr", ".mat"):
            back = io.read(io.write(volume, tmp_path / f"a{suffix}")).array()
            assert np.array_equal(back[0], array, equal_nan=array.dtype.kind == "f")
