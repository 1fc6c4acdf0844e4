"""Images with files of labels that name their structures: a LabelMe file an image, COCO files, or any other form."""

from __future__ import annotations

from pathlib import Path

from segwright import io
from segwright.core.case import Dataset
from segwright.core.errors import SegwrightError
from segwright.io.drawn import Entry, json_of
from segwright.io.formats import coco, labelme
from segwright.io.layouts.content import sample_paths
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
        return bool(documents(folder)) and bool(images_below(_root(folder)))

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


class LabelMe:
    """A JSON file an image, matched by the image's name in it or by its own."""

    looks_like = "images and a LabelMe JSON of polygons for each (images/a.png, labels/a.json, or side by side)"

    def matches(self, folder: Path) -> bool:
        """Whether most of a few JSON files hold shapes, and there are images."""
        return bool(_polygon_files(folder)) and bool(images_below(folder))

    def open(self, folder: Path) -> Dataset:
        """One case an image; a class a structure."""
        return polygons(folder, folder)


LABELME = LabelMe()


def _polygon_files(folder: Path) -> list[Path]:
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
    for path in _polygon_files(labels):
        form = io.form_of(path)
        if form is labelme.FORM:
            pairs += [(path, entry) for entry in _entries(path)]
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


class Coco:
    """One COCO file or several (train, val), beside or above the images."""

    looks_like = "images and a COCO JSON file (images/a.png, annotations.json)"

    def matches(self, folder: Path) -> bool:
        """Whether there is a COCO file, and there are images."""
        return bool(_coco_files(folder)) and bool(images_below(_root(folder)))

    def open(self, folder: Path) -> Dataset:
        """One case an image; a category a structure."""
        return objects(_root(folder), folder)


COCO = Coco()


def _coco_files(place: Path) -> list[Path]:
    """COCO files of a place, which may be one itself; not looked for among hundreds of JSON files."""
    found = [place] if place.is_file() else files_below(place, (".json",))
    return [path for path in found if io.form_of(path) is coco.FORM] if len(found) <= 40 else []


def objects(images: Path, labels: Path) -> Dataset:
    """Images of one folder with the objects that COCO files list."""
    documents = _coco_files(labels)
    pairs = [(path, entry) for path in documents for entry in coco.entries(path)]
    cases, rule, notes = cases_of(images_below(images), pairs, images)
    notes.append(f"Labels from {', '.join(path.name for path in documents)}; a category is a structure.")
    return draft(images, "coco", cases, notes=notes, group_rule=rule)
