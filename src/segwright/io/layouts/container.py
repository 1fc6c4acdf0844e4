"""Files that hold an image and its label together under different keys: MATLAB, HDF5, Zarr and .npz."""

from __future__ import annotations

import math
import re
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
        try:
            return _first_roles(_files(folder)) is not None
        except (SegwrightError, OSError):
            return False

    def open(self, folder: Path) -> Dataset:
        """Keys are judged in the first file that can be read, and looked for in all."""
        found = _files(folder)
        images, labels = _first_roles(found) or ((), ())
        names = structure_names(labels)
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
    arrays = [entry for entry in io.keys(path) if len(entry.shape) >= 2 and min(entry.shape) > 1]
    if len(arrays) < 2:
        return None
    largest = max(math.prod(entry.shape) for entry in arrays)
    arrays = [entry for entry in arrays if math.prod(entry.shape) * 20 >= largest]
    judged = {entry.name: _key_role(entry.name) or _content_role(path, entry.name) for entry in arrays}
    images = tuple(name for name, what in judged.items() if what == "image")
    labels = tuple(name for name, what in judged.items() if what == "label")
    return (_one_grid(arrays, images), labels) if images and labels else None


def _key_role(name: str) -> str | None:
    """Role by name; single letters as people use them in scripts."""
    last = name.rpartition("/")[2]
    if last.lower() in {"i", "x", "raw", "im"}:
        return "image"
    return "label" if last.lower() in {"y", "l", "m", "s", "neuron_ids"} else role(last)


def _content_role(path: Path, key: str) -> str:
    return "label" if looks_like_label(io.read_label(path, key=key).array()) else "image"


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
