"""Pictures of the ways in which labels may lie, for a person to choose by: kept until the question is answered."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.io.image import write_captioned

#: Cases, and slices of each, in a picture of a way; a slice has about so many pixels on its longer side.
_SHOWN, _PANEL = 3, 256
#: Seconds for which pictures of another data set are kept: whoever was asked has answered, or will ask again.
_KEPT = 7 * 24 * 3600
_PREFIX = "segwright-ways-"

Scene = tuple[NDArray[Any], dict[str, NDArray[Any]]]


def pictures(
    root: str, ways: Sequence[str], captions: Sequence[Sequence[str]], scenes: Iterator[Scene]
) -> list[Path | None]:
    """A picture of each way in a new folder of the system's temporary one; `None` of a way that no case shows.

    The folder replaces those of earlier questions on the same data set; old ones of others go too. Where nothing can
    be shown there is no folder.

    Args:
        root: The data set.
        ways: What each way is called.
        captions: Lines of text above each picture.
        scenes: Scans `(z, y, x)` with the label in each way; only the first few are taken.
    """
    drop_pictures(root)
    rows = [_rows(scan, labels) for scan, labels in islice(scenes, _SHOWN)]
    pages = {way: found for way in ways if (found := [one[way] for one in rows if way in one])}
    if not pages:
        return [None] * len(ways)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{_mark(root)}-"))
    out: list[Path | None] = []
    for number, (way, caption) in enumerate(zip(ways, captions, strict=True), 1):
        if way not in pages:
            out.append(None)
            continue
        width = max(one.shape[1] for one in pages[way])
        page = np.concatenate([np.pad(one, ((0, 4), (0, width - one.shape[1]), (0, 0))) for one in pages[way]])
        path = folder / f"{number}-{re.sub('[^a-z]+', '-', way)}.png"
        write_captioned(path, page, caption)
        out.append(path)
    return out


def drop_pictures(root: str) -> None:
    """Remove the pictures of earlier questions on a data set, and those of others that are a week old."""
    old = time.time() - _KEPT
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            if folder.name.startswith(f"{_PREFIX}{_mark(root)}-") or folder.stat().st_mtime < old:
                shutil.rmtree(folder, ignore_errors=True)  # those of another person stay, as they must
        except OSError:
            continue  # another process was quicker


def _mark(root: str) -> str:
    """A short word by which the folders of a data set are known."""
    return hashlib.blake2b(str(Path(root).resolve()).encode(), digest_size=6).hexdigest()


def _rows(scan: NDArray[Any], labels: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.uint8]]:
    """For each way the slices of a case `(y, x, 3)` side by side in which its label is largest, outlined in red."""
    voxels = scan.astype(np.float64)
    low, high = np.nanpercentile(voxels[:, ::3, ::3], [1, 99])
    grey = (np.clip((np.nan_to_num(voxels) - low) / max(high - low, 1e-9), 0, 1) * 255).astype(np.uint8)
    return {way: _outlined(grey, label) for way, label in labels.items()}


def _outlined(grey: NDArray[np.uint8], label: NDArray[Any]) -> NDArray[np.uint8]:
    filled = np.flatnonzero((label != 0).any(axis=(1, 2)))
    chosen = filled[np.linspace(0, len(filled) - 1, 2 * _SHOWN + 1).astype(int)[1::2]] if len(filled) else [0]
    larger = max(1, _PANEL // max(grey.shape[1:]))
    panels = []
    for z in chosen:
        paint = np.repeat(grey[z][..., None], 3, axis=2).repeat(larger, 0).repeat(larger, 1)
        mask = label[z].repeat(larger, 0).repeat(larger, 1)
        edge = np.zeros(mask.shape, bool)
        edge[1:] |= mask[1:] != mask[:-1]
        edge[:, 1:] |= mask[:, 1:] != mask[:, :-1]
        paint[edge] = (255, 40, 40)
        panels.append(np.pad(paint, ((0, 0), (0, 4), (0, 0))))
    return np.concatenate(panels, axis=1)
