"""Zarr version 2 and 3 arrays and OME-Zarr images, sliced in place."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.codec import BytesBytesCodec, Codec
from zarr.codecs import ShardingCodec

from segwright.core.disk import atomic_path
from segwright.core.errors import ReadError
from segwright.core.geometry import Geometry
from segwright.core.volume import Index, Volume
from segwright.io.axes import Axes, guess_axes, stated_axes
from segwright.io.claims import admit, demand_few_pieces, stored_below
from segwright.io.protocol import (
    ArrayInfo,
    Format,
    Stored,
    decoding,
    is_scan,
    lazy,
    make_header,
    pick_key,
    reason,
    same_format,
)
from segwright.io.unpacking import Unpack, unpacker

_ROOT = "/"
#: Chunks of an array that are counted when it is opened.
_COUNTED = 10_000
#: Bytes that sums and heads of codecs add to a chunk.
_ADDED = 4096
_MM = {"nanometer": 1e-6, "micrometer": 1e-3, "millimeter": 1.0, "centimeter": 10.0, "meter": 1000.0}
_MM |= {"angstrom": 1e-7, "nm": 1e-6, "um": 1e-3, "µm": 1e-3, "mm": 1.0, "cm": 10.0, "m": 1000.0}


def keys(path: Path) -> tuple[ArrayInfo, ...]:
    """Arrays that can be scans or labels; of a pyramid the full-resolution one only."""
    with decoding(path, "Zarr"):
        return tuple(_found(zarr.open(str(path), mode="r"), ""))


def _found(node: Any, name: str) -> list[ArrayInfo]:
    if isinstance(node, zarr.Array):
        info = ArrayInfo(name or _ROOT, tuple(node.shape), str(node.dtype))
        return [info] if is_scan(node.shape, np.dtype(node.dtype)) else []
    lower = {level["path"] for scale in _multiscales(node) for level in scale.get("datasets", [])[1:]}
    members = [(child, item) for child, item in node.members() if child not in lower]
    return [info for child, item in members for info in _found(item, f"{name}/{child}".strip("/"))]


def _multiscales(node: Any) -> list[Mapping[str, Any]]:
    """The pyramids a group describes, in either version of the OME metadata."""
    attributes = dict(node.attrs)
    return list(attributes.get("ome", attributes).get("multiscales", []))


def _choose(path: Path, key: str | None) -> ArrayInfo:
    """The array of `key`: an array, a group with a pyramid, or by default the image rather than its labels."""
    found = keys(path)
    images = [info for info in found if not f"/{info.name}".startswith("/labels/")]
    if key is None:
        return pick_key(images if len(images) == 1 else found, None, path)
    inside = [info for info in found if info.name.startswith(key.strip("/") + "/")]
    return inside[0] if len(inside) == 1 else pick_key(found, key, path)


def read(path: Path, key: str | None = None, letters: str = "") -> Volume:
    """Open level 0 of an OME-Zarr image, or an array; spacing in mm where the metadata give units.

    Axes that are stated go before those of the metadata, whose scales are then not applied.
    """
    info = _choose(path, key)
    with decoding(path, "Zarr"):
        if letters:
            return _open(path, info, stated_axes(letters, info.shape, where=path), {}, {})
        scale, level = _described(path, info.name)
        axes = _named_axes(scale, info) or guess_axes(info.shape, np.dtype(info.dtype), where=path)
        return _open(path, info, axes, scale, level)


def coarser(path: Path, key: str | None = None) -> tuple[Volume, ...]:
    """Open the levels below an array in the pyramid that it belongs to, finest first."""
    info = _choose(path, key)
    scale, level = _described(path, info.name)
    parent = info.name.rpartition("/")[0]
    levels = list(scale.get("datasets", []))
    found = []
    for lower in levels[levels.index(level) + 1 :] if levels else []:
        name = f"{parent}/{lower['path']}".strip("/")
        store = _array(path, name)
        stored = ArrayInfo(name, tuple(store.shape), str(store.dtype))
        axes = _named_axes(scale, stored) or guess_axes(stored.shape, np.dtype(stored.dtype), where=path)
        found.append(_open(path, stored, axes, scale, lower))
    return tuple(found)


def _described(path: Path, name: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The pyramid and its level that array `name` belongs to; empty where no metadata name it."""
    parent, _, leaf = name.rpartition("/")
    root = zarr.open(str(path), mode="r")
    if isinstance(root, zarr.Array):
        return {}, {}
    group = root[parent] if parent else root
    for scale in _multiscales(group):
        for level in scale.get("datasets", []):
            if level.get("path") == leaf:
                return scale, level
    return {}, {}


def _named_axes(scale: Mapping[str, Any], info: ArrayInfo) -> Axes | None:
    """Axes the metadata name (a list of names or of records); version 0.1 and 0.2 fix them to t, c, z, y, x."""
    if not scale:
        return None
    named = scale.get("axes", "tczyx"[-len(info.shape) :])
    letters = "".join((axis["name"] if isinstance(axis, Mapping) else axis)[0].lower() for axis in named)
    if len(letters) != len(info.shape) or len(set(letters)) < len(letters):
        raise ReadError("The axes named in the metadata do not fit the array.", got=f"{letters}, {info.shape}")
    return Axes(letters)


def _open(path: Path, info: ArrayInfo, axes: Axes, scale: Mapping[str, Any], level: Mapping[str, Any]) -> Volume:
    def part(index: Index) -> NDArray[Any]:
        demand_few_pieces(path, index, store.chunks)
        array = _sliced(_array(path, info.name), index, path)
        return array.astype(np.uint8) if array.dtype.kind == "b" else array

    store = _array(path, info.name)
    dtype = np.dtype(info.dtype).newbyteorder("=")
    real = np.dtype("u1") if dtype.kind == "b" else dtype
    admit(path, math.prod(store.chunks) * dtype.itemsize)
    how = Stored(None, size=lambda: stored_below(path))
    data = lazy(axes.shape(info.shape), real, axes.fetching(info.shape, part), path=path, family="Zarr", stored=how)
    geometry, warnings = _geometry(data.shape[1:], axes, scale, level)
    if "affine_ras_mm" in store.attrs:
        geometry = Geometry(geometry.shape, np.array(store.attrs["affine_ras_mm"]), geometry.known)
    header = make_header(
        "zarr",
        path,
        key=info.name,
        axes=axes.letters,
        named=bool(scale),
        channel_axis=axes.channel_axes[0] if axes.channel_axes else None,
        zarr_format=store.metadata.zarr_format,
        chunks=axes.shape(store.chunks)[1:],
        warnings=(*warnings, *_absent(store)),
    )
    return Volume(data, geometry, header=header)


def _absent(store: Any) -> tuple[str, ...]:
    """What is told of chunks that are not stored while others are: they read as the fill value."""
    if store.nchunks > _COUNTED:
        return ()
    there = store.nchunks_initialized
    if there in {0, store.nchunks}:
        return ()
    lost = f"{store.nchunks - there} of {store.nchunks} chunks are not stored and read as {store.fill_value}"
    return (f"{lost}; if they were lost in copying, copy the array again.",)


def _sliced(array: Any, index: Index, path: Path) -> NDArray[Any]:
    """A part of an array; where that fails, the chunks to blame are named.

    Raises:
        ReadError: A chunk is damaged or cannot be reached.
    """
    try:
        return np.asarray(array[index])
    except Exception as error:
        bad = list(islice(_bad_chunks(array, index), 3))
        if not bad:
            raise
        raise ReadError(
            f"A chunk of the array cannot be read: {', '.join(bad)}.",
            got=f"chunk {', '.join(bad)}: {reason(error)}",
            where=path,
            hint="Copy the chunk again from the source.",
        ) from error


def _bad_chunks(array: Any, index: Index) -> Iterator[str]:
    """Names of the chunks a part needs that cannot be read."""
    lengths = array.chunks
    ranges = [range(s.start // n, -(-s.stop // n)) for s, n in zip(index, lengths, strict=True)]
    for place in itertools.product(*ranges):
        try:
            array[tuple(slice(i * n, (i + 1) * n) for i, n in zip(place, lengths, strict=True))]
        except Exception:
            yield str(array.metadata.encode_chunk_key(place))


def _array(path: Path, name: str) -> Any:
    node = zarr.open(str(path), mode="r")
    return _bounded(node if isinstance(node, zarr.Array) else node[name])


def _bounded(array: Any) -> Any:
    """The array, whose chunks (inner ones of shards, too) unpack to no more than their share of it."""
    opened = array._async_array
    codecs = [_bounded_codec(codec, array) for codec in opened.codec_pipeline]
    object.__setattr__(opened, "codec_pipeline", type(opened.codec_pipeline).from_codecs(codecs))  # zarr has no way in
    return array


def _bounded_codec(codec: Any, array: Any) -> Codec:
    if isinstance(codec, ShardingCodec):
        return replace(codec, codecs=tuple(_bounded_codec(inner, array) for inner in codec.codecs))
    if isinstance(codec, BytesBytesCodec):
        unpack = unpacker(str(codec.to_dict()["name"]).removeprefix("numcodecs."))
        return codec if unpack is None else _BoundedCodec(codec, unpack)
    if not hasattr(codec, "compressor"):  # as the one codec of version 2 has
        return codec
    most = _most(array.chunks, array.dtype, bool(codec.filters))
    filters = tuple(_bounded_filter(step, most) for step in codec.filters or ())
    return replace(codec, compressor=_bounded_filter(codec.compressor, most), filters=filters or None)


def _bounded_filter(codec: Any, most: int) -> Any:
    """A codec of version 2; any may pack, wherever it stands."""
    unpack = unpacker(getattr(codec, "codec_id", ""))
    return codec if unpack is None else _BoundedFilter(unpack, most)


def _most(shape: Sequence[int], dtype: np.dtype[Any], filtered: bool) -> int:
    """Bytes that a chunk may have behind a compression: its voxels, and what filters and sums add to them."""
    voxels = math.prod(shape)
    return voxels * max(dtype.itemsize, 16) + _ADDED if filtered else voxels * dtype.itemsize


@dataclass(frozen=True)
class _BoundedFilter:
    """A compression of version 2, for reading."""

    unpack: Unpack
    most: int

    def decode(self, data: Any) -> bytes:
        return self.unpack(bytes(data), self.most)


@dataclass(frozen=True)
class _BoundedCodec(BytesBytesCodec):
    """A compression of version 3, for reading."""

    codec: BytesBytesCodec
    unpack: Unpack
    is_fixed_size = False

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        most = _most(chunk_spec.shape, chunk_spec.dtype.to_native_dtype(), False) + _ADDED
        found = await asyncio.to_thread(self.unpack, chunk_bytes.to_bytes(), most)
        return chunk_spec.prototype.buffer.from_bytes(found)

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: Any) -> int:
        return self.codec.compute_encoded_size(input_byte_length, chunk_spec)


def _geometry(
    shape: tuple[int, int, int], axes: Axes, scale: Mapping[str, Any], level: Mapping[str, Any]
) -> tuple[Geometry, tuple[str, ...]]:
    """Grid from the scale and translation of the level and of the whole pyramid, in mm."""
    steps, starts = np.ones(len(axes.letters)), np.zeros(len(axes.letters))
    moves = [*level.get("coordinateTransformations", []), *scale.get("coordinateTransformations", [])]
    for move in moves:
        factor = np.array(move.get("scale", np.ones(len(steps))), dtype=np.float64)
        steps, starts = steps * factor, starts * factor + np.array(move.get("translation", 0.0), dtype=np.float64)
    units = {axis["name"]: axis.get("unit") for axis in scale.get("axes", []) if isinstance(axis, Mapping)}
    spacing: list[float | None] = []
    affine = np.eye(4)[[2, 1, 0, 3]]
    for column, letter in enumerate("zyx"):
        i = axes.letters.find(letter)
        mm = _MM.get(str(units.get(letter)).lower()) if i >= 0 and moves else None
        step = float(steps[i]) * mm if mm is not None and steps[i] > 0 and shape[column] > 1 else None
        spacing.append(step)
        affine[2 - column, column] = 1.0 if step is None else step
        affine[2 - column, 3] = 0.0 if mm is None else float(starts[i]) * mm
    z, y, x = (step is not None for step in spacing)
    strange = moves and not all(units.get(letter) for letter in "zyx" if letter in axes.letters)
    warnings = ("The metadata scale the voxels but name no unit; spacing is treated as unknown.",) if strange else ()
    return Geometry(shape, affine, (z, y, x)), warnings


def write(path: Path, array: NDArray[Any], geometry: Geometry, like: Volume | None) -> None:
    """Store an OME-Zarr image of one level, in the Zarr version of the source (2 without one)."""
    known = same_format(like, "zarr")
    axes = Axes(known["axes"]).for_labels(array.shape) if known else Axes("zyx" if len(array) == 1 else "czyx")
    version = known.get("zarr_format", 2)
    voxels = axes.stored(array)
    chunks = tuple(min(n, 64 if letter == "z" else 256) for n, letter in zip(voxels.shape, axes.letters, strict=True))
    scale = _metadata(axes, geometry)
    with atomic_path(path) as partial:
        group = zarr.open_group(str(partial), mode="w", zarr_format=version)
        group.attrs.update(
            {"multiscales": [scale]} if version == 2 else {"ome": {"version": "0.5", "multiscales": [scale]}}
        )
        options: dict[str, Any] = {"chunk_key_encoding": {"name": "v2", "separator": "/"}} if version == 2 else {}
        item = group.create_array("0", shape=voxels.shape, dtype=voxels.dtype, chunks=chunks, **options)
        item[...] = voxels
        item.attrs["affine_ras_mm"] = geometry.affine.tolist()


def _metadata(axes: Axes, geometry: Geometry) -> dict[str, Any]:
    """One multiscales record; axes without spacing carry no unit, so that they stay unknown."""
    spacing = dict(zip("zyx", geometry.spacing, strict=True))
    named: list[dict[str, str]] = []
    for letter in axes.letters:
        if letter not in "zyx":
            named.append({"name": letter, "type": "channel"})
        elif spacing[letter] is None:
            named.append({"name": letter, "type": "space"})
        else:
            named.append({"name": letter, "type": "space", "unit": "millimeter"})
    steps = [spacing.get(letter) or 1.0 for letter in axes.letters]
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": steps}]}
    return {"version": "0.4", "axes": named, "datasets": [level]}


FORMAT: Final = Format(
    "zarr",
    read,
    write,
    writes=(".zarr", ".ome.zarr"),
    keys=keys,
    arranged=read,
    coarser=coarser,
)
