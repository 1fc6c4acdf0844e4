"""N5 against files written by hand from its specification."""

from __future__ import annotations

import bz2
import gzip
import itertools
import json
import lzma
import struct
import zlib
from pathlib import Path

import numcodecs
import numpy as np
import pytest

from segwright import io
from segwright.core.errors import ReadError
from segwright.io.scans import open_images

PACK = {
    "raw": bytes,
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "blosc": lambda data: numcodecs.Blosc().encode(data),
    "zstd": lambda data: numcodecs.Zstd().encode(data),
}


def write(folder: Path, array: np.ndarray, block: tuple[int, ...], pack: str = "gzip", **more) -> None:
    """A dataset as the specification words it: axes x first, big-endian, a header a block, far blocks cut short."""
    folder.mkdir(parents=True)
    compression = {"type": "gzip" if pack == "zlib" else pack}
    told = {"dimensions": array.shape[::-1], "blockSize": block[::-1], "dataType": str(array.dtype)}
    (folder / "attributes.json").write_text(json.dumps({**told, "compression": compression, **more}))
    counts = [range(-(-n // b)) for n, b in zip(array.shape, block, strict=True)]
    for place in itertools.product(*counts):
        part = array[tuple(slice(p * b, (p + 1) * b) for p, b in zip(place, block, strict=True))]
        if not part.any():
            continue  # blocks of zeros need no file
        head = struct.pack(f">HH{part.ndim}I", 0, part.ndim, *part.shape[::-1])
        file = folder.joinpath(*map(str, place[::-1]))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(head + PACK[pack](part.astype(part.dtype.newbyteorder(">")).tobytes()))


def scan(dtype: str = "uint16") -> np.ndarray:
    array = np.random.default_rng(0).integers(0, 200, (7, 20, 23)).astype(dtype)
    array[:3, :8, :8] = 0
    return array


@pytest.mark.parametrize("pack", PACK)
def test_every_compression_is_read(tmp_path, pack):
    write(tmp_path / "a.n5", scan(), (3, 8, 8), pack)
    volume = io.read(tmp_path / "a.n5")
    assert np.array_equal(volume.array()[0], scan())
    part = volume.data[(slice(0, 1), slice(2, 5), slice(6, 17), slice(7, 9))]
    assert np.array_equal(part[0], scan()[2:5, 6:17, 7:9])


@pytest.mark.parametrize("dtype", ["uint8", "int32", "uint64", "float32"])
def test_types_and_pyramids(tmp_path, dtype):
    (tmp_path / "em.n5").mkdir()
    (tmp_path / "em.n5" / "attributes.json").write_text('{"n5": "2.0.0"}')
    resolution = {"dimensions": [4.0, 4.0, 40.0], "unit": "nm"}
    write(tmp_path / "em.n5" / "raw" / "s0", scan(dtype), (4, 8, 8), pixelResolution=resolution)
    write(tmp_path / "em.n5" / "raw" / "s1", scan(dtype)[:, ::2, ::2], (4, 8, 8))
    assert [info.name for info in io.keys(tmp_path / "em.n5")] == ["raw/s0"]
    volume = io.read(tmp_path / "em.n5")
    assert volume.dtype == np.dtype(dtype) and np.array_equal(volume.array()[0], scan(dtype))
    assert volume.geometry.spacing == pytest.approx((4e-5, 4e-6, 4e-6))
    for place in ("em.n5", "em.n5/raw/s0"):
        dataset = open_images(tmp_path / place, ("em",))
        assert np.array_equal(io.read(dataset.path(dataset.cases[0].images[0])).array()[0], scan(dtype))


def test_a_bad_block_and_an_unknown_compression_are_named(tmp_path):
    write(tmp_path / "a.n5", scan(), (3, 8, 8))
    (tmp_path / "a.n5" / "1" / "2" / "0").write_bytes(b"\0\0\0\3 damaged")
    volume = io.read(tmp_path / "a.n5")
    assert np.array_equal(volume.data[(slice(0, 1), slice(0, 7), slice(0, 16), slice(0, 23))][0], scan()[:, :16])
    with pytest.raises(ReadError, match="1/2/0"):
        volume.array()
    write(tmp_path / "b.n5", scan(), (3, 8, 8))
    file = tmp_path / "b.n5" / "attributes.json"
    file.write_text(file.read_text().replace('"gzip"', '"jpeg"'))
    with pytest.raises(ReadError, match="jpeg"):
        io.read(tmp_path / "b.n5")
