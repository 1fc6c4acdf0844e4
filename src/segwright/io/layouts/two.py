"""Labels in one place and images in another, or labels alone: what conversion is given beside whole datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segwright import io
from segwright.core.case import Case, Dataset, LabelSource
from segwright.core.errors import LayoutError
from segwright.io.formats import coco, labelme, rle
from segwright.io.formats.dicomseg.layout import DICOMSEG, referenced
from segwright.io.formats.rle.layout import masks
from segwright.io.layouts.listing import add_structures, draft, label_source, pair_items, structure_names, unique_ids
from segwright.io.layouts.named import files_below, images_below
from segwright.io.layouts.names import safe_id
from segwright.io.layouts.outlines import objects, outlined, polygons
from segwright.io.layouts.pairs import arranged
from segwright.io.layouts.scan import Item, items, relative, subfolders


def two_places(labels: Path, images: Path) -> Dataset:
    """Labels of any form with the images they were drawn on.

    Raises:
        LayoutError: No labels are found, or none fits an image.
    """
    documents = drawn_files(labels)
    forms = {io.form_of(path) for path in documents}
    if labelme.FORM in forms:
        found = polygons(images, labels)
    elif coco.FORM in forms:
        found = objects(images, labels)
    elif rle.FORM in forms:
        found = masks(images, documents[0])
    elif any(form is not None and form.paired for form in forms):
        found = outlined(images, labels)
    elif DICOMSEG.holds_labels(labels):
        found = referenced(images, labels)
    else:
        found = arranged(images, [images], {"": labels})
    if not any(case.label and case.images for case in found.cases):
        raise LayoutError(
            "No label fits an image.",
            expected=f"labels named as the {len(images_below(images))} images in {images.name}",
            got=f"{len(found.cases)} names that differ",
            where=labels,
            hint="Give the folder of the images these labels were drawn on.",
        )
    return found


def labels_alone(place: Path) -> Dataset | None:
    """Labels without images: of masks each is its own image; of drawn labels the file states the size."""
    documents = drawn_files(place)
    if documents:
        return _drawn_alone(place, documents)
    return _masks_alone(place) if place.is_dir() else None


def drawn_files(place: Path) -> list[Path]:
    """Files of labels that name their structures in a place, which may be one itself."""
    found = [place] if place.is_file() else files_below(place, io.drawn_suffixes())
    return [path for path in found if io.form_of(path) is not None]


def _drawn_alone(place: Path, documents: Sequence[Path]) -> Dataset:
    root = place.parent if place.is_file() else place
    cases = []
    for path in documents:
        form = io.form_of(path)
        for entry in form.entries(path) if form else ():
            name = Path(entry.image.replace("\\", "/")).stem if entry.key is not None else path.stem
            label = (LabelSource(path=relative(path, root), key=entry.key),)
            cases.append(Case(id=safe_id(name or path.stem), images=(), label=label, group=""))
    return draft(root, "labels", unique_ids(cases), channels=("none",), modality="other")


def _masks_alone(folder: Path) -> Dataset | None:
    """Files of values, or a folder of masks for each structure."""
    own = items(folder)
    if own:
        cases = [
            Case(id=safe_id(i.stem), images=(i.source(folder),), label=(label_source(i, folder),), group="")
            for i in own
        ]
        return draft(folder, "labels", unique_ids(cases), channels=("none",), modality="other")
    sets: dict[str, list[Item]] = {child.name: items(child) for child in subfolders(folder)}
    sets = {name: found for name, found in sets.items() if found}
    if not sets:
        return None
    first = {item.stem: item for found in sets.values() for item in found}
    names = structure_names(sets)
    _, bare = pair_items(list(first.values()), (), folder)
    cases_of_all = add_structures(bare, {names[name]: found for name, found in sets.items()}, folder)
    return draft(folder, "labels", cases_of_all, channels=("none",), modality="other")
