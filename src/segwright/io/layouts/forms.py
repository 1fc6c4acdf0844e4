"""Chooses between the two places that a NIfTI header may state for one scan: the one on which the label lies."""

from __future__ import annotations

from collections import Counter
from itertools import product

from segwright.core.case import Case, Dataset
from segwright.core.errors import SegwrightError
from segwright.core.geometry import Geometry
from segwright.core.volume import Volume
from segwright.io.drawing import is_drawn
from segwright.io.grids import fits_grid, has_place
from segwright.io.sources import volume_of

#: Forms of image and label, `None` the usual one.
Forms = tuple[str | None, str | None]


def with_grids(dataset: Dataset) -> Dataset:
    """The dataset with sform or qform named for images or labels that lie together by that one only.

    Costs the headers of all cases of which a label does not lie on its image as both are usually read.
    """
    found = {case.id: _forms(dataset, case) for case in dataset.cases if case.label and len(case.images) == 1}
    counts = Counter(forms for forms in found.values() if forms)
    if not counts:
        return dataset
    cases = tuple(_stated(case, found.get(case.id)) for case in dataset.cases)
    told = "; ".join(f"{_words(forms)} in {count} cases" for forms, count in counts.items())
    note = (
        f"Headers state two places for one scan (sform and qform); that on which image and label lie together is used: "
        f"{told}. Correct 'grid' in dataset.yaml if the other is right."
    )
    return dataset.model_copy(update={"cases": cases, "notes": (*dataset.notes, note)})


def _words(forms: Forms) -> str:
    image, label = forms
    return " and ".join([f"the image's {image}"] * bool(image) + [f"the label's {label}"] * bool(label))


def _stated(case: Case, forms: Forms | None) -> Case:
    if not forms:
        return case
    image, label = forms
    images = tuple(source.model_copy(update={"grid": image}) for source in case.images)
    labels = tuple(source.model_copy(update={"grid": label}) for source in case.label)
    return case.model_copy(update={"images": images, "label": labels})


def _forms(dataset: Dataset, case: Case) -> Forms | None:
    """The forms to use, where the usual ones do not fit and others do."""
    if is_drawn(dataset, case) or any(source.grid for source in (*case.images, *case.label)):
        return None
    try:
        image, label = volume_of(dataset, case.images[0]), volume_of(dataset, case.label[0])
    except SegwrightError:
        return None  # the check says what is wrong
    if not (has_place(image.geometry) and has_place(label.geometry)):
        return None
    for one, two in product(_grids(image).items(), _grids(label).items()):
        if fits_grid(two[1], one[1]):
            return None if one[0] is two[0] is None else (one[0], two[0])
    return None


def _grids(volume: Volume) -> dict[str | None, Geometry]:
    """The grid as usually read, then those that the header states."""
    return {None: volume.geometry, **volume.header.get("grids", {})}
