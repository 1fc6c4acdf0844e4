"""Small pictures of cases as PNG, without an imaging library: a slice with its labels laid over it."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.view.coded import Coded
from segwright.view.scan import Scan

#: Longer edge of a thumbnail.
EDGE = 112


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode `(rows, columns, 3)` as PNG.

    Example:
        >>> png(np.zeros((2, 3, 3), np.uint8))[:8]
        b'\\x89PNG\\r\\n\\x1a\\n'
    """
    rows, columns, _ = pixels.shape
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), pixels.reshape(rows, -1)], axis=1)
    head = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b"")]
    chunks = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def thumbnail(scan: Scan, coded: Coded | None, colours: list[str], view: dict[str, Any]) -> bytes:
    """A case as PNG of at most `EDGE` pixels, on the slice with most label, as the page would turn it."""
    depth = scan.volume.geometry.shape[0]
    index = depth // 2 if coded is None else int((coded.codes > 0).sum(axis=(1, 2)).argmax() or depth // 2)
    step = max(1, max(scan.volume.geometry.shape[1:]) // (2 * EDGE))
    plane = np.nan_to_num(scan.plane(0, index, channel=0, step=step).astype(np.float32))
    low, high = np.percentile(plane, (0.5, 99.5))
    grey = np.clip((plane - low) / max(high - low, 1e-6), 0, 1) * 255
    pixels = np.repeat(grey[..., None], 3, axis=2)
    if coded is not None:
        _lay(pixels, coded.codes[index, step // 2 :: step, step // 2 :: step], coded, colours)
    return png(_fitted(_turned(pixels, view), view))


def _lay(pixels: NDArray[Any], codes: NDArray[Any], coded: Coded, colours: list[str]) -> None:
    """Blend the colours of structures over the picture."""
    table = np.zeros((len(coded.members), 3), np.float32)
    shown = np.zeros(len(coded.members), bool)
    for code, members in enumerate(coded.members):
        rgb = [_rgb(colours[m]) for m in members if 0 <= m < len(colours)]
        if rgb:
            table[code], shown[code] = np.mean(rgb, axis=0), True
    rows, columns = min(pixels.shape[0], codes.shape[0]), min(pixels.shape[1], codes.shape[1])
    codes = codes[:rows, :columns]
    inside = shown[codes]
    part = pixels[:rows, :columns]
    part[inside] = 0.45 * part[inside] + 0.55 * table[codes][inside]


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _turned(pixels: NDArray[Any], view: dict[str, Any]) -> NDArray[Any]:
    """Rows and columns as they are shown."""
    if view["transposed"]:
        pixels = pixels.transpose(1, 0, 2)
    return pixels[:: -1 if view["flip_rows"] else 1, :: -1 if view["flip_columns"] else 1]


def _fitted(pixels: NDArray[Any], view: dict[str, Any]) -> NDArray[np.uint8]:
    """Averaged down to `EDGE`, with square millimetres."""
    rows, columns = pixels.shape[:2]
    high, wide = rows * view["row_size"], columns * view["column_size"]
    scale = EDGE / max(high, wide)
    shape = max(1, round(high * scale)), max(1, round(wide * scale))
    first = _resized(pixels, shape[0], 0)
    return np.clip(np.rint(_resized(first, shape[1], 1)), 0, 255).astype(np.uint8)


def _resized(pixels: NDArray[Any], length: int, axis: int) -> NDArray[Any]:
    """Means over equal parts of an axis; nearest where it grows."""
    edges = np.linspace(0, pixels.shape[axis], length + 1)
    if length >= pixels.shape[axis]:
        return np.take(pixels, np.minimum(edges[:-1].astype(int), pixels.shape[axis] - 1), axis=axis)
    starts = edges[:-1].astype(int)
    sums = np.add.reduceat(pixels, starts, axis=axis)
    counts = np.diff(np.append(starts, pixels.shape[axis]))
    return sums / counts.reshape([-1 if a == axis else 1 for a in range(pixels.ndim)])
