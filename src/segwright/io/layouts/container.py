"""Files of several arrays: an image and its label under different keys, and which array of a label file it is."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segwright import io
from segwright.core.case import Case, Dataset, LabelSource, Source
from segwright.core.errors import SegwrightError
from segwright.io.layouts.content import looks_like_label
from segwright.io.layouts.listing import draft, structure_names, unique_ids
from segwright.io.layouts.names import role, safe_id
from segwright.io.layouts.scan import CONTAINERS, Item, items, relative, suffix_of


class Container:
    """One file a case, with an array for the image and one or more for labels."""

    looks_like = "files that hold image and label under two keys (case.mat with I and GT, case.h5 with raw and label)"

    def matches(self, folder: Path) -> bool:
        """Whether the first file that can be read has keys for both."""
        return _first_roles(_files(folder)) is not None

    def open(self, folder: Path) -> Dataset:
        """Keys are judged in the first file that can be read, and looked for in all."""
        found = _files(folder)
        images, labels = _first_roles(found) or ((), ())
        names = key_names(labels)
        cases = [_case(item, images, labels, names, folder) for item in found]
        note = f"In each file, {', '.join(images)} is the image and {', '.join(labels)} the label."
        channels = images if len(images) > 1 else ()
        return draft(folder, "container", unique_ids(cases), channels=channels, notes=[note])


CONTAINER = Container()


def _files(folder: Path) -> list[Item]:
    return [item for item in items(folder, depth=1) if suffix_of(item.path) in CONTAINERS]


def _first_roles(found: Sequence[Item]) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Roles in the first of a few files that can be read; the check reports the others."""
    for item in found[:5]:
        try:
            return roles_of_keys(item.path)
        except SegwrightError:
            continue
    return None


def roles_of_keys(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Keys of images and of labels in a file; `None` unless there are both.

    Only arrays of the largest grid count. Names decide first; of arrays without a telling name, those made of flat
    areas are labels.
    """
    arrays = [entry for entry in io.keys(path) if sum(length > 1 for length in entry.shape) >= 2]
    if len(arrays) < 2:
        return None
    largest = max(math.prod(entry.shape) for entry in arrays)
    arrays = [entry for entry in arrays if math.prod(entry.shape) * 20 >= largest]
    judged = {entry.name: key_role(entry.name) or _content_role(path, entry.name) for entry in arrays}
    images = tuple(name for name, what in judged.items() if what == "image")
    labels = tuple(name for name, what in judged.items() if what == "label")
    return (_one_grid(arrays, images), labels) if images and labels else None


def key_role(name: str) -> str | None:
    """Role by the last part of a name that has one (`labels/nuclei/0`); single letters as people use them."""
    parts = name.split("/")
    for part in reversed(parts):
        if part.lower() in {"i", "x", "raw", "im"}:
            return "image"
        told = "label" if part.lower() in {"y", "l", "m", "s", "neuron_ids"} else role(part)
        if told is not None:
            return told
    return "image" if len(parts) == 1 and parts[0].isdigit() else None  # level 0 of a pyramid


def _content_role(path: Path, key: str) -> str:
    return "label" if looks_like_label(io.read_label(path, key=key).array()) else "image"


def key_names(keys: Sequence[str]) -> dict[str, str]:
    """Names of structures by key: the part that is neither a level of a pyramid nor a word such as `labels`.

    Example:
        >>> key_names(["labels/nuclei/0", "mask_heart"])
        {'labels/nuclei/0': 'nuclei', 'mask_heart': 'heart'}
    """
    plain = {key: [part for part in key.split("/") if not part.isdigit()] or [key] for key in keys}
    short = structure_names(parts[-1] for parts in plain.values())
    found = {key: short[parts[-1]] for key, parts in plain.items()}
    return found if len(set(found.values())) == len(found) else {key: key for key in keys}


def _one_grid(arrays: Sequence[Any], images: tuple[str, ...]) -> tuple[str, ...]:
    """Images of the first one's shape: others cannot be channels of it."""
    shapes = {entry.name: tuple(entry.shape) for entry in arrays}
    return tuple(name for name in images if shapes[name] == shapes[images[0]])


def _case(item: Item, images: Sequence[str], labels: Sequence[str], names: dict[str, str], root: Path) -> Case:
    path = relative(item.path, root)
    here = {entry.name for entry in _keys(item.path)} or {*images, *labels}
    several = len(labels) > 1
    label = tuple(
        LabelSource(path=path, key=key, structure=names[key] if several else None) for key in labels if key in here
    )
    sources = tuple(Source(path=path, key=key) for key in images if key in here)
    return Case(id=safe_id(re.sub("/", "_", item.stem)), images=sources, label=label, group="")


def _keys(path: Path) -> Sequence[Any]:
    """Keys of a file; none where it cannot be read, which the check reports."""
    try:
        return io.keys(path)
    except SegwrightError:
        return ()


#: Arrays by size; a label is none of the small ones beside it.
Arrays = dict[str, int]


def with_keys(dataset: Dataset) -> Dataset:
    """The dataset with the label's array named, where files differ in their arrays or hold several."""
    tables = {path: arrays for path in _label_files(dataset) if (arrays := _arrays(path))}
    names = Counter(name for arrays in tables.values() for name in arrays)
    if len(tables) < 2 or (len(names) == 1 and all(len(arrays) == 1 for arrays in tables.values())):
        return dataset
    chosen = _common(tables, names)
    if chosen is None:
        return dataset
    note = f"In each label file, the array {chosen!r} is the label."
    cases = tuple(_keyed(case, dataset, chosen) for case in dataset.cases)
    return dataset.model_copy(update={"cases": cases, "notes": (*dataset.notes, note)})


def _label_files(dataset: Dataset) -> list[Path]:
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
