"""Formats are recognised by content first, then by suffix, without decoding."""

from __future__ import annotations

import subprocess
import sys

import pytest
from PIL import Image

from segwright import io


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
