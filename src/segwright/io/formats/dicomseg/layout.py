"""DICOM images with the SEG objects or RT structure sets that refer to them, in any folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from segwright import io
from segwright.core.case import Case, Dataset, LabelSource
from segwright.core.errors import SegwrightError
from segwright.io import dicom
from segwright.io.formats import dicomseg, rtstruct
from segwright.io.formats.dicomseg import Reference
from segwright.io.layouts.listing import draft, unique_ids
from segwright.io.layouts.named import case_id, common_folder, images_below
from segwright.io.layouts.names import safe_id
from segwright.io.layouts.scan import Item, is_dicom, relative, visible


class DicomSeg:
    """Labels find their images by the identifiers written in them, whatever files are called."""

    looks_like = "DICOM images or series, and the DICOM SEG or RTSTRUCT files drawn on them"

    def matches(self, folder: Path) -> bool:
        """Whether there is a SEG or RTSTRUCT, and a DICOM image."""
        return bool(label_files(folder)) and bool(_images(folder)[0])

    def holds_labels(self, folder: Path) -> bool:
        """Whether there is a SEG or RTSTRUCT."""
        return bool(label_files(folder))

    def open(self, folder: Path) -> Dataset:
        """One case a series (or single image); several labels of one series are united."""
        return referenced(folder, folder)


DICOMSEG = DicomSeg()


def label_files(folder: Path, depth: int = 4) -> list[Path]:
    """SEG and RTSTRUCT files in a folder and below it; the place may be one itself."""
    if folder.is_file():
        return [folder] if io.form_of(folder) in (dicomseg.FORM, rtstruct.FORM) else []
    found = []
    for entry in visible(folder):
        if entry.is_dir():
            found += label_files(entry, depth - 1) if depth > 0 else []
        elif io.form_of(entry) in (dicomseg.FORM, rtstruct.FORM):
            found.append(entry)
    return found


def _images(folder: Path) -> tuple[list[Item], list[Item]]:
    """DICOM images, and other scans that are left out."""
    found = images_below(folder)
    images = [item for item in found if item.kind == "series" or is_dicom(item.path)]
    return [one for item in images for one in _each_series(item)], [item for item in found if item not in images]


def referenced(images: Path, labels: Path) -> Dataset:
    """Images of one folder with the labels of another (or the same)."""
    found, other = _images(images)
    owner: dict[Item, list[LabelSource]] = defaultdict(list)
    cases = []
    for path, owned in _owned(found, label_files(labels)).items():
        source = LabelSource(path=relative(path, images))
        item = owned or (found[0] if len(found) == 1 else None)
        if item is None:
            cases.append(Case(id=safe_id(path.stem), images=(), label=(source,), group=""))
        else:
            owner[item].append(source)
    top = common_folder(found) or images
    for item in found:
        label = tuple(owner.get(item, ()))
        cases.append(Case(id=case_id(item, top), images=(item.source(images),), label=label, group=""))
    notes = ["Labels are DICOM SEG or RTSTRUCT files, found by the series they refer to."]
    if other:
        notes.append(f"Files that are no DICOM images are left out: {', '.join(i.path.name for i in other[:6])}.")
    return draft(images, "dicomseg", unique_ids(cases), notes=notes)


def owners(images: Sequence[Item], labels: Sequence[Path]) -> dict[Path, str | None]:
    """The stem of the image that each SEG or RTSTRUCT file refers to; `None` where it refers to none of these."""
    return {path: item.stem if item else None for path, item in _owned(images, labels).items()}


def _owned(images: Sequence[Item], labels: Sequence[Path]) -> dict[Path, Item | None]:
    known = _identifiers(images)
    return {path: _image_of(path, known) for path in labels}


class _Known(NamedTuple):
    """Images by the identifier of their series, of each file, and of the space that they share with others."""

    series: dict[str, list[Item]]
    single: dict[str, Item]
    frames: dict[str, list[Item]]


def _identifiers(found: Sequence[Item]) -> _Known:
    known = _Known(defaultdict(list), {}, defaultdict(list))
    for item in found:
        try:
            header = io.read(item.path, key=item.key).header
        except SegwrightError:
            continue  # the check will say what is wrong
        known.series[str(header.get("series_uid"))].append(item)
        known.frames[str(header.get("frame_of_reference"))].append(item)
        known.single.update(dict.fromkeys(map(str, header.get("frame_uids", ())), item))
    return known


def _each_series(item: Item) -> list[Item]:
    """A folder of several series as one item a series."""
    if item.kind != "series" or item.key:
        return [item]
    try:
        inside = dicom.series_in(item.path)
    except SegwrightError:
        return [item]  # the check will say what is wrong
    return [item] if len(inside) < 2 else [replace(item, stem=f"{item.stem}/{uid}", key=uid) for uid in inside]


def _image_of(path: Path, known: _Known) -> Item | None:
    """The image a label refers to: by the files it names, else by series or space where these hold one image."""
    try:
        told: Reference = (dicomseg if io.form_of(path) is dicomseg.FORM else rtstruct).reference(path)
    except SegwrightError:
        return None
    for uid in told.images:
        if uid in known.single:
            return known.single[uid]
    fitting = [item for uid in told.series for item in known.series.get(uid, ())]
    if not fitting and told.frame:
        fitting = known.frames.get(told.frame, [])
    return fitting[0] if len(fitting) == 1 else None
