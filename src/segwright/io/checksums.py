"""Verifies what compressed files say of their own bytes: each file once, before its first voxel is used.

Decoders stop when they have what they want and never look at the sum behind it, so that a flipped bit passes for a
voxel. Streams are checked to their end in pieces; nothing is kept. HDF5 and Zarr check their chunks as they are read.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import ReadError
from segwright.io.companions import voxel_files

_PIECE = 1 << 20
_CURE = "Copy the file again from its source; if it is damaged there too, take the case out of the data set."
_MATLAB_PACKED = 15
#: Files that have passed, by path, time and size; forgotten when they are too many.
_passed: dict[tuple[str, int, int], None] = {}
_MOST = 100_000
_NRRD_PACKED = re.compile(rb"^encoding:\s*(gz|gzip)\s*$", re.IGNORECASE | re.MULTILINE)


def verify(path: Path, *, length: int | None = None) -> None:
    """Check the sums of a file, if it has any; a file is checked once while it stays as it is.

    Args:
        path: Gzip, PNG, zip (NumPy's too), NRRD, MetaImage or MATLAB file; others have no sums.
        length: Bytes that should come out of a gzip file at most; a stream that goes on is not followed.

    Raises:
        ReadError: A sum is wrong, or the file ends early. Costs one pass through the file.
    """
    mark = _mark(path)
    if mark in _passed:
        return
    with path.open("rb") as stream:
        head = stream.read(1 << 16)
    with _told(path):
        if head.startswith(b"\x1f\x8b"):
            _drain(pieces(path), length)
        elif head.startswith(b"\x89PNG\r\n\x1a\n"):
            _png(path)
        elif head.startswith(b"PK\x03\x04"):
            _zip(path)
        elif head.startswith(b"NRRD"):
            _nrrd(path, head)
        elif head.startswith((b"ObjectType", b"NDims")):
            _metaimage(path, head)
        elif head.startswith(b"MATLAB 5"):
            _matlab(path)
    _remember(mark)


def unpacked(path: Path, start: int, length: int) -> NDArray[np.uint8]:
    """Bytes `start` to `start + length` of what a gzip file unpacks to, verified to its end; costs one pass.

    Raises:
        ReadError: A sum is wrong, or the file ends early.
    """
    mark, out, at = _mark(path), np.empty(length, np.uint8), -start
    with _told(path):
        for piece in pieces(path):
            low, high = max(at, 0), min(at + len(piece), length)
            if low < high:
                out[low:high] = np.frombuffer(piece, np.uint8)[low - at : high - at]
            at += len(piece)
            _demand_end(at, start + length)
        if at < length:
            raise EOFError(f"{at + start} bytes, where {length + start} were expected")
    _remember(mark)
    return out


def _mark(path: Path) -> tuple[str, int, int]:
    stat = path.stat()
    return str(path), stat.st_mtime_ns, stat.st_size


def _remember(mark: tuple[str, int, int]) -> None:
    if len(_passed) > _MOST:
        _passed.clear()
    _passed[mark] = None


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What streams and archives complain of, as an error that says what to do."""
    try:
        yield
    except (zlib.error, zipfile.BadZipFile, EOFError, struct.error) as error:
        raise ReadError(
            "The file is damaged: its contents do not fit the checksum stored with them.",
            got=str(error),
            where=path,
            hint=_CURE,
        ) from error


def pieces(path: Path, *, start: int = 0, bits: int = 31) -> Iterator[bytes]:
    """What a gzip (`bits` 31) or zlib (15) stream unpacks to, in pieces, its sums checked at the end.

    Raises:
        zlib.error: A sum or code is wrong.
        EOFError: The stream ends early.
    """
    with path.open("rb") as stream:
        stream.seek(start)
        unpack, packed = zlib.decompressobj(bits), b""
        while True:
            packed = packed or stream.read(_PIECE)
            if not packed:
                yield unpack.flush()
                break
            yield unpack.decompress(packed, 8 * _PIECE)
            packed = unpack.unconsumed_tail
            if unpack.eof:
                packed = (unpack.unused_data or stream.read(_PIECE)).lstrip(b"\0")
                if not packed or bits != 31 or not packed.startswith(b"\x1f\x8b"):
                    return  # one stream of zlib, or bytes behind a gzip file that gzip leaves alone as well
                unpack = zlib.decompressobj(bits)
    if not unpack.eof:
        raise EOFError("the packed data end early")


def _drain(found: Iterator[bytes], length: int | None) -> None:
    """Read pieces to their end."""
    total = 0
    for piece in found:
        total += len(piece)
        if length is not None:
            _demand_end(total, length)


def _demand_end(total: int, length: int) -> None:
    """Stop following a stream that goes on and on."""
    if total > 2 * length + 16 * _PIECE:
        raise EOFError(f"the packed data go on after {total} bytes, where {length} were expected")


def _png(path: Path) -> None:
    """Chunks: length, name, data and the CRC of name and data (PNG specification, section 5.3)."""
    with path.open("rb") as stream:
        stream.seek(8)
        name = b""
        while name != b"IEND":
            head = stream.read(8)
            if len(head) < 8:
                raise EOFError("the picture ends early")
            length, name = struct.unpack(">I4s", head)
            found = zlib.crc32(name)
            while length:
                piece = stream.read(min(length, _PIECE))
                if not piece:
                    raise EOFError(f"chunk {name!r} ends early")
                found, length = zlib.crc32(piece, found), length - len(piece)
            if stream.read(4) != struct.pack(">I", found):
                raise zlib.error(f"chunk {name!r} does not fit its CRC")


def _zip(path: Path) -> None:
    """Members, as the archive's directory lists them; none is followed beyond the length it states."""
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            with archive.open(part) as member:
                left = part.file_size
                while piece := member.read(_PIECE):
                    left -= len(piece)
            if left:
                raise EOFError(f"{part.filename} ends early")


def _nrrd(path: Path, head: bytes) -> None:
    found = re.search(rb"\r?\n\r?\n", head)
    if found is None or not _NRRD_PACKED.search(head[: found.start()]):
        return
    files = voxel_files(path)
    for file in files:
        _drain(pieces(file), None)
    if not files:
        _drain(pieces(path, start=found.end()), None)


def _metaimage(path: Path, head: bytes) -> None:
    found = re.search(rb"ElementDataFile[ \t]*=[ \t]*(\S+)[^\n]*\n?", head)
    if found is None or not re.search(rb"CompressedData\s*=\s*True", head[: found.start()]):
        return
    files = voxel_files(path)
    for file, start in [(file, 0) for file in files] or [(path, found.end())]:
        _drain(pieces(file, start=start, bits=15), None)


def _matlab(path: Path) -> None:
    """Packed elements of a version 5 file: tag, length and a zlib stream."""
    with path.open("rb") as stream:
        order = "<" if stream.read(128)[126:128] == b"IM" else ">"
        while tag := stream.read(8):
            kind, length = struct.unpack(f"{order}II", tag)
            at = stream.tell()
            if kind == _MATLAB_PACKED:
                _drain(pieces(path, start=at, bits=15), None)
            stream.seek(at + length)
