"""N5 datasets (https://github.com/saalfeldlab/n5), sliced block by block; read only."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import ReadError
from segwright.core.geometry import Geometry
from segwright.core.parse import parse_json, text_of
from segwright.core.volume import Index, Volume
from segwright.io.axes import Axes, axes_of
from segwright.io.claims import admit, demand_few_pieces, stored_below
from segwright.io.protocol import (
    MENDED,
    ArrayInfo,
    Format,
    Stored,
    decoding,
    is_scan,
    lazy,
    make_header,
    pick_key,
    reason,
)
from segwright.io.unpacking import Unpack, unpacker

_ATTRIBUTES = "attributes.json"
_NM = {"nm": 1e-6, "nanometer": 1e-6, "um": 1e-3, "µm": 1e-3, "micrometer": 1e-3, "mm": 1.0, "millimeter": 1.0}


def keys(path: Path) -> tuple[ArrayInfo, ...]:
    """Datasets that can be scans or labels; of a pyramid `s0, s1, ...` the full-resolution one only."""
    with decoding(path, "N5"):
        return tuple(_found(path, ""))


def _found(folder: Path, name: str) -> list[ArrayInfo]:
    told = _attributes(folder)
    if "dimensions" in told:
        shape, dtype = _lengths(told, "dimensions", folder), np.dtype(told["dataType"])
        return [ArrayInfo(name or "/", shape, str(dtype))] if is_scan(shape, dtype) else []
    below = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    scales = [child for child in below if child.name.startswith("s") and child.name[1:].isdigit()]
    below = [child for child in below if child not in scales or child.name == "s0"]
    return [info for child in below for info in _found(child, f"{name}/{child.name}".strip("/"))]


def _attributes(folder: Path) -> dict[str, Any]:
    file = folder / _ATTRIBUTES
    found = parse_json(text_of(file), file) if file.exists() else {}
    if not isinstance(found, dict):
        raise ReadError("The attributes are no object.", got=type(found).__name__, where=file, hint=MENDED)
    return found


def read(path: Path, key: str | None = None, letters: str = "") -> Volume:
    """Open a dataset; spacing from `pixelResolution` or `resolution` of it or its group, where a unit is given."""
    info = pick_key(keys(path), key, path)
    folder = path if info.name == "/" else path / info.name
    with decoding(path, "N5"):
        told = _attributes(folder)
        blocks = _Blocks(folder, told)
    axes = axes_of(info.shape, info.dtype, letters, where=path)
    how = Stored(None, size=lambda: stored_below(folder))
    data = lazy(
        axes.shape(info.shape),
        np.dtype(info.dtype),
        axes.fetching(info.shape, blocks.part),
        path=path,
        family="N5",
        stored=how,
    )
    geometry, warnings = _geometry(data.shape[1:], axes, [told, _attributes(folder.parent)])
    chunk = tuple(reversed(told["blockSize"]))
    header = make_header("n5", path, key=info.name, axes=axes.letters, chunks=chunk[-3:], warnings=warnings)
    return Volume(data, geometry, header=header)


class _Blocks:
    """The block files of a dataset, in C order (N5 counts axes the other way round)."""

    def __init__(self, folder: Path, told: Mapping[str, Any]) -> None:
        self.folder = folder
        self.shape = _lengths(told, "dimensions", folder)
        self.size = _lengths(told, "blockSize", folder)
        self.dtype = np.dtype(told["dataType"])
        if len(self.size) != len(self.shape):
            raise ReadError("Blocks have other axes than the array.", got=f"{self.size}, {self.shape}", where=folder)
        admit(folder, math.prod(self.size) * self.dtype.itemsize)
        compression = told.get("compression", {"type": told.get("compressionType", "raw")})
        self.unpack = _decoder(compression if isinstance(compression, Mapping) else {"type": compression})

    def part(self, index: Index) -> NDArray[Any]:
        """Voxels of a part; blocks without a file are 0."""
        demand_few_pieces(self.folder, index, self.size)
        out = np.zeros([s.stop - s.start for s in index], self.dtype)
        ranges = [range(s.start // n, -(-s.stop // n)) for s, n in zip(index, self.size, strict=True)]
        for place in itertools.product(*ranges):
            block = self._block(place)
            if block is None:
                continue
            start = [p * n for p, n in zip(place, self.size, strict=True)]
            low = [max(a, s.start) for a, s in zip(start, index, strict=True)]
            high = [min(a + n, s.stop) for a, n, s in zip(start, block.shape, index, strict=True)]
            into = tuple(slice(a - s.start, b - s.start) for a, b, s in zip(low, high, index, strict=True))
            out[into] = block[tuple(slice(a - o, b - o) for a, b, o in zip(low, high, start, strict=True))]
        return out

    def _block(self, place: Sequence[int]) -> NDArray[Any] | None:
        file = self.folder.joinpath(*map(str, reversed(place)))
        try:
            raw = file.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return self._decoded(raw)
        except Exception as error:
            name = file.relative_to(self.folder).as_posix()
            raise ReadError(
                f"A block of the dataset cannot be read: {name}.",
                got=f"block {name}: {reason(error)}",
                where=self.folder,
                hint="Copy the block again from the source.",
            ) from error

    def _decoded(self, raw: bytes) -> NDArray[Any]:
        """A block: kind, axes and lengths as big-endian numbers, then compressed voxels."""
        kind, axes = np.frombuffer(raw, ">u2", 2).tolist()
        if kind != 0 or axes != len(self.shape):
            raise ValueError(f"block of kind {kind} with {axes} axes, where {len(self.shape)} were expected")
        lengths = np.frombuffer(raw, ">u4", axes, offset=4).tolist()[::-1]
        if any(n > most for n, most in zip(lengths, self.size, strict=True)):
            raise ValueError(f"block of {lengths} voxels, where {list(self.size)} are the most")
        needed = math.prod(lengths) * self.dtype.itemsize
        found = self.unpack(raw[4 + 4 * axes :], needed)
        if len(found) != needed:
            raise ValueError(f"{len(found)} bytes of voxels, where the block's head says {needed}")
        return np.frombuffer(found, self.dtype.newbyteorder(">")).reshape(lengths)


def _lengths(told: Mapping[str, Any], name: str, folder: Path) -> tuple[int, ...]:
    """Lengths in C order.

    Raises:
        ReadError: They are no list of positive whole numbers.
    """
    found = told.get(name)
    good = isinstance(found, list) and found and all(type(n) is int and 0 < n < 1 << 40 for n in found)
    if not good:
        raise ReadError(f"{name!r} is no list of lengths.", got=repr(found)[:80], where=folder, hint=MENDED)
    return tuple(reversed(found or []))


def _decoder(compression: Mapping[str, Any]) -> Unpack:
    """How blocks are unpacked, to no more than a number of bytes.

    Raises:
        ReadError: A compression that is not read.
    """
    name = str(compression.get("type", "raw"))
    unpack = (lambda data, most: data) if name == "raw" else unpacker(name)
    if name in {"raw", "gzip", "bzip2", "xz", "blosc", "zstd"} and unpack is not None:
        return unpack
    raise ReadError(
        "Blocks are compressed in a way that is not read.",
        expected="raw, gzip, bzip2, xz, blosc or zstd",
        got=name,
        hint="Convert the dataset to OME-Zarr.",
    )


def _geometry(
    shape: tuple[int, int, int], axes: Axes, sources: Sequence[Mapping[str, Any]]
) -> tuple[Geometry, tuple[str, ...]]:
    """Grid from the resolution that the dataset or its group states, `(x, y, z)` in N5."""
    for told in sources:
        given = told.get("pixelResolution", told.get("resolution"))
        unit = told.get("units", told.get("unit", "nm"))
        if isinstance(given, Mapping):
            unit, given = given.get("unit", unit), given.get("dimensions")
        if not isinstance(given, Sequence) or len(given) < sum(a in axes.letters for a in "zyx"):
            continue
        unit = unit[0] if isinstance(unit, list) and unit else unit
        mm = _NM.get(str(unit).lower())
        if mm is None:
            return Geometry.from_spacing(shape), (f"The unit {unit!r} is not known; spacing is treated as unknown.",)
        steps = [float(step) * mm for step in given[:3]][::-1]
        steps = [0.0, 0.0, 0.0, *steps][-3:]
        return Geometry.from_spacing(
            shape, [s if s > 0 and n > 1 else None for s, n in zip(steps, shape, strict=True)]
        ), ()
    return Geometry.from_spacing(shape), ()


FORMAT: Final = Format("n5", read, keys=keys, arranged=read)
