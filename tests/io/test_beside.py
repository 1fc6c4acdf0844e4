"""A scan with a detached header is all its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from segwright import io
from segwright.core.geometry import Geometry
from segwright.core.identity import identify, still
from segwright.core.volume import Volume
from segwright.io.companions import files_of

SHAPE = (3, 8, 9)


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr", ".hdr", ".img"])
def test_voxels_beside_a_header_are_part_of_the_scan(tmp_path: Path, suffix: str) -> None:
    array = np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.uint8)
    path = tmp_path / f"scan{suffix}"
    io.write(Volume.of(array, Geometry.from_spacing(SHAPE)), path)
    (tmp_path / "other.raw").write_bytes(b"no part of it")
    found = files_of(path)
    assert found[0] == path and set(found) == {*tmp_path.iterdir()} - {tmp_path / "other.raw"} and len(found) == 2
    known = identify(found)
    other = found[1]
    other.write_bytes(other.read_bytes()[:-1] + b"\x07")
    assert still(known, files_of(path)) is None


def test_numbered_slices_that_a_header_names_are_part_of_it(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"s{number:03d}.raw").write_bytes(bytes(6))
    path = tmp_path / "scan.mhd"
    path.write_text("NDims = 3\nDimSize = 2 3 3\nElementType = MET_UCHAR\nElementDataFile = s%03d.raw 0 2 1\n")
    assert [file.name for file in files_of(path)] == ["scan.mhd", "s000.raw", "s001.raw", "s002.raw"]


def test_a_header_called_as_a_whole_file_may_name_its_voxels(tmp_path: Path) -> None:
    (tmp_path / "v.raw").write_bytes(bytes(8))
    (tmp_path / "a.mha").write_text("NDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = v.raw\n")
    (tmp_path / "b.nrrd").write_text(
        "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: v.raw\n"
    )
    for name in ("a.mha", "b.nrrd"):
        assert [file.name for file in files_of(tmp_path / name)] == [name, "v.raw"]


def test_halves_are_found_however_their_suffix_is_written(tmp_path: Path) -> None:
    for name in ("s.PAR", "s.REC", "s2.REC"):
        (tmp_path / name).write_bytes(b"1")
    assert [file.name for file in files_of(tmp_path / "s.PAR")] == ["s.PAR", "s.REC"]


def test_files_elsewhere_are_no_part_whatever_a_header_says(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"1")
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "scan.mhd"
    path.write_text(f"NDims = 3\nComment = {tmp_path / 'secret'}\nElementDataFile = ../secret\n")
    assert files_of(path) == (path,)


def test_what_is_no_header_is_one_file(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "a.raw", "a.json"):
        (tmp_path / name).write_bytes(b"1")
    assert files_of(tmp_path / "a.nii.gz") == (tmp_path / "a.nii.gz",)


def test_planes_in_other_files_of_a_set_are_part_of_it(tmp_path: Path) -> None:
    from segwright.core.identity import identify, still

    planes = "".join(
        f'<TiffData FirstZ="{z}" IFD="0"><UUID FileName="{name}">urn:uuid:{z}</UUID></TiffData>'
        for z, name in enumerate(("a.ome.tif", "b.ome.tif"))
    )
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        'DimensionOrder="XYZCT" Type="uint8" SizeX="8" SizeY="8" SizeZ="2" SizeC="1" SizeT="1">'
        f"{planes}</Pixels></Image></OME>"
    )
    for name in ("a.ome.tif", "b.ome.tif"):
        tifffile.imwrite(tmp_path / name, np.zeros((8, 8), np.uint8), description=xml, metadata=None)
    files = files_of(tmp_path / "a.ome.tif")
    assert files == (tmp_path / "a.ome.tif", tmp_path / "b.ome.tif")
    known = identify(files)
    tifffile.imwrite(tmp_path / "b.ome.tif", np.ones((8, 8), np.uint8), description=xml, metadata=None)
    assert still(known, files_of(tmp_path / "a.ome.tif")) is None
