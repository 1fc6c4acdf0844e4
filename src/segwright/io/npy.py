"""NumPy `.npy` and `.npz` arrays, mapped into memory where the file allows; pickled objects are refused."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from segwright.core.atomic import atomic_path
from segwright.core.geometry import Geometry
from segwright.core.volume import Index, Volume
from segwright.io.axes import Axes, axes_of
from segwright.io.protocol import (
    ArrayInfo,
    Format,
    decoding,
    is_scan,
    lazy_stored,
    make_header,
    pick_key,
    same_format,
)

_ONLY = "array"


def keys(path: Path) -> tuple[ArrayInfo, ...]:
    """The arrays of an `.npz`, or the one of an `.npy` (named `array`)."""
    with decoding(path, "NumPy"):
        if _is_archive(path):
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as loaded:
                arrays = {name: loaded[name] for name in loaded.files}
        else:
            arrays = {_ONLY: np.load(path, mmap_mode="r", allow_pickle=False)}
        return tuple(ArrayInfo(n, a.shape, str(a.dtype)) for n, a in arrays.items() if is_scan(a.shape, a.dtype))


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
    data = lazy_stored(axes, info.shape, real, part, path=path, family="NumPy")
    channel = axes.channel_axes[0] if axes.channel_axes else None
    header = make_header("npy", path, key=info.name, axes=axes.letters, channel_axis=channel)
    return Volume(data, Geometry.from_spacing(data.shape[1:]), header=header)


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


FORMAT: Final = Format("npy", (".npy", ".npz"), read, write, writes=(".npy", ".npz"), keys=keys, arranged=read)
