"""MATLAB `.mat` files of versions 5 and 7.3, whose volumes are stored (rows, columns, slices)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import scipy.io
from numpy.typing import NDArray

from segwright.core.disk import atomic_path
from segwright.core.errors import ReadError
from segwright.core.geometry import Geometry
from segwright.core.volume import Index, Volume
from segwright.io import hdf5
from segwright.io.axes import Axes, stated_axes
from segwright.io.protocol import (
    ArrayInfo,
    Format,
    Stored,
    decoding,
    is_scan,
    lazy,
    make_header,
    pick_key,
    same_format,
)

_TYPES = {"double": "float64", "single": "float32", "logical": "bool"}


def keys(path: Path) -> tuple[ArrayInfo, ...]:
    """Numeric arrays of two or more axes, with their shape as MATLAB shows it."""
    if _is_hdf5(path):
        return tuple(ArrayInfo(i.name, i.shape[::-1], i.dtype) for i in hdf5.keys(path) if "#refs#" not in i.name)
    with decoding(path, "MATLAB"):
        listed = scipy.io.whosmat(str(path))
    found = []
    for name, shape, label in listed:
        kind = _TYPES.get(label, str(label))
        if kind in np.sctypeDict and is_scan(shape, np.dtype(kind)):
            found.append(ArrayInfo(name, tuple(int(n) for n in shape), kind))
    return tuple(found)


def _is_hdf5(path: Path) -> bool:
    with decoding(path, "MATLAB"), path.open("rb") as stream:
        head = stream.read(520)
    return head.startswith(b"MATLAB 7.3") or b"\x89HDF\r\n\x1a\n" in head


def read(path: Path, key: str | None = None, letters: str = "") -> Volume:
    """Open an array: `(R, C)`, `(R, C, slices)`, colour, `(R, C, slices, channels)`, or as stated."""
    info = pick_key(keys(path), key, path)
    if letters:
        return _open(path, info, stated_axes(letters, info.shape, where=path))
    if len(info.shape) > 4:
        raise ReadError("An array must have 2, 3 or 4 axes.", got=info.shape, where=path, hint="Choose another key.")
    colour = len(info.shape) == 3 and info.shape[2] <= 4 and info.dtype == "uint8"
    return _open(path, info, Axes("yxc" if colour else "yxzc"[: len(info.shape)]))


def _open(path: Path, info: ArrayInfo, axes: Axes) -> Volume:
    if _is_hdf5(path):
        stored = ArrayInfo(info.name, info.shape[::-1], info.dtype)
        volume = hdf5.open_array(path, stored, Axes(axes.letters[::-1]), "matlab")
        header = {**volume.header, "axes": axes.letters, "channel_axis": _channel(axes)}
        return Volume(volume.data, volume.geometry, header=header)

    def part(index: Index) -> NDArray[Any]:
        array = scipy.io.loadmat(str(path), variable_names=[info.name])[info.name][index]
        return np.asarray(array).astype(dtype, copy=False)

    dtype = np.dtype("u1" if info.dtype == "bool" else info.dtype)
    how = Stored(path, whole=True)
    data = lazy(axes.shape(info.shape), dtype, axes.fetching(info.shape, part), path=path, family="MATLAB", stored=how)
    header = make_header("matlab", path, key=info.name, axes=axes.letters, channel_axis=_channel(axes))
    return Volume(data, Geometry.from_spacing(data.shape[1:]), header=header)


def _channel(axes: Axes) -> int | None:
    return axes.channel_axes[0] if axes.channel_axes else None


def write(path: Path, array: NDArray[Any], geometry: Geometry, like: Volume | None) -> None:
    """Store version 5, rows first, under the source's key (`label` without one)."""
    known = same_format(like, "matlab")
    axes = Axes(known.get("axes", "yxz" if array.shape[1] > 1 else "yx")).for_labels(array.shape)
    with atomic_path(path) as partial:
        scipy.io.savemat(
            str(partial), {known.get("key", "label"): axes.stored(array)}, do_compression=True, appendmat=False
        )


FORMAT: Final = Format("matlab", (".mat",), read, write, writes=(".mat",), keys=keys, arranged=read)
