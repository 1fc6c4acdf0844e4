"""Finds which array of label files is the label, so that a file without it is told and not read as something else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from segwright import io
from segwright.core.case import Case, Dataset
from segwright.core.errors import SegwrightError
from segwright.io.layouts.names import role
from segwright.io.layouts.scan import CONTAINERS, suffix_of

#: Arrays by size; a label is none of the small ones beside it.
Arrays = dict[str, int]


def with_keys(dataset: Dataset) -> Dataset:
    """The dataset with the label's array named, where files differ in their arrays or hold several."""
    tables = {path: arrays for path in _files(dataset) if (arrays := _arrays(path))}
    names = Counter(name for arrays in tables.values() for name in arrays)
    if len(tables) < 2 or (len(names) == 1 and all(len(arrays) == 1 for arrays in tables.values())):
        return dataset
    chosen = _common(tables, names)
    if chosen is None:
        return dataset
    note = f"In each label file, the array {chosen!r} is the label."
    cases = tuple(_keyed(case, dataset, chosen) for case in dataset.cases)
    return dataset.model_copy(update={"cases": cases, "notes": (*dataset.notes, note)})


def _files(dataset: Dataset) -> list[Path]:
    """Label files that may hold several arrays and do not say which one is meant."""
    found = (dataset.path(s) for case in dataset.cases for s in case.label if s.key is None)
    return [path for path in dict.fromkeys(found) if suffix_of(path) in CONTAINERS and path.is_file()]


def _arrays(path: Path) -> Arrays:
    """Arrays of a file and how many values each holds; none where it cannot be read, which the check reports."""
    sizes: Arrays = {}
    try:
        for info in io.keys(path):
            sizes[info.name] = 1
            for length in info.shape:
                sizes[info.name] *= length
    except SegwrightError:
        return {}
    return sizes


def _common(tables: dict[Path, Arrays], names: Counter[str]) -> str | None:
    """The array that most files have; of several, the one called a label, then the largest."""
    most = [name for name, count in names.items() if count * 2 > len(tables)]
    if not most:
        return None
    size = {name: max(arrays.get(name, 0) for arrays in tables.values()) for name in most}
    return max(most, key=lambda name: (role(name) == "label", size[name], names[name]))


def _keyed(case: Case, dataset: Dataset, key: str) -> Case:
    label = tuple(
        s.model_copy(update={"key": key}) if s.key is None and suffix_of(dataset.path(s)) in CONTAINERS else s
        for s in case.label
    )
    return case.model_copy(update={"label": label})
