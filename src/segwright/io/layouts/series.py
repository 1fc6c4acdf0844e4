"""Chooses among what a source holds several of (DICOM series, places in a NIfTI header) by the label's grid."""

from __future__ import annotations

from collections import Counter
from itertools import product

from segwright import io
from segwright.core.case import Case, Dataset, Source
from segwright.core.errors import ChoiceError, Reading, SegwrightError
from segwright.core.geometry import Geometry
from segwright.core.volume import Volume
from segwright.core.words import amount
from segwright.io import dicom
from segwright.io.drawing import is_drawn
from segwright.io.grids import fits_grid, has_place
from segwright.io.sources import volume_of

#: Series by identifier, with what each is called.
Names = dict[str, str]


def with_series(dataset: Dataset) -> Dataset:
    """The dataset with the series of each case named, where its folder holds several that can be a scan.

    Those that the dataset's channels name are taken, else the one on whose grid the label lies. Where none fits, the
    source is left as it is, and reading it says what there is.

    Raises:
        ChoiceError: Several of every case lie on the label's grid, as phases do: which is meant has to be said.
    """
    inside = {case.id: names for case in dataset.cases if len(names := _inside(dataset, case)) > 1}
    wanted = {word.lower() for word in dataset.channels}
    named = {case: {u: n for u, n in names.items() if n.lower() in wanted} for case, names in inside.items()}
    if inside and wanted and all({n.lower() for n in one.values()} == wanted for one in named.values()):
        return _with(
            dataset, named, f"Of the series of each folder, {', '.join(dataset.channels)} are read, as stated."
        )
    fitting = {c.id: _fitting(dataset, c, inside[c.id]) for c in dataset.labelled if c.id in inside}
    _refuse_phases(dataset, [series for series in fitting.values() if series])
    single = {case: series for case, series in fitting.items() if len(series) == 1}
    if not single:
        return dataset
    others = sorted(
        {name for case, series in single.items() for uid, name in inside[case].items() if uid not in series}
    )
    note = "Folders hold several DICOM series; the one on whose grid the label lies is read, the others "
    note += f"({', '.join(others[:6])}) are left aside. Correct 'key' in dataset.yaml if another is meant."
    return _with(dataset, single, note)


def _with(dataset: Dataset, chosen: dict[str, Names], note: str) -> Dataset:
    order = [word.lower() for word in dataset.channels]
    cases = tuple(_chosen(case, chosen[case.id], order) if case.id in chosen else case for case in dataset.cases)
    return dataset.model_copy(update={"cases": cases, "notes": (*dataset.notes, note)})


def _chosen(case: Case, series: Names, order: list[str]) -> Case:
    uids = sorted(series, key=lambda uid: order.index(series[uid].lower()) if len(series) > 1 else 0)
    return case.model_copy(update={"images": tuple(Source(path=case.images[0].path, key=uid) for uid in uids)})


def _refuse_phases(dataset: Dataset, fitting: list[Names]) -> None:
    kinds = {tuple(sorted(series.values())) for series in fitting}
    names = min(kinds, default=())
    if len(kinds) != 1 or len(names) < 2 or len(set(names)) < len(names):
        return
    count = amount(len(fitting), "case")
    single = [Reading(f"{name} alone: {count} of 1 channel", {"channels": [name]}) for name in names]
    every = Reading(f"all as channels: {count} of {len(names)} channels", {"channels": [*names]})
    raise ChoiceError(
        f"Folders hold {len(names)} DICOM series on the grid of the label, and nothing says which is meant.",
        [*single, every],
        dataset.root,
        expected="one series a folder, or series that are named as channels",
    )


def _inside(dataset: Dataset, case: Case) -> Names:
    """The series of a case's folder that can be its scan."""
    if len(case.images) != 1 or case.images[0].key:
        return {}
    path = dataset.path(case.images[0])
    if not path.is_dir() or io.sniff(path) != "dicom":
        return {}
    try:
        return dicom.series_in(path)
    except SegwrightError:
        return {}  # reading it says what is wrong


def _fitting(dataset: Dataset, case: Case, inside: Names) -> Names:
    """The series on whose grid the label lies."""
    if is_drawn(dataset, case):
        return {}
    path = dataset.path(case.images[0])
    try:
        label = volume_of(dataset, case.label[0])
        return {uid: name for uid, name in inside.items() if _lies_on(label, io.read(path, key=uid))}
    except SegwrightError:
        return {}  # reading it says what is wrong


def _lies_on(label: Volume, image: Volume) -> bool:
    return fits_grid(label.geometry, image.geometry)


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
