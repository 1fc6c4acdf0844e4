"""Folder arrangements that are read as they are: one row a layout, tried in the order of the table.

A layout is an object with `matches(folder) -> bool` and `open(folder) -> Dataset`. It may leave `channels`,
`modality`, `labels.structures`, `group_rule` and each case's `group` empty: what no file states is then discovered
from the data. A case with a label and no image has empty `images`; the check reports it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from segwright.core.case import Dataset
from segwright.core.errors import SegwrightError
from segwright.core.registry import Registry


class Layout(Protocol):
    """One arrangement of files.

    Attributes:
        looks_like: In words, what such a folder holds; shown when no layout fits.

    A row may have `stated = True`: files name the cases one by one, so what the layout says is not judged.
    """

    looks_like: str

    def matches(self, folder: Path) -> bool:
        """Whether the folder is arranged so; must be quick. What cannot be read is not arranged so: see `fits`."""
        ...

    def open(self, folder: Path) -> Dataset:
        """The folder as cases; paths relative to `folder`."""
        ...


def fits(row: Layout, place: Path) -> bool:
    """Whether a place is arranged as a layout says; not where looking into it fails."""
    try:
        return row.matches(place)
    except (SegwrightError, OSError):
        return False


@runtime_checkable
class Doubting(Protocol):
    """A layout that may fit a folder by chance; those after it are then asked too."""

    def doubtful(self, folder: Path) -> bool:
        """Whether the folder, which it matches, may as well be arranged otherwise."""
        ...


_HERE = "segwright.io.layouts"

LAYOUTS = Registry(
    "segwright.layouts",
    {
        "rle": "segwright.io.formats.rle.layout:RLE_TABLE",
        "table": f"{_HERE}.table:TABLE",
        "decathlon": f"{_HERE}.nnunet:DECATHLON",
        "nnunet": f"{_HERE}.nnunet:NNUNET",
        "bids": f"{_HERE}.bids:BIDS",
        "tracking": f"{_HERE}.tracking:TRACKING",
        "totalsegmentator": f"{_HERE}.totalsegmentator:TOTALSEGMENTATOR",
        "dicomseg": "segwright.io.formats.dicomseg.layout:DICOMSEG",
        "coco": f"{_HERE}.outlines:COCO",
        "labelme": f"{_HERE}.outlines:LABELME",
        "outlines": f"{_HERE}.outlines:OUTLINES",
        "sections": f"{_HERE}.sections:SECTIONS",
        "pairs": f"{_HERE}.pairs:PAIRS",
        "patients": f"{_HERE}.patients:PATIENTS",
        "suffix": f"{_HERE}.suffix:SUFFIX",
        "stacked": f"{_HERE}.stacked:STACKED",
        "container": f"{_HERE}.container:CONTAINER",
        "parts": f"{_HERE}.pairs:PARTS",
    },
)
