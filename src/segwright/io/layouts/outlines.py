"""Images with files of labels that name their structures, in any form that finds its image by names."""

from __future__ import annotations

from pathlib import Path

from segwright import io
from segwright.core.case import Dataset
from segwright.core.errors import SegwrightError
from segwright.io.drawn import Entry
from segwright.io.layouts.listing import draft
from segwright.io.layouts.named import cases_of, files_below, images_below


class Outlines:
    """A file of labels an image, or one for many, beside the images or in a folder of its own."""

    stated = True
    looks_like = (
        "images and files of outlines or segments that name their structures (YOLO .txt, QuPath .geojson, VIA .json, "
        "CVAT .xml, ImageJ .roi or .zip, Slicer .seg.nrrd)"
    )

    def matches(self, folder: Path) -> bool:
        """Whether there is such a file, and there are images."""
        try:
            return bool(documents(folder)) and bool(images_below(_root(folder)))
        except (SegwrightError, OSError):
            return False

    def open(self, folder: Path) -> Dataset:
        """One case an image; a class a structure."""
        return outlined(_root(folder), folder)


OUTLINES = Outlines()


def _root(place: Path) -> Path:
    return place.parent if place.is_file() else place


def documents(place: Path) -> list[Path]:
    """Files of labels in a place, which may be one itself."""
    found = [place] if place.is_file() else files_below(place, io.drawn_suffixes())
    return [path for path in found if (form := io.form_of(path)) is not None and form.paired]


def outlined(images: Path, labels: Path) -> Dataset:
    """Images of one folder with the labels of another (or the same)."""
    found = documents(labels)
    forms = sorted({form.name for path in found if (form := io.form_of(path)) is not None})
    pairs = [(path, entry) for path in found for entry in _entries(path)]
    cases, rule, notes = cases_of(images_below(images), pairs, images)
    notes.append(f"Labels are {' and '.join(forms)} files that name their structures.")
    return draft(images, "outlines", cases, notes=notes, group_rule=rule)


def _entries(path: Path) -> tuple[Entry, ...]:
    """Images of a file; one that cannot be read keeps its own name, so that the check can tell."""
    form = io.form_of(path)
    try:
        return form.entries(path) if form else ()
    except SegwrightError:
        return (Entry("", None, None, ()),)
