"""NumPy `.npy` and `.npz` arrays, mapped into memory where the file allows; pickled objects are refused."""

from __future__ import annotations

import math
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from segwright.core.disk import atomic_path
from segwright.core.errors import ReadError
from segwright.core.geometry import Geometry
from segwright.core.volume import Index, Volume
from segwright.io.axes import Axes, axes_of
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
    same_format,
    surplus,
)

_ONLY = "array"


def keys(path: Path) -> tuple[ArrayInfo, ...]:
    """The arrays of an `.npz`, or the one of an `.npy` (named `array`)."""
    with decoding(path, "NumPy"):
        if _is_archive(path):
            listed = _members(path)
        else:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            listed = [(_ONLY, array.shape, array.dtype)]
        return tuple(ArrayInfo(name, shape, str(kind)) for name, shape, kind in listed if is_scan(shape, kind))


def _members(path: Path) -> list[tuple[str, tuple[int, ...], np.dtype[Any]]]:
    """Names, shapes and types of an archive's arrays, from the head of each.

    Raises:
        ReadError: A head claims other bytes than its member holds.
    """
    found = []
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            if not part.filename.endswith(".npy"):
                continue
            with archive.open(part) as stream:
                version = np.lib.format.read_magic(stream)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, kind = read(stream)
                needed = stream.tell() + math.prod(shape) * kind.itemsize
            if needed != part.file_size and not kind.hasobject:
                raise ReadError(
                    f"Array {part.filename!r} claims other bytes than the file holds.",
                    expected=f"{needed} bytes",
                    got=f"{part.file_size} bytes",
                    where=path,
                    hint=MENDED,
                )
            found.append((part.filename.removesuffix(".npy"), tuple(shape), kind))
    return found


def _is_archive(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"PK"


def read(path: Path, key: str | None = None, letters: str = "") -> Volume:
    """Open an array with unknown spacing; axes as stated or by `guess_axes`."""
    info = pick_key(keys(path), key, path)
    return _open(path, info, axes_of(info.shape, info.dtype, letters, where=path))


def _open(path: Path, info: ArrayInfo, axes: Axes) -> Volume:
    def part(index: Index) -> NDArray[Any]:
        if _is_archive(path):
            array = _member(path, path.stat().st_mtime_ns, info.name)[index]
        else:
            array = np.array(np.load(path, mmap_mode="r", allow_pickle=False)[index])
        return array.astype(np.uint8) if array.dtype.kind == "b" else array

    dtype = np.dtype(info.dtype).newbyteorder("=")
    real = np.dtype("u1") if dtype.kind == "b" else dtype
    packed = _is_archive(path)
    how = Stored(path, whole=packed, packed=packed)
    data = lazy(axes.shape(info.shape), real, axes.fetching(info.shape, part), path=path, family="NumPy", stored=how)
    warnings = () if packed else surplus(path, _head(path) + math.prod(info.shape) * dtype.itemsize)
    channel = axes.channel_axes[0] if axes.channel_axes else None
    header = make_header("npy", path, key=info.name, axes=axes.letters, channel_axis=channel, warnings=warnings)
    return Volume(data, Geometry.from_spacing(data.shape[1:]), header=header)


def _head(path: Path) -> int:
    """Bytes in front of the voxels of an `.npy` file."""
    return int(np.load(path, mmap_mode="r", allow_pickle=False).offset)


@lru_cache(maxsize=2)
def _member(path: Path, changed: int, name: str) -> NDArray[Any]:
    """An array of an archive, which is unpacked whole whatever part is wanted; an image and its label are kept."""
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as loaded:
        return np.asarray(loaded[name])


def write(path: Path, array: NDArray[Any], geometry: Geometry, like: Volume | None) -> None:
    """Store in the source's axis order; NumPy files carry no spacing."""
    known = same_format(like, "npy")
    axes = Axes(known["axes"]).for_labels(array.shape) if known else Axes("zyx" if len(array) == 1 else "czyx")
    voxels = axes.stored(array)
    with atomic_path(path) as partial, partial.open("wb") as stream:
        if path.suffix.lower() == ".npz":
            save: Any = np.savez_compressed
            save(stream, **{known.get("key", "label"): voxels})
        else:
            np.save(stream, voxels, allow_pickle=False)


FORMAT: Final = Format("npy", read, write, writes=(".npy", ".npz"), keys=keys, arranged=read)
