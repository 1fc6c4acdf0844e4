"""Chunks of some kilobytes that unpack to gigabytes are refused before they are unpacked; all others are read."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import struct
import tracemalloc
import zlib
from pathlib import Path

import h5py
import numcodecs
import numpy as np
import pytest
import zarr

from segwright import io
from segwright.core.errors import ReadError
from segwright.io.unpacking import unpacker, zstd_length

#: Voxels that chunks declare, how many times as many they hold, and the most that a refusal may take.
SHAPE, TIMES, PEAK = (4, 16, 16), 1 << 15, 8 << 20
HELD = 4 * 16 * 16 * TIMES


def refused(path: Path) -> None:
    """Reading it ends in an error that names the file, and takes next to no memory."""
    tracemalloc.start()
    try:
        with pytest.raises(ReadError, match="unpacks to more") as told:
            io.read(path).array()
        assert tracemalloc.get_traced_memory()[1] < PEAK and path.name in str(told.value.where) and told.value.hint
    finally:
        tracemalloc.stop()


PACK = {
    "gzip": lambda data: gzip.compress(data, 1),
    "bzip2": lambda data: bz2.compress(data, 1),
    "xz": lambda data: lzma.compress(data, preset=0),
    "blosc": lambda data: bytes(numcodecs.Blosc().encode(data)),
    "zstd": lambda data: bytes(numcodecs.Zstd().encode(data)),
}


@pytest.mark.parametrize("pack", [*PACK, "zlib", "a second stream of gzip", "a second frame of zstd"])
def test_n5(tmp_path: Path, pack: str) -> None:
    name = pack.split()[-1] if " " in pack else "gzip" if pack == "zlib" else pack
    told = {"dimensions": SHAPE[::-1], "blockSize": SHAPE[::-1], "dataType": "uint8", "compression": {"type": name}}
    file = tmp_path / "a.n5" / "0" / "0" / "0"
    file.parent.mkdir(parents=True)
    (tmp_path / "a.n5" / "attributes.json").write_text(json.dumps(told))
    first = PACK[name](bytes(100)) if " " in pack else b""
    packed = first + (zlib.compress if pack == "zlib" else PACK[name])(bytes(HELD))
    file.write_bytes(struct.pack(">HH3I", 0, 3, *SHAPE[::-1]) + packed)
    refused(tmp_path / "a.n5")


def smaller(folder: Path, name: str) -> None:
    """Make the metadata of an array say that its last axis is so many times as short as it is."""
    told = json.loads((folder / name).read_text())

    def shrunk(node):
        if isinstance(node, dict):
            return {k: divided(v) if k in {"shape", "chunks", "chunk_shape"} else shrunk(v) for k, v in node.items()}
        return [shrunk(one) for one in node] if isinstance(node, list) else node

    def divided(lengths):
        return [*lengths[:-1], lengths[-1] // TIMES]

    (folder / name).write_text(json.dumps(shrunk(told)))


V2 = {
    "gzip": numcodecs.GZip(1),
    "zlib": numcodecs.Zlib(1),
    "bz2": numcodecs.BZ2(1),
    "lzma": numcodecs.LZMA(preset=0),
    "lz4": numcodecs.LZ4(),
    "blosc": numcodecs.Blosc(),
    "zstd": numcodecs.Zstd(),
}
V3 = {
    "gzip": [zarr.codecs.GzipCodec(level=1)],
    "blosc": [zarr.codecs.BloscCodec()],
    "zstd": [zarr.codecs.ZstdCodec()],
    "zstd, then a sum": [zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec()],
}
LONG = (*SHAPE[:2], SHAPE[2] * TIMES)


@pytest.mark.parametrize("pack", V2)
@pytest.mark.parametrize("filters", [None, [numcodecs.Delta("u1")]])
def test_zarr_2(tmp_path: Path, pack: str, filters) -> None:
    options = {"zarr_format": 2, "compressors": V2[pack], "filters": filters}
    item = zarr.create_array(str(tmp_path / "a.zarr"), shape=LONG, chunks=LONG, dtype="u1", **options)
    item[...] = 1
    smaller(tmp_path / "a.zarr", ".zarray")
    refused(tmp_path / "a.zarr")


@pytest.mark.parametrize("pack", V3)
@pytest.mark.parametrize("sharded", ["no", "whole shards", "a part of a shard"])
def test_zarr_3(tmp_path: Path, pack: str, sharded: str) -> None:
    shards = None if sharded == "no" else (2 * LONG[0], *LONG[1:])
    shape = LONG if shards is None else shards
    options = {"chunks": LONG, "shards": shards, "compressors": V3[pack]}
    item = zarr.create_array(str(tmp_path / "a.zarr"), shape=shape, dtype="u1", **options)
    item[: LONG[0]] = 1
    if sharded == "a part of a shard":
        smaller(tmp_path / "a.zarr", "zarr.json")
        with pytest.raises(ReadError, match="unpacks to more"):
            _ = io.read(tmp_path / "a.zarr").data[(slice(0, 1), slice(0, 2), slice(0, 4), slice(0, 4))]
    else:
        smaller(tmp_path / "a.zarr", "zarr.json")
        refused(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    "options", [{}, {"shuffle": True}, {"fletcher32": True}, {"shuffle": True, "fletcher32": True}]
)
def test_hdf5(tmp_path: Path, options: dict) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as store:
        item = store.create_dataset("a", shape=(8, 16, 16), chunks=SHAPE, dtype="u1", compression="gzip", **options)
        item[:4] = 7
        packed = zlib.compress(bytes(HELD), 1)
        item.id.write_direct_chunk((4, 0, 0), packed + bytes(4) if "fletcher32" in options else packed)
    refused(tmp_path / "a.h5")
    good = io.read(tmp_path / "a.h5").data[(slice(0, 1), slice(0, 4), slice(0, 16), slice(0, 16))]
    assert (good == 7).all()


def test_hdf5_packed_twice_or_longer_than_unpacked(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as store:
        item = store.create_dataset("a", shape=SHAPE, chunks=SHAPE, dtype="u1", compression="lzf")
        item.id.write_direct_chunk((0, 0, 0), bytes(100_000))
    refused(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as store:
        item = store.create_dataset("a", shape=SHAPE, chunks=SHAPE, dtype="u1", compression="szip")
        item.id.write_direct_chunk((0, 0, 0), struct.pack("<I", 1 << 31) + bytes(10))
    refused(tmp_path / "b.h5")
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk(SHAPE)
    plan.set_deflate(1)
    plan.set_deflate(1)
    with h5py.File(tmp_path / "c.h5", "w") as store:
        space = h5py.h5s.create_simple(SHAPE)
        h5py.h5d.create(store.id, b"a", h5py.h5t.STD_U8LE, space, plan)
        store["a"][...] = 1
    with pytest.raises(ReadError, match="packed twice"):
        io.read(tmp_path / "c.h5").array()


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "u8"])
def test_what_is_right_is_read(tmp_path: Path, dtype: str) -> None:
    array = np.random.default_rng(0).integers(0, 120, (9, 33, 35)).astype(dtype)
    for number, packed in enumerate([None, *V2.values()]):
        filters = [numcodecs.Delta(dtype, astype="i8")] if dtype in {"u1", "i2"} else None
        options = {"zarr_format": 2, "compressors": packed, "filters": filters, "chunks": SHAPE}
        zarr.create_array(str(tmp_path / f"{number}.zarr"), data=array, **options)
    for number, packs in enumerate([None, *V3.values()]):
        for shards in (None, (8, 32, 32)):
            place = str(tmp_path / f"v3-{number}-{shards is None}.zarr")
            zarr.create_array(place, data=array, chunks=SHAPE, shards=shards, compressors=packs)
    for name in ("gzip", "lzf", "szip"):
        for more in ({}, {"fletcher32": True}, *([{"scaleoffset": 0}] if dtype == "i2" and name != "szip" else [])):
            with h5py.File(tmp_path / f"{name}-{len(more)}{'scaleoffset' in more}.h5", "w") as store:
                store.create_dataset("a", data=array, chunks=SHAPE, compression=name, shuffle=name != "szip", **more)
    files = sorted(tmp_path.iterdir())
    assert len(files) >= 24
    for file in files:
        assert np.array_equal(io.read(file).array()[0], array), file.name


def frame(*blocks: tuple[int, int, bytes]) -> bytes:
    """A frame of Zstandard that does not state its length, of blocks of a kind, a length and bytes (RFC 8878)."""
    parts = [struct.pack("<IBB", 0xFD2FB528, 0, 0x58)]
    for number, (kind, length, data) in enumerate(blocks):
        parts.append(((length << 3) | (kind << 1) | (number == len(blocks) - 1)).to_bytes(3, "little") + data)
    return b"".join(parts)


def test_frames_without_a_length_are_counted_by_their_blocks() -> None:
    small = frame((0, 5, b"hello"), (1, 1000, b"x"))
    assert numcodecs.Zstd().decode(small) == b"hello" + b"x" * 1000
    assert zstd_length(small) == 0 and unpacker("zstd")(small, 1005) == b"hello" + b"x" * 1000
    with pytest.raises(ValueError, match="1004 bytes"):
        unpacker("zstd")(small, 1004)
    large = frame(*[(1, 1 << 17, b"x")] * 1024)
    assert zstd_length(large) == (1 << 27) - (64 << 20)
    assert zstd_length(struct.pack("<II", 0x184D2A51, 3) + b"abc" + bytes(numcodecs.Zstd().encode(b"abcd"))) == 4
