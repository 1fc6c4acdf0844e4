"""Images and one JSON file of polygons each, side by side or in parallel folders."""

from __future__ import annotations

from pathlib import Path

from segwright import io
from segwright.core.case import Dataset
from segwright.core.errors import SegwrightError
from segwright.io import labelme
from segwright.io.drawn import Entry, json_of
from segwright.io.layouts.content import sample_paths
from segwright.io.layouts.listing import draft
from segwright.io.layouts.named import cases_of, files_below, images_below


class LabelMe:
    """A JSON file an image, matched by the image's name in it or by its own."""

    looks_like = "images and a LabelMe JSON of polygons for each (images/a.png, labels/a.json, or side by side)"

    def matches(self, folder: Path) -> bool:
        """Whether most of a few JSON files hold shapes, and there are images."""
        try:
            return bool(_documents(folder)) and bool(images_below(folder))
        except (SegwrightError, OSError):
            return False

    def open(self, folder: Path) -> Dataset:
        """One case an image; a class a structure."""
        return polygons(folder, folder)


LABELME = LabelMe()


def _documents(folder: Path) -> list[Path]:
    """JSON files, if those looked at hold shapes."""
    if not folder.is_dir():
        return []
    found = files_below(folder, (".json",))
    some = sample_paths(found, 5)
    good = sum(io.form_of(path) is labelme.FORM for path in some)
    return found if good * 2 > len(some) else []


def polygons(images: Path, labels: Path) -> Dataset:
    """Images of one folder with the polygons of another (or the same)."""
    pairs: list[tuple[Path, Entry]] = []
    other = []
    found = images_below(images)
    stems = {item.stem.rpartition("/")[2].lower() for item in found}
    for path in _documents(labels):
        form = io.form_of(path)
        if form is labelme.FORM:
            pairs.append((path, _named(path)))
        elif path.stem.lower() in stems and _broken(path):
            pairs.append((path, Entry("", None, None, ())))  # kept, so that the check can tell
        else:
            other.append(path.name)
    cases, rule, notes = cases_of(found, pairs, images)
    notes.append("Labels are polygons, one JSON file an image; a pixel is set if its centre lies inside.")
    if other:
        notes.append(f"JSON files without shapes are left out: {', '.join(other[:5])}.")
    return draft(images, "labelme", cases, notes=notes, group_rule=rule)


def _broken(path: Path) -> bool:
    """Whether a file is no JSON at all."""
    try:
        json_of(path)
    except SegwrightError:
        return True
    return False


def _named(path: Path) -> Entry:
    """The entry of a file; a file whose shapes cannot be read keeps its own name, so that the check can tell."""
    try:
        return labelme.entries(path)[0]
    except SegwrightError:
        return Entry("", None, None, ())
