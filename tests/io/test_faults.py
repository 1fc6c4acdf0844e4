"""Files that are damaged, that claim more than they hold, that name other files, or that are no files at all."""

from __future__ import annotations

import gzip
import json
import os
import struct
import zipfile
import zlib

import h5py
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import tifffile
import zarr
from PIL import Image

from segwright import io
from segwright.core.errors import ReadError, SegwrightError, UsageError
from segwright.core.runs import Runs
from segwright.core.volume import Volume
from segwright.io import checksums, claims
from segwright.io.dataset import open_dataset
from segwright.io.load import load_image, load_label

VOXELS = (np.arange(6 * 16 * 20).reshape(6, 16, 20) % 251).astype(np.int16)


def nifti(path, voxels=VOXELS):
    nib.save(nib.Nifti1Image(voxels.T, np.diag([-1, -1, 2, 1])), path)
    return path


def flipped(path, at, bit=0):
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


# ------------------------------------------------------------------------------------------------ sums


@pytest.mark.parametrize("at", [20, 200, -9, -6, -2])
@pytest.mark.parametrize("part", [slice(0, 6), slice(0, 1)])
def test_a_flipped_bit_of_gzip_is_seen_whatever_part_is_read(tmp_path, at, part):
    path = nifti(tmp_path / "a.nii.gz")
    flipped(path, at)
    with pytest.raises(SegwrightError):
        io.read(path).data[(slice(0, 1), part, slice(0, 16), slice(0, 20))]


def test_the_last_bits_of_a_stream_are_seen_though_no_voxel_needs_them(tmp_path):
    path = nifti(tmp_path / "a.nii.gz")
    flipped(path, -8)
    with pytest.raises(ReadError, match="checksum") as caught:
        io.read(path).array()
    assert caught.value.where == str(path)
    assert "Copy the file again" in caught.value.hint


def test_gzip_of_several_members_and_with_zeros_behind_is_read(tmp_path):
    plain = nifti(tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(plain[:700]) + gzip.compress(plain[700:]) + bytes(512))
    np.testing.assert_array_equal(io.read(tmp_path / "b.nii.gz").array()[0], VOXELS)
    np.testing.assert_array_equal(
        io.read(tmp_path / "b.nii.gz").data[(slice(0, 1), slice(2, 3), slice(0, 16), slice(0, 20))][0, 0], VOXELS[2]
    )


def test_pieces_of_a_stream_are_all_of_it(tmp_path):
    data = np.random.default_rng(0).integers(0, 3, 3_000_000, dtype=np.uint8).tobytes() + bytes(9_000_000)
    (tmp_path / "a.gz").write_bytes(gzip.compress(data, 1))
    assert b"".join(checksums.pieces(tmp_path / "a.gz")) == data
    np.testing.assert_array_equal(checksums.unpacked(tmp_path / "a.gz", 5, 1000), np.frombuffer(data, "u1")[5:1005])


@pytest.mark.parametrize(("suffix", "mark"), [(".nrrd", b"\n\n"), (".mha", b"LOCAL\n")])
def test_packed_voxels_of_itk_are_verified(tmp_path, suffix, mark):
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS), str(path), useCompression=True)
    assert io.read(path).array().shape == (1, 6, 16, 20)
    flipped(path, path.stat().st_size - 2)
    assert mark in path.read_bytes()
    with pytest.raises(ReadError, match=r"checksum|cannot be read"):
        io.read(path).array()


def test_a_picture_is_verified_to_its_end(tmp_path):
    Image.fromarray(VOXELS[0].astype(np.uint8)).save(tmp_path / "a.png")
    flipped(tmp_path / "a.png", (tmp_path / "a.png").read_bytes().index(b"IEND") - 6)
    with pytest.raises(ReadError, match="IDAT"):
        io.read(tmp_path / "a.png").array()


def test_members_of_archives_are_verified(tmp_path):
    np.savez(tmp_path / "a.npz", image=VOXELS)
    data = (tmp_path / "a.npz").read_bytes()
    flipped(tmp_path / "a.npz", data.index(b"\x93NUMPY") + 500)
    with pytest.raises(ReadError, match="CRC"):
        io.read(tmp_path / "a.npz").data[(slice(0, 1), slice(0, 1), slice(0, 2), slice(0, 2))]


def test_chunks_that_are_not_stored_are_told(tmp_path):
    item = zarr.create_array(str(tmp_path / "a.zarr"), shape=(4, 8, 8), chunks=(2, 8, 8), dtype="u1", zarr_format=2)
    item[...] = 1
    assert io.read(tmp_path / "a.zarr").header["warnings"] == ()
    (tmp_path / "a.zarr" / "1.0.0").unlink()
    assert "1 of 2 chunks are not stored and read as 0" in io.read(tmp_path / "a.zarr").header["warnings"][0]


@pytest.mark.parametrize("suffix", [".nii", ".mha", ".nrrd", ".npy", ".img", ".bmp"])
def test_bytes_too_many_are_told(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".nii":
        nifti(path)
    elif suffix == ".img":
        nib.save(nib.Nifti1Pair(VOXELS.T, np.eye(4)), path)
    elif suffix == ".npy":
        np.save(path, VOXELS)
    elif suffix == ".bmp":
        Image.fromarray(VOXELS[0].astype(np.uint8)).save(path)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(VOXELS), str(path))
    assert not any("longer" in told or "length" in told for told in io.read(path).header["warnings"])
    path.write_bytes(path.read_bytes() + b"xyz")
    told = " ".join(io.read(path).header["warnings"])
    assert "3 bytes longer" in told or "another length" in told


# ------------------------------------------------------------------------------------------------ claims


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def bomb_png(path):
    head = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 6, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(100)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IEND", b""))


def bomb_nifti(path):
    head = nib.Nifti1Header()
    head.set_data_shape((1500, 1500, 1500))
    head["vox_offset"], head["magic"] = 352, b"n+1"
    path.write_bytes(gzip.compress(head.binaryblock + bytes(100_000)))


def bomb_npz(path):
    with zipfile.ZipFile(path, "w") as archive, archive.open("x.npy", "w") as part:
        np.lib.format.write_array_header_1_0(
            part, {"descr": "|u1", "fortran_order": False, "shape": (1 << 30, 1 << 20)}
        )


def bomb_h5(path):
    with h5py.File(path, "w") as store:
        store.create_dataset("image", shape=(1500, 1500, 1500), chunks=(100, 100, 100), dtype="u1")


def bomb_tiny_chunks(path):
    zarr.create_array(str(path), shape=(400, 400, 400), chunks=(1, 1, 1), dtype="u1")


def bomb_huge_chunk(path):
    zarr.create_array(str(path), shape=(1 << 15,) * 3, chunks=(1 << 15,) * 3, dtype="u1")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.png", bomb_png),
        ("a.nii.gz", bomb_nifti),
        ("a.npz", bomb_npz),
        ("a.h5", bomb_h5),
        ("a.zarr", bomb_tiny_chunks),
        ("b.zarr", bomb_huge_chunk),
    ],
)
@pytest.mark.parametrize("read", [io.read, io.read_label])
def test_claims_beyond_what_is_stored_are_refused_by_name(tmp_path, name, write, read):
    write(tmp_path / name)
    with pytest.raises(ReadError, match=r"claims|memory|pieces") as caught:
        read(tmp_path / name).array()
    assert name in caught.value.where
    assert caught.value.hint


def test_a_part_of_a_large_store_is_read_though_all_of_it_is_not(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as store:
        item = store.create_dataset("image", shape=(1500, 1500, 1500), chunks=(16, 64, 64), dtype="u1")
        item[3, 4, 5] = 7
    part = io.read(tmp_path / "a.h5").data[(slice(0, 1), slice(0, 8), slice(0, 8), slice(0, 8))]
    assert part[0, 3, 4, 5] == 7


def test_the_budget_is_set_by_a_variable(tmp_path, monkeypatch):
    path = nifti(tmp_path / "a.nii")
    monkeypatch.setenv(claims.VARIABLE, "1KB")
    with pytest.raises(ReadError, match="more memory") as caught:
        io.read(path).array()
    assert claims.VARIABLE in caught.value.hint
    assert io.read(path).data[(slice(0, 1), slice(0, 1), slice(0, 4), slice(0, 4))].shape == (1, 1, 4, 4)
    monkeypatch.setenv(claims.VARIABLE, "much")
    with pytest.raises(UsageError, match="much"):
        claims.budget()


def test_an_empty_label_is_right_where_its_scan_is_as_large_and_wrong_elsewhere(monkeypatch, tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"x" * 100)
    cost, voxels = 1 << 30, 1 << 28
    claims.admit(path, cost, voxels=voxels, stored=lambda: cost // 100)
    with pytest.raises(ReadError, match="claims far more"):
        claims.admit(path, cost, voxels=voxels, stored=lambda: cost // 1000)
    with claims.expecting(voxels):
        claims.admit(path, cost, voxels=voxels, stored=lambda: cost // 1000)
        with pytest.raises(ReadError, match="claims far more"):
            claims.admit(path, cost, voxels=voxels + 1, stored=lambda: cost // 1000)


def test_a_label_that_is_nearly_empty_is_no_bomb_whatever_its_type(tmp_path):
    voxels, path = 512 * 512 * 600, tmp_path / "a.nii.gz"
    for item in (1, 2, 4, 8):
        claims.admit(path, item * voxels, voxels=voxels, stored=lambda item=item: item * voxels // 230)
    with pytest.raises(ReadError, match="claims far more"):  # more than any packing reaches
        claims.admit(path, 8 * voxels, voxels=voxels, stored=lambda: voxels // 1000)


def test_a_label_is_held_against_its_scan_before_it_is_decoded(tmp_path):
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    for name in "ab":
        nifti(tmp_path / "images" / f"{name}.nii.gz")
        nifti(tmp_path / "labels" / f"{name}.nii.gz", (VOXELS > 100).astype(np.uint8))
    dataset = open_dataset(tmp_path)
    bomb_nifti(tmp_path / "labels" / "a.nii.gz")
    case = dataset.cases[0]
    with pytest.raises(SegwrightError, match="far more voxels than its image"):
        load_label(dataset, case, load_image(dataset, case).geometry)


def test_a_large_label_is_held_against_its_scan_where_its_values_are_looked_up(tmp_path, monkeypatch):
    """A folder is opened by the values of its labels, before any is read for a case."""
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    for name in "ab":
        nifti(tmp_path / "images" / f"{name}.nii.gz")
        nifti(tmp_path / "labels" / f"{name}.nii.gz", (VOXELS > 100).astype(np.uint8))
    nifti(tmp_path / "labels" / "a.nii.gz", np.zeros((40, 41, 42), np.uint8))
    decoded, array = [], Volume.array
    monkeypatch.setattr(Volume, "array", lambda self, *box: (decoded.append(self.geometry.shape), array(self, *box))[1])
    monkeypatch.setattr(claims, "LARGE", 1000)
    assert open_dataset(tmp_path).labels.structures and decoded and (40, 41, 42) not in decoded


# ------------------------------------------------------------------------------------------------ other files


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "elsewhere" / "secret.raw"
    path.parent.mkdir()
    path.write_bytes(bytes(range(200)) * 10)
    return path


META = "ObjectType = Image\nNDims = 3\nDimSize = 10 10 10\nElementType = MET_UCHAR\nElementDataFile = {}\n"
NRRD = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 10 10 10\nencoding: raw\ndata file: {}\n\n"


@pytest.mark.parametrize("text", [META, NRRD])
@pytest.mark.parametrize("way", ["absolute", "up", "link", "list", "pattern", "pipe"])
def test_headers_never_reach_other_files(tmp_path, secret, text, way):
    folder = tmp_path / "data"
    folder.mkdir()
    name = {"absolute": str(secret), "up": "../elsewhere/secret.raw", "link": "a.raw", "pipe": "p.raw"}.get(way, "")
    if way == "link":
        (folder / "a.raw").symlink_to(secret)
    if way == "pipe":
        os.mkfifo(folder / "p.raw")
    if way == "list":
        name = "LIST\n../elsewhere/secret.raw"
    if way == "pattern":
        name = "../elsewhere/secret%d.raw 1 1 1"
    path = folder / ("a.mhd" if text is META else "a.nhdr")
    path.write_text(text.format(name))
    with pytest.raises(ReadError, match=r"beside it|no regular file"):
        io.read(path).array()
    assert io.is_detached(path)


@pytest.mark.parametrize(("text", "suffix"), [(META, ".mhd"), (NRRD, ".nhdr")])
def test_voxels_beside_their_header_are_read(tmp_path, text, suffix):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "v.raw").write_bytes(bytes(1000))
    (tmp_path / "real" / f"a{suffix}").write_text(text.format("v.raw"))
    assert io.read(tmp_path / "real" / f"a{suffix}").array().shape == (1, 10, 10, 10)
    (tmp_path / "farm").mkdir()  # folders of links to one store are common
    for name in ("v.raw", f"a{suffix}"):
        (tmp_path / "farm" / name).symlink_to(tmp_path / "real" / name)
    assert io.read(tmp_path / "farm" / f"a{suffix}").array().shape == (1, 10, 10, 10)


@pytest.mark.parametrize("name", ["a.mhd", "a.nhdr", "a.hdr", "a.img", "a.mha", "a.nrrd"])
def test_uploads_of_halves_are_refused(tmp_path, secret, name):
    from segwright.view.uploads import refuse_detached

    (tmp_path / "up").mkdir()
    (tmp_path / "up" / name).write_text((NRRD if "rr" in name or "nh" in name else META).format(secret))
    for place in (tmp_path / "up", tmp_path / "up" / name):
        with pytest.raises(UsageError, match="second file"):
            refuse_detached(place)


def test_uploads_of_whole_files_are_taken(tmp_path):
    from segwright.view.uploads import refuse_detached

    for suffix in (".mha", ".nrrd"):
        sitk.WriteImage(sitk.GetImageFromArray(VOXELS), str(tmp_path / f"a{suffix}"))
    nifti(tmp_path / "a.nii.gz")
    refuse_detached(tmp_path)


def test_hdf5_reaches_no_other_file(tmp_path, secret):
    with h5py.File(tmp_path / "other.h5", "w") as store:
        store["x"] = VOXELS
    with h5py.File(tmp_path / "linked.h5", "w") as store:
        store["image"], store["away"] = VOXELS, h5py.ExternalLink("other.h5", "x")
    assert [info.name for info in io.keys(tmp_path / "linked.h5")] == ["image"]
    with pytest.raises(ReadError, match="no array 'away'"):
        io.read(tmp_path / "linked.h5", key="away")
    with h5py.File(tmp_path / "outside.h5", "w") as store:
        store.create_dataset("image", (10, 10, 10), "u1", external=[(str(secret), 0, 1000)])
    layout = h5py.VirtualLayout((6, 16, 20), "i2")
    layout[...] = h5py.VirtualSource("other.h5", "x", (6, 16, 20))
    with h5py.File(tmp_path / "virtual.h5", "w") as store:
        store.create_virtual_dataset("image", layout)
    for name in ("outside.h5", "virtual.h5"):
        with pytest.raises(ReadError, match="lies in other files"):
            io.read(tmp_path / name).array()


def test_a_picture_of_a_set_reaches_no_other_file(tmp_path, secret):
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        'DimensionOrder="XYZCT" Type="uint8" SizeX="8" SizeY="8" SizeZ="2" SizeC="1" SizeT="1"><TiffData FirstZ="1" '
        'IFD="0"><UUID FileName="../elsewhere/secret.raw">urn:uuid:1</UUID></TiffData></Pixels></Image></OME>'
    )
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((8, 8), np.uint8), description=xml, metadata=None)
    with pytest.raises(ReadError, match="beside it"):
        io.read(tmp_path / "a.ome.tif").array()


@pytest.mark.parametrize("name", ["a.nii.gz", "a.png", "a.json", "a.csv", "a.txt", "a.yaml", "a.dcm", "a", "a.zip"])
def test_a_pipe_is_never_waited_for(tmp_path, name):
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    for case in "abc":
        nifti(tmp_path / "images" / f"{case}.nii.gz")
        nifti(tmp_path / "labels" / f"{case}.nii.gz", (VOXELS > 100).astype(np.uint8))
    os.mkfifo(tmp_path / "labels" / name.replace("a", "pipe", 1))
    os.mkfifo(tmp_path / name)
    dataset = open_dataset(tmp_path)
    assert len(dataset.cases) == 3
    assert any(name in line.path for line in dataset.aside)
    with pytest.raises(ReadError, match="pipe"):
        io.read(tmp_path / name)


# ------------------------------------------------------------------------------------------------ odd numbers


@pytest.mark.parametrize("code", [0, 1, 3, 255, 1536, 2048, 9999])
def test_types_that_voxels_do_not_have_are_refused(tmp_path, code):
    path = nifti(tmp_path / "a.nii")
    data = bytearray(path.read_bytes())
    data[70:72] = struct.pack("<h", code)
    path.write_bytes(data)
    with pytest.raises(ReadError):
        io.read(path).array()


@pytest.mark.parametrize(
    "text", [f"{2**63 - 1} 1", f"1 {2**63 - 1}", f"{2**62} {2**62}", "9" * 30 + " 1", f"1 {-(2**63)}"]
)
def test_runs_near_the_end_of_numbers_are_refused(text):
    with pytest.raises(SegwrightError, match=r"no place in an image|negative"):
        Runs.parse(text, where="t.csv, line 2")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dimensions", [-1, 4, 4]),
        ("dimensions", [4.5, 4, 4]),
        ("blockSize", [0, 4, 4]),
        ("blockSize", [4, 4]),
        ("dimensions", "x"),
    ],
)
def test_lengths_of_n5_are_whole_and_positive(tmp_path, name, value):
    told = {"dimensions": [4, 4, 4], "blockSize": [4, 4, 4], "dataType": "uint8", "compression": {"type": "raw"}}
    (tmp_path / "a.n5").mkdir()
    (tmp_path / "a.n5" / "attributes.json").write_text(json.dumps(told | {name: value}))
    with pytest.raises(ReadError):
        io.read(tmp_path / "a.n5").array()


@pytest.mark.parametrize("claimed", [(4, 4, 4), (2**31, 2**31, 2**31), (4, 4, 3)])
def test_blocks_of_n5_hold_what_they_say(tmp_path, claimed):
    told = {"dimensions": [4, 4, 4], "blockSize": [4, 4, 4], "dataType": "uint8", "compression": {"type": "raw"}}
    (tmp_path / "a.n5" / "0" / "0").mkdir(parents=True)
    (tmp_path / "a.n5" / "attributes.json").write_text(json.dumps(told))
    (tmp_path / "a.n5" / "0" / "0" / "0").write_bytes(struct.pack(">HH3I", 0, 3, *claimed) + bytes(50))
    with pytest.raises(ReadError, match="block"):
        io.read(tmp_path / "a.n5").array()
