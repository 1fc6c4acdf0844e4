"""Chooses among several DICOM series of one folder: the one on whose grid the label lies, or all phases of one grid."""

from __future__ import annotations

from segwright import io
from segwright.core.case import Case, Dataset, Source
from segwright.core.errors import SegwrightError
from segwright.core.volume import Volume
from segwright.io import dicom
from segwright.io.drawing import is_drawn
from segwright.io.grids import fits_grid
from segwright.io.sources import volume_of


def with_series(dataset: Dataset) -> Dataset:
    """The dataset with the series of each case named, where its folder holds several that can be a scan.

    One on whose grid the label lies is taken; several that all have it are channels, if every case has the same ones.
    Where none or some fit, the source is left as it is, and reading it says what there is.
    """
    found = {case.id: _fitting(dataset, case) for case in dataset.cases if case.label and len(case.images) == 1}
    found = {case: series for case, series in found.items() if series}
    if not found:
        return dataset
    kinds = {tuple(sorted(series.values())) for series in found.values()}
    phases = len(kinds) == 1 and len(found) == len(dataset.labelled) and len(set(min(kinds))) == len(min(kinds))
    cases = tuple(_chosen(case, found.get(case.id, {}), phases) for case in dataset.cases)
    note = "Folders hold several DICOM series; the one on whose grid the label lies is read"
    names = min(kinds)
    if phases and len(names) > 1:
        note = f"Folders hold {len(names)} series on the label's grid ({', '.join(names)}); they are read as channels"
    note += ", the others are left aside. Correct 'key' in dataset.yaml if another is meant."
    channels = names if phases and len(names) > 1 else dataset.channels
    return dataset.model_copy(update={"cases": cases, "channels": channels, "notes": (*dataset.notes, note)})


def _chosen(case: Case, series: dict[str, str], phases: bool) -> Case:
    if not series or (len(series) > 1 and not phases):
        return case
    path = case.images[0].path
    uids = sorted(series, key=lambda uid: series[uid])
    return case.model_copy(update={"images": tuple(Source(path=path, key=uid) for uid in uids)})


def _fitting(dataset: Dataset, case: Case) -> dict[str, str]:
    """Series on whose grid the label lies, with what they are called; empty where there is no choice."""
    source = case.images[0]
    path = dataset.path(source)
    if source.key or not path.is_dir() or io.sniff(path) != "dicom" or is_drawn(dataset, case):
        return {}
    try:
        inside = dicom.series_in(path)
        if len(inside) < 2:
            return {}
        label = volume_of(dataset, case.label[0])
        return {uid: name for uid, name in inside.items() if _lies_on(label, io.read(path, key=uid))}
    except SegwrightError:
        return {}  # reading it says what is wrong


def _lies_on(label: Volume, image: Volume) -> bool:
    return fits_grid(label.geometry, image.geometry)
