"""MATLAB `.mat` files of versions 5 and 7.3, whose volumes are stored (rows, columns, slices)."""

from __future__ import annotations

import struct
import zlib
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
        _refuse_odd_tags(path)
        listed = scipy.io.whosmat(str(path))
    found = []
    for name, shape, label in listed:
        kind = _TYPES.get(label, str(label))
        if kind in np.sctypeDict and is_scan(shape, np.dtype(kind)):
            found.append(ArrayInfo(name, tuple(int(n) for n in shape), kind))
    return tuple(found)


#: Sizes of a version 5 file: its head, a tag, and how much of a packed array is unpacked to see the tags in front.
_HEAD, _TAG, _FRONT = 128, 8, 1 << 16
_MATRIX, _PACKED = 14, 15
#: Types of the numbers of an array, as MATLAB stores them.
_NUMBERS = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 12, 13})
#: Classes of arrays of numbers.
_NUMERIC = range(6, 16)


def _refuse_odd_tags(path: Path) -> None:
    """SciPy trusts the type that stands before the numbers of an array, and a wrong one ends the process.

    Raises:
        ReadError: An array of numbers is stored as no type of number.
    """
    with path.open("rb") as stream:
        order = {b"IM": "<", b"MI": ">"}.get(stream.read(_HEAD)[-2:])
        while order and len(tag := stream.read(_TAG)) == _TAG:
            kind, size = struct.unpack(order + "II", tag)
            begin = stream.tell()
            front = stream.read(min(size, _FRONT))
            if kind == _PACKED:
                front = zlib.decompressobj().decompress(front, _FRONT)
                front = front[_TAG:] if front[:4] == struct.pack(order + "I", _MATRIX) else b""
            if kind in {_MATRIX, _PACKED} and _odd(front, order):
                raise ReadError("An array is stored as no type of number.", where=path, hint="Copy the file again.")
            stream.seek(begin + size)


def _odd(front: bytes, order: str) -> bool:
    """Whether the front of an array of numbers (flags, shape, name, then the numbers) has a type it cannot have."""
    if len(front) < 2 * _TAG or front[_TAG if order == "<" else _TAG + 3] not in _NUMERIC:
        return False
    at = 0
    for _ in range(3):
        at += _length(front, at, order)
    kind = struct.unpack_from(order + "I", front, at)[0] if at + _TAG <= len(front) else 1
    return (kind & 0xFFFF) not in _NUMBERS


def _length(front: bytes, at: int, order: str) -> int:
    """Bytes of the element at a place, its tag and padding included; small ones lie inside their tag."""
    if at + _TAG > len(front):
        return 0
    kind, size = struct.unpack_from(order + "II", front, at)
    return _TAG if kind >> 16 else _TAG + -(-size // _TAG) * _TAG


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


FORMAT: Final = Format("matlab", read, write, writes=(".mat",), keys=keys, arranged=read)
