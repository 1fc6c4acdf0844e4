"""Unpacks a chunk of an array to no more bytes than the array says it has: the only door to numcodecs.

A chunk of some kilobytes may unpack to gigabytes. Streams are followed until one byte too many has come; of formats
that say how long their result is, that is read before anything is unpacked.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any

#: Bytes and the most that may come out of them, to what comes out.
Unpack = Callable[[bytes, int], bytes]
#: No stream of deflate unpacks to more than so many times its length (zlib's technical notes).
DEFLATE = 1032
#: Streams that may follow one another, by how they begin.
_MEMBERS = (b"\x1f\x8b", b"BZ", b"\xfd7")
#: Most bytes of a Zstandard block, and how its frames begin (RFC 8878, sections 3.1.1 and 3.1.2).
_ZSTD_BLOCK, _ZSTD, _ZSTD_SKIPPED = 1 << 17, 0xFD2FB528, 0x184D2A50
_ZSTD_UNSTATED = 64 << 20


def _demand(length: int, most: int) -> None:
    if length > most:
        raise ValueError(f"it unpacks to more than the {most} bytes that the array says it has")


def _stream(make: Callable[[], Any]) -> Unpack:
    """By a decompressor of the standard library, sums verified; streams behind one another are one."""

    def unpack(data: bytes, most: int) -> bytes:
        found, rest = bytearray(), data
        while rest:
            tool = make()
            found += tool.decompress(rest, most + 1 - len(found))
            _demand(len(found), most)
            if not tool.eof:  # the sum behind the last byte is still to come
                found += tool.decompress(getattr(tool, "unconsumed_tail", b""), 1)
                _demand(len(found), most)
            if not tool.eof:
                raise EOFError("the packed bytes end early")
            rest = tool.unused_data if data.startswith(_MEMBERS) and tool.unused_data[:2] == data[:2] else b""
        return bytes(found)

    return unpack


def _by_numcodecs(name: str, length: Callable[[bytes], int]) -> Unpack:
    """By numcodecs, once the length that the bytes state has been looked at."""

    def unpack(data: bytes, most: int) -> bytes:
        import numcodecs

        _demand(length(data), most)
        found = bytes(numcodecs.get_codec({"id": name}).decode(data))
        _demand(len(found), most)
        return found

    return unpack


def zstd_length(data: bytes) -> int:
    """Bytes that frames of Zstandard unpack to, as they state it.

    Of a frame that does not state it (as some programs write), what its blocks may hold at most counts, but for the
    first 64 MB: blocks need not be full.

    Raises:
        ValueError: They are no frames.

    Example:
        >>> import numcodecs
        >>> zstd_length(bytes(numcodecs.Zstd().encode(bytes(1000))) * 2)
        2000
    """
    total = at = 0
    while at + 8 <= len(data):
        magic = int.from_bytes(data[at : at + 4], "little")
        if magic & ~15 == _ZSTD_SKIPPED:
            at += 8 + int.from_bytes(data[at + 4 : at + 8], "little")
            continue
        if magic != _ZSTD:
            raise ValueError("no frame of Zstandard")
        length, at = _zstd_frame(data, at + 4)
        total += length
    return total


def _zstd_frame(data: bytes, at: int) -> tuple[int, int]:
    """Length of the result of a frame behind its magic number, and where the frame ends."""
    mark = data[at]
    single, dictionary = mark >> 5 & 1, (0, 1, 2, 4)[mark & 3]
    size, at = (single, 2, 4, 8)[mark >> 6], at + 2 - single + dictionary
    stated = int.from_bytes(data[at : at + size], "little") + (256 if size == 2 else 0)
    at, blocks, last = at + size, 0, 0
    while not last:
        head = int.from_bytes(data[at : at + 3], "little")
        last, kind, length = head & 1 if at + 3 <= len(data) else 1, head >> 1 & 3, head >> 3
        blocks += _ZSTD_BLOCK if kind == 2 else length
        at += 3 + (1 if kind == 1 else length)
    return stated if size else max(0, blocks - _ZSTD_UNSTATED), at + 4 * (mark >> 2 & 1)


_UNPACK: dict[str, Unpack] = {
    "gzip": _stream(lambda: zlib.decompressobj(zlib.MAX_WBITS | 32)),  # with either header, as N5 allows
    "bz2": _stream(bz2.BZ2Decompressor),
    "lzma": _stream(lzma.LZMADecompressor),
    "blosc": _by_numcodecs("blosc", lambda data: int.from_bytes(data[4:8], "little")),
    "lz4": _by_numcodecs("lz4", lambda data: int.from_bytes(data[:4], "little")),
    "zstd": _by_numcodecs("zstd", zstd_length),
}
_UNPACK |= {"zlib": _UNPACK["gzip"], "bzip2": _UNPACK["bz2"], "xz": _UNPACK["lzma"]}


def unpacker(name: str) -> Unpack | None:
    """What unpacks a compression, by its name in N5, Zarr or numcodecs; `None` for those whose length is not bounded.

    It raises `ValueError` where more would come out than may, before that fills the memory.

    Example:
        >>> unpacker("gzip")(zlib.compress(bytes(1 << 20)), 100)
        Traceback (most recent call last):
        ValueError: it unpacks to more than the 100 bytes that the array says it has
    """
    return _UNPACK.get(name)
