"""A folder of images with COCO JSON files that list their objects."""

from __future__ import annotations

from pathlib import Path

from segwright import io
from segwright.core.case import Dataset
from segwright.core.errors import SegwrightError
from segwright.io import coco
from segwright.io.layouts.listing import draft
from segwright.io.layouts.named import cases_of, files_below, images_below


class Coco:
    """One COCO file or several (train, val), beside or above the images."""

    looks_like = "images and a COCO JSON file (images/a.png, annotations.json)"

    def matches(self, folder: Path) -> bool:
        """Whether there is a COCO file, and there are images."""
        try:
            return bool(_documents(folder)) and bool(images_below(_root(folder)))
        except (SegwrightError, OSError):
            return False

    def open(self, folder: Path) -> Dataset:
        """One case an image; a category a structure."""
        return objects(_root(folder), folder)


COCO = Coco()


def _root(place: Path) -> Path:
    return place.parent if place.is_file() else place


def _documents(place: Path) -> list[Path]:
    """COCO files of a place, which may be one itself; not looked for among hundreds of JSON files."""
    found = [place] if place.is_file() else files_below(place, (".json",))
    return [path for path in found if io.form_of(path) is coco.FORM] if len(found) <= 40 else []


def objects(images: Path, labels: Path) -> Dataset:
    """Images of one folder with the objects that COCO files list."""
    documents = _documents(labels)
    pairs = [(path, entry) for path in documents for entry in coco.entries(path)]
    cases, rule, notes = cases_of(images_below(images), pairs, images)
    notes.append(f"Labels from {', '.join(path.name for path in documents)}; a category is a structure.")
    return draft(images, "coco", cases, notes=notes, group_rule=rule)
