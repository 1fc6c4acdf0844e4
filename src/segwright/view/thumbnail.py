"""Small pictures of cases as PNG: a slice with its labels laid over it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.io.image import encoded
from segwright.view.label_codes import LabelCodes
from segwright.view.scan import Scan

#: Longer edge of a thumbnail.
EDGE = 112


def thumbnail(scan: Scan, coded: LabelCodes | None, colours: list[str], view: dict[str, Any]) -> bytes:
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
    turned = np.clip(np.rint(_turned(pixels, view)), 0, 255).astype(np.uint8)
    high, wide = turned.shape[0] * view["row_size"], turned.shape[1] * view["column_size"]
    scale = EDGE / max(high, wide)
    return encoded(turned, size=(max(1, round(high * scale)), max(1, round(wide * scale))))


def _lay(pixels: NDArray[Any], codes: NDArray[Any], coded: LabelCodes, colours: list[str]) -> None:
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
