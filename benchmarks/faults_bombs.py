"""Small files that claim much, and large ones that are right: each is read in a process of its own, time and memory measured.

A bomb must be refused within two seconds and 300 MB beyond what the imports take; a large scan that is right must be read.
"""

from __future__ import annotations

import argparse
import gzip
import io as bytes_io
import json
import multiprocessing
import re
import shutil
import struct
import tempfile
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
import tifffile
import zarr
from faults_samples import _slice
from PIL import Image

RESULTS = Path(__file__).with_name("results") / "faults_bombs.json"
SECONDS, BYTES, PATIENCE = 2.0, 300 << 20, 600.0


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(side: int, colour: int, filled: bool = False) -> Callable[[Path], None]:
    """A picture whose header claims `side` squared pixels, with a little or all of the pixels behind it."""

    def write(path: Path) -> None:
        head = struct.pack(">IIBBBBB", side, side, 8, colour, 0, 0, 0)
        tool = zlib.compressobj(9)
        parts = {0: 1, 2: 3, 6: 4}[colour]
        row = bytes(1 + side * parts)
        packed = b"".join(tool.compress(row) for _ in range(side if filled else 1)) + tool.flush()
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b""))

    return write


def nii_gz(*shape: int, code: int = 2) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        head = nib.Nifti1Header() if max(shape) < 32768 else nib.Nifti2Header()
        head.set_data_dtype({2: np.uint8, 4: np.int16, 64: np.float64}[code])
        head.set_data_shape(shape)
        head["vox_offset"] = 352
        head["magic"] = b"n+1"
        left = int(np.prod(shape, dtype=np.int64)) * {2: 1, 4: 2, 64: 8}[code] + 4
        with gzip.open(path, "wb", compresslevel=6) as stream:
            stream.write(head.binaryblock)
            while left > 0:
                stream.write(bytes(min(left, 1 << 24)))
                left -= 1 << 24

    return write


def nii_endless(path: Path) -> None:
    """A header of a small volume, and gigabytes behind it."""
    nii_gz(64, 64, 64)(path)
    with path.open("ab") as stream:
        stream.write(gzip.compress(bytes(1 << 28), 1) * 20)


def nrrd(path: Path) -> None:
    text = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 1500 1500 1500\nencoding: gzip\n\n"
    path.write_bytes(text.encode() + gzip.compress(bytes(1 << 28), 9) * 12)


def mha(path: Path) -> None:
    text = "ObjectType = Image\nNDims = 3\nCompressedData = True\nDimSize = 1500 1500 1500\nElementType = MET_UCHAR\n"
    path.write_bytes((text + "ElementDataFile = LOCAL\n").encode() + zlib.compress(bytes(1 << 28), 9) * 12)


def n5(claim: int, block: tuple[int, ...], size: int = 1 << 20) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.mkdir()
        told = {"dimensions": [size] * 3, "blockSize": block, "dataType": "uint8", "compression": {"type": "gzip"}}
        (path / "attributes.json").write_text(json.dumps(told))
        file = path / "0" / "0" / "0"
        file.parent.mkdir(parents=True)
        file.write_bytes(struct.pack(">HH3I", 0, 3, claim, claim, claim) + gzip.compress(bytes(1 << 28), 9))

    return write


def zarr_(shape: tuple[int, ...], chunks: tuple[int, ...], stored: bool = False) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        item = zarr.create_array(str(path), shape=shape, chunks=chunks, dtype="uint8", zarr_format=2)
        if stored:
            item[:1, :1, :1] = 1

    return write


def hdf5(shape: tuple[int, ...], chunks: tuple[int, ...]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as store:
            store.create_dataset("image", shape=shape, chunks=chunks, dtype="u1", compression="gzip")

    return write


def npz(claimed: tuple[int, ...], held: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        made = bytes_io.BytesIO()
        np.lib.format.write_array_header_1_0(made, {"descr": "|u1", "fortran_order": False, "shape": claimed})
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w", force_zip64=True) as part:
            part.write(made.getvalue())
            for _ in range(held >> 24):
                part.write(bytes(1 << 24))

    return write


def mat(path: Path) -> None:
    side = 1500
    flags = struct.pack("<IIII", 6, 8, 9, 0)
    dims = struct.pack("<IIiii", 5, 12, side, side, side) + bytes(4)
    head = flags + dims + struct.pack("<HH4s", 1, 1, b"x\0\0\0") + struct.pack("<II", 2, side**3)
    body = struct.pack("<II", 14, len(head) + side**3)
    tool = zlib.compressobj(1)
    packed = tool.compress(body + head) + b"".join(tool.compress(bytes(1 << 24)) for _ in range(side**3 >> 24)) + tool.flush()
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H2s", 0x0100, b"IM") + struct.pack("<II", 15, len(packed)) + packed)


def tiff(compression: str, pages: int, side: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        tifffile.imwrite(path, (np.zeros((side, side), np.uint8) for _ in range(pages)), shape=(pages, side, side), dtype="uint8", compression=compression, rowsperstrip=side)

    return write


def gif(path: Path) -> None:
    """A hundred thousand frames."""
    first = bytes_io.BytesIO()
    Image.new("L", (64, 64)).save(first, "GIF")
    data = first.getvalue()
    start = data.index(b"\x2c", 13 + 3 * 2 ** ((data[10] & 7) + 1))
    path.write_bytes(data[:start] + data[start:-1] * 100_000 + b";")


def gif_large(path: Path) -> None:
    path.write_bytes(b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6) + b"\x2c" + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x4c\x01\x00;")


def jpeg(path: Path) -> None:
    made = bytes_io.BytesIO()
    Image.new("RGB", (64, 64)).save(made, "JPEG")
    data = bytearray(made.getvalue())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65500, 65500)
    path.write_bytes(data)


def dicom(rows: int, columns: int, frames: int, syntax: str = "") -> Callable[[Path], None]:
    def write(path: Path) -> None:
        ds = _slice(1)
        ds.Rows, ds.Columns, ds.NumberOfFrames = rows, columns, frames
        if syntax:
            ds.compress = None
            ds.file_meta.TransferSyntaxUID = syntax
            from pydicom.encaps import encapsulate

            ds.PixelData = encapsulate([b"\0" * 64])
            ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
        ds.save_as(path, enforce_file_format=False)

    return write


def zarr3(shape: tuple[int, ...], chunks: tuple[int, ...], held: int, shard: bool = False) -> Callable[[Path], None]:
    """A Zarr of version 3 whose only chunk unpacks to `held` bytes, whatever its array says."""

    def write(path: Path) -> None:
        shards = chunks if shard else None
        inner = tuple(max(1, n // 4) for n in chunks) if shard else chunks
        tool = [{"name": "gzip", "configuration": {"level": 9}}]
        zarr.create_array(str(path), shape=shape, chunks=inner, shards=shards, compressors=tool, dtype="uint8", zarr_format=3)
        file = path.joinpath("c", *"0" * len(shape))
        file.parent.mkdir(parents=True, exist_ok=True)
        packed = gzip.compress(bytes(1 << 28), 9) * (held >> 28)
        file.write_bytes(packed)

    return write


def hdf5_chunk(held: int) -> Callable[[Path], None]:
    """An HDF5 whose only chunk unpacks to `held` bytes, though it has 64 voxels a side."""

    def write(path: Path) -> None:
        tool = zlib.compressobj(9)
        packed = b"".join(tool.compress(bytes(1 << 24)) for _ in range(held >> 24)) + tool.flush()
        with h5py.File(path, "w") as store:
            item = store.create_dataset("image", shape=(64,) * 3, chunks=(64,) * 3, dtype="u1", compression="gzip")
            item.id.write_direct_chunk((0, 0, 0), packed)

    return write


def label_of(side: int) -> Callable[[Path], None]:
    """A folder whose scan is small and whose label is nearly empty and of `side` voxels a side."""

    def write(path: Path) -> None:
        for kind in ("images", "labels"):
            (path / kind).mkdir(parents=True)
        scan = nib.Nifti1Image(np.arange(4096, dtype=np.int16).reshape(16, 16, 16), np.eye(4))
        for name in "ab":
            nib.save(scan, path / "images" / f"{name}.nii.gz")
        shutil.copy(path / "images" / "a.nii.gz", path / "labels" / "b.nii.gz")
        nii_gz(side, side, side)(path / "labels" / "a.nii.gz")

    return write


def real_ct(path: Path) -> None:
    """A scan of 512 x 512 x 800 voxels with noise."""
    rng = np.random.default_rng(0)
    plane = rng.integers(-1000, 1500, (512, 512)).astype(np.int16)
    voxels = np.stack([np.roll(plane, z, 0) for z in range(800)], axis=-1)
    image = nib.Nifti1Image(voxels, np.eye(4))
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(image.to_bytes())


def real_label(path: Path) -> None:
    """A scan and its label, which is empty but for a few voxels."""
    (path / "images").mkdir(parents=True)
    (path / "labels").mkdir()
    image = np.arange(512 * 512 * 600, dtype=np.int16).reshape(512, 512, 600)
    label = np.zeros(image.shape, np.float32)
    label[200:210, 200:210, 300] = 1
    with gzip.open(path / "images" / "a.nii.gz", "wb", compresslevel=1) as stream:
        stream.write(nib.Nifti1Image(image, np.eye(4)).to_bytes())
    with gzip.open(path / "labels" / "a.nii.gz", "wb", compresslevel=1) as stream:
        stream.write(nib.Nifti1Image(label, np.eye(4)).to_bytes())


BOMBS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "PNG of 50000 x 50000": ("a.png", png(50_000, 0)),
    "PNG, RGBA": ("a.png", png(30_000, 6)),
    "PNG, all of its pixels": ("a.png", png(30_000, 0, filled=True)),
    "nii.gz of 1500^3": ("a.nii.gz", nii_gz(1500, 1500, 1500)),
    "nii.gz of 1000^3": ("a.nii.gz", nii_gz(1000, 1000, 1000)),
    "nii.gz, float64 of 600^3": ("a.nii.gz", nii_gz(600, 600, 600, code=64)),
    "nii.gz that goes on": ("a.nii.gz", nii_endless),
    "nrrd of 1500^3": ("a.nrrd", nrrd),
    "mha of 1500^3": ("a.mha", mha),
    "N5 of 2^60 voxels": ("a.n5", n5(64, (64, 64, 64))),
    "N5, one block of 2^33": ("a.n5", n5(2048, (2048, 2048, 2048), 2048)),
    "N5, block beyond its size": ("a.n5", n5(4_000_000_000, (64, 64, 64), 64)),
    "N5, block packed beyond its size": ("a.n5", n5(64, (64, 64, 64), 64)),
    "Zarr of 400^3 chunks of a voxel": ("a.zarr", zarr_((400, 400, 400), (1, 1, 1), True)),
    "Zarr of 2^60 voxels": ("a.zarr", zarr_((1 << 20,) * 3, (64, 64, 64))),
    "Zarr, a chunk of 2^45": ("a.zarr", zarr_((1 << 15,) * 3, (1 << 15,) * 3)),
    "Zarr of 1500^3, nothing stored": ("a.zarr", zarr_((1500,) * 3, (100, 100, 100))),
    "HDF5 of 2^60 voxels": ("a.h5", hdf5((1 << 20,) * 3, (64, 64, 64))),
    "HDF5 of 1500^3, nothing stored": ("a.h5", hdf5((1500,) * 3, (100, 100, 100))),
    "npz that claims 2^50": ("a.npz", npz((1 << 30, 1 << 20), 1 << 24)),
    "npz of 3 GB": ("a.npz", npz((192, 1 << 24), 192 << 24)),
    "mat of 1500^3": ("a.mat", mat),
    "TIFF, LZW, 12 pages of 8000 x 8000": ("a.tif", tiff("lzw", 12, 8000)),
    "TIFF, zstd, 12 pages of 8000 x 8000": ("a.tif", tiff("zstd", 12, 8000)),
    "TIFF, one page of 40000 x 40000": ("a.tif", tiff("zlib", 1, 40_000)),
    "GIF of 100000 frames": ("a.gif", gif),
    "GIF of 65535 x 65535": ("a.gif", gif_large),
    "JPEG of 65500 x 65500": ("a.jpg", jpeg),
    "DICOM of 65535 x 65535": ("a.dcm", dicom(65535, 65535, 1)),
    "DICOM of 10^9 frames": ("a.dcm", dicom(16, 20, 10**9)),
    "DICOM, packed, 65535 x 65535": ("a.dcm", dicom(65535, 65535, 1, "1.2.840.10008.1.2.4.90")),
    "DICOM, packed, 10^6 frames": ("a.dcm", dicom(512, 512, 10**6, "1.2.840.10008.1.2.5")),
    "Zarr 3, a chunk that unpacks to 4 GB": ("a.zarr", zarr3((64,) * 3, (64,) * 3, 1 << 32)),
    "Zarr 3, a shard that unpacks to 4 GB": ("a.zarr", zarr3((64,) * 3, (64,) * 3, 1 << 32, shard=True)),
    "HDF5, a chunk that unpacks to 4 GB": ("a.h5", hdf5_chunk(1 << 32)),
    "label of 1500^3 on a scan of 16^3": ("set", label_of(1500)),
    "label of 540^3 on a scan of 16^3": ("set", label_of(540)),
    "label of 560^3 on a scan of 16^3": ("set", label_of(560)),
}  # fmt: skip
#: What may also be read: the claim is small, only the way of storing is odd.
HARMLESS = {"GIF of 100000 frames"}
REAL = {
    "CT of 512 x 512 x 800": ("a.nii.gz", real_ct),
    "label of 512 x 512 x 600, nearly empty": ("set", real_label),
    "volume of 500^3 float64, as empty as a label": ("a.nii.gz", nii_gz(500, 500, 500, code=64)),
}


def _read(pipe: Connection) -> None:
    warnings.simplefilter("ignore")
    import h5py
    import pydicom.pixels
    import scipy.io
    import tifffile

    from segwright import io
    from segwright.core.errors import SegwrightError
    from segwright.io.dataset import open_dataset
    from segwright.io.load import load_image, load_label

    for suffix in ("dcm", "nii.gz", "png", "n5", "h5", "npz", "mat", "tif", "mha"):
        io.READERS.load(io.by_suffix().get(f".{suffix}", "nifti"))  # imports are not counted
    assert h5py and scipy.io and tifffile and pydicom.pixels
    Path("/proc/self/clear_refs").write_text("5")
    before, begun = _peak(), time.monotonic()
    place = Path(pipe.recv())
    try:
        if place.name == "set":
            dataset = open_dataset(place)
            for case in dataset.cases:
                load_label(dataset, case, load_image(dataset, case).geometry)
        else:
            names = [info.name for info in io.keys(place)] or [None]
            for name in names:
                io.read(place, key=name).array()
        got = "read"
    except SegwrightError as error:
        got = f"refused: {error.what}"
    except BaseException as error:
        got = f"crashed: {type(error).__name__}: {error}"[:200]
    pipe.send((got, time.monotonic() - begun, _peak() - before))


def _peak() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) << 10
    return 0


def _measured(place: Path) -> tuple[str, float, int]:
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    child = context.Process(target=_read, args=(far,), daemon=True)
    child.start()
    far.close()
    near.send(str(place))
    try:
        answer: Any = near.recv() if near.poll(PATIENCE) else ("hung", PATIENCE, 0)
    except EOFError:
        answer = ("crashed: the process ended", 0.0, 0)
    child.kill()
    child.join()
    found: tuple[str, float, int] = answer
    return found


def explode(only: str = "") -> list[dict[str, Any]]:
    """Read each bomb, and each large scan that is right; print what it cost."""
    found = []
    for name, (file, write) in (BOMBS | REAL).items():
        if not re.search(only, name):
            continue
        root = Path(tempfile.mkdtemp(prefix="bomb-"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write(root / file)
        files = [p for p in [root / file, *(root / file).rglob("*")] if p.is_file()]
        size = sum(p.stat().st_size for p in files)
        got, seconds, peak = _measured(root / file)
        good = got == "read" if name in REAL else got.startswith("refused") or (got == "read" and name in HARMLESS)
        held = good and (name in REAL or (seconds <= SECONDS and peak <= BYTES))
        told = {"name": name, "bytes": size, "got": got, "seconds": round(seconds, 2), "MB": peak >> 20, "held": held}
        found.append(told)
        print(f"{'ok ' if held else 'BAD'} {name:40} {size:12,d} B {seconds:6.2f} s {peak >> 20:6d} MB  {got[:90]}", flush=True)
        shutil.rmtree(root)
    return found


def main(words: list[str] | None = None) -> int:
    """Read every bomb; 1 where any crashed, hung, was read for right, or cost too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="Names in which this pattern is found; other rows are kept.")
    parser.add_argument("-o", "--output", type=Path, default=None)
    arguments = parser.parse_args(words)
    place = arguments.output or RESULTS
    before = json.loads(place.read_text(encoding="utf-8"))["bombs"] if arguments.only and place.exists() else []
    rows = {row["name"]: row for row in [*before, *explode(arguments.only)]}
    bombs = [rows[name] for name in BOMBS | REAL if name in rows]
    total = {
        "tried": len(bombs),
        "refused": sum(bomb["got"].startswith("refused") for bomb in bombs),
        "crashed": sum(bomb["got"].startswith("crashed") for bomb in bombs),
        "hung": sum(bomb["got"] == "hung" for bomb in bombs),
        "not held": sum(not bomb["held"] for bomb in bombs),
    }
    text = json.dumps({"seconds": SECONDS, "MB": BYTES >> 20, "total": total, "bombs": bombs}, indent=1)
    place.write_text(text + "\n", encoding="utf-8")
    print(", ".join(f"{count} {name}" for name, count in total.items()))
    return int(bool(total["not held"]))


if __name__ == "__main__":
    import sys

    sys.exit(main())
