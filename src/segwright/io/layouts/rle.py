"""A folder of images with a CSV table of run lengths, a row a structure and image."""

from __future__ import annotations

from pathlib import Path

from segwright import io
from segwright.core.case import Dataset
from segwright.core.errors import SegwrightError
from segwright.io import runlabels
from segwright.io.layouts.listing import draft
from segwright.io.layouts.named import cases_of, files_below, images_below


class RunTable:
    """One table beside or above the images."""

    stated = True
    looks_like = "images and a CSV table of run lengths (images/a.png, train.csv with image_name, class, rle)"

    def matches(self, folder: Path) -> bool:
        """Whether there is exactly one such table, and there are images."""
        try:
            return len(_tables(folder)) == 1 and bool(images_below(_root(folder)))
        except (SegwrightError, OSError):
            return False

    def open(self, folder: Path) -> Dataset:
        """One case an image; a class a structure."""
        return masks(_root(folder), _tables(folder)[0])


RLE = RunTable()


def _root(place: Path) -> Path:
    return place.parent if place.is_file() else place


def _tables(place: Path) -> list[Path]:
    found = [place] if place.is_file() else files_below(place, (".csv", ".tsv"), depth=2)
    return [path for path in found if io.form_of(path) is runlabels.FORM]


def masks(images: Path, table: Path) -> Dataset:
    """Images of one folder with the masks of a table."""
    pairs = [(table, entry) for entry in runlabels.entries(table)]
    cases, rule, notes = cases_of(images_below(images), pairs, images)
    image, classes, rle = runlabels.columns_of(table)
    told = f"columns {', '.join((image, *classes, rle))}"
    notes.append(f"Labels from {table.name} ({told}); runs go along rows and start from 1.")
    return draft(images, "rle", cases, notes=notes, group_rule=rule)
