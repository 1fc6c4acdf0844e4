"""Formats are recognised by content first, then by suffix, without decoding."""

from __future__ import annotations

import subprocess
import sys

import pytest
from PIL import Image

from segwright import io
from segwright.io.formats import FormatInfo


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.nii.gz", ".nii.gz"),
        ("sub-01.v2.NII", ".nii"),
        ("a.ome.tif", ".ome.tif"),
        ("CT.1.2.840.113619", ""),
        ("IM0001", ""),
        ("a.mat", ".mat"),
        ("x.zarr", ".zarr"),
    ],
)
def test_suffixes(name, suffix):
    assert io.suffix_of(f"folder.with.dots/{name}") == suffix


def test_content_beats_suffix(tmp_path):
    Image.new("L", (3, 3)).save(tmp_path / "a.png")
    (tmp_path / "b.dcm").write_bytes((tmp_path / "a.png").read_bytes())
    (tmp_path / "c").write_bytes((tmp_path / "a.png").read_bytes())
    (tmp_path / "d").write_bytes(bytes(128) + b"DICM")
    assert [io.sniff(tmp_path / name) for name in "abcd" for name in (name,) if (tmp_path / name).exists()] == [
        "image",
        "dicom",
    ]
    assert io.sniff(tmp_path / "b.dcm") == "image"


def test_folders_and_strangers(tmp_path):
    assert not io.is_readable(tmp_path)
    assert not io.is_readable(tmp_path / "absent.nii")
    (tmp_path / "notes.txt").write_text("x")
    assert not io.is_readable(tmp_path / "notes.txt")
    for name in ("1.png", "2.png"):
        Image.new("L", (3, 3)).save(tmp_path / name)
    assert io.sniff(tmp_path) == "sections"
    (tmp_path / "3.nii").write_bytes(b"x")
    assert io.sniff(tmp_path) is None


def test_import_is_light():
    heavy = ("nibabel", "SimpleITK", "pydicom", "zarr", "PIL", "torch")
    code = f"import sys, segwright.io; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", list(io.READERS.builtin))
def test_every_format_is_known_by_what_its_row_says(tmp_path, name):
    """By its bytes under any name, and by its suffixes where bytes say nothing."""
    info = io.READERS.info(name, FormatInfo)
    for number, (at, mark) in enumerate(info.marks):
        for other in (f"{number}", f"{number}.xyz", f"{number}.png"):
            (tmp_path / other).write_bytes(bytes(at) + mark)
            assert io.sniff(tmp_path / other) == name
    for suffix in info.suffixes:
        (tmp_path / f"a{suffix}").write_bytes(b"?")
        assert io.sniff(tmp_path / f"a{suffix}") == name
        (tmp_path / f"b{suffix}").write_bytes(b"\x89HDF\r\n\x1a\n")
        assert io.sniff(tmp_path / f"b{suffix}") == (name if info.own or name == "hdf5" else "hdf5")


def test_common_bytes_say_something_only_where_there_is_no_suffix(tmp_path):
    for name, expected in (("IM1", "dicom"), ("a.txt", None), ("a.nii", "nifti")):
        (tmp_path / name).write_bytes(b"\x08\x00\x05\x00")
        assert io.sniff(tmp_path / name) == expected


def test_a_folder_is_told_by_what_lies_in_it(tmp_path):
    for name, files in (("zarr", {".zgroup": b"{}"}), ("n5", {"attributes.json": b'{"n5": "2"}'})):
        for file, data in {**files, "1.png": b"\x89PNG", "2.png": b"\x89PNG"}.items():
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / file).write_bytes(data)
        assert io.sniff(tmp_path / name) == name
    (tmp_path / "series").mkdir()
    for number, head in enumerate([bytes(128) + b"DICM"] * 3 + [b"NRRD0004"]):
        (tmp_path / "series" / f"{number}").write_bytes(head)
    assert io.sniff(tmp_path / "series") == "dicom"
    (tmp_path / "series" / "5").write_bytes(b"NRRD0004")
    assert io.sniff(tmp_path / "series") is None  # as many labels as would be expected of a folder of volumes
