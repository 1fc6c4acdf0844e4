"""All cases in one file of arrays: a pair of arrays a case, or one array of all pictures and one of all masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from segwright import io
from segwright.core.case import Case, Dataset, LabelSource, Source
from segwright.io.layouts.container import key_role
from segwright.io.layouts.listing import draft, unique_ids
from segwright.io.layouts.names import match, safe_id, strip_roles
from segwright.io.layouts.scan import CONTAINERS, Item, items, relative, suffix_of
from segwright.io.layouts.sections import likeness
from segwright.io.protocol import ArrayInfo

#: A dataset in one file, or in one file for each of its parts.
_FILES = 3
#: Fewer planes than this are slices.
_FEWEST = 10

Pair = tuple[ArrayInfo, ArrayInfo]


class Stacked:
    """One file (or one a part) whose arrays hold many cases."""

    looks_like = (
        "one file of arrays for all cases (data.npz with images (N, y, x) and masks (N, y, x), or a pair a case)"
    )

    def matches(self, folder: Path) -> bool:
        """Whether one file holds several pairs of image and label, or a pair of many pictures that are no slices."""
        found = _files(folder)
        return bool(found) and all(_many(item.path, _pairs(item.path)) for item in found)

    def open(self, folder: Path) -> Dataset:
        """One case a pair of arrays, or one a plane of them."""
        found = _files(folder)
        cases = [case for item in found for case in _cases(item, folder, len(found) > 1)]
        planes = any(case.sections is not None for case in cases)
        note = "Each plane of the arrays is a case of its own: neighbours do not resemble each other as slices do."
        note = note if planes else "Each pair of arrays is a case."
        return draft(folder, "stacked", unique_ids(cases), notes=[note])


STACKED = Stacked()


def _files(folder: Path) -> list[Item]:
    if folder.is_file():
        return []
    found = [item for item in items(folder) if suffix_of(item.path) in CONTAINERS]
    return found if 0 < len(found) <= _FILES else []


def _pairs(path: Path) -> list[Pair]:
    """Arrays of images with those of labels, by their names."""
    arrays = [info for info in io.keys(path) if sum(length > 1 for length in info.shape) >= 2]
    by_name = {info.name: info for info in arrays}
    images = [name for name in by_name if key_role(name) == "image"]
    labels = [name for name in by_name if key_role(name) == "label"]
    pairs = match(images, labels) if len(images) == len(labels) else {}
    return [(by_name[a], by_name[b]) for a, b in pairs.items()] if len(pairs) == len(images) else []


def _many(path: Path, pairs: Sequence[Pair]) -> bool:
    return len(pairs) > 1 or (len(pairs) == 1 and _pictures(path, pairs[0]))


def _largest(path: Path, pairs: Sequence[Pair]) -> Pair:
    """The pair of most planes, which tells best whether planes are pictures."""
    return max(pairs, key=lambda pair: _count(path, pair[0]))


def _pictures(path: Path, pair: Pair) -> bool:
    """Whether an axis of both arrays counts pictures that are no neighbours in one volume."""
    image, label = pair
    if not {len(image.shape), len(label.shape)} <= {3, 4} or io.read(path, key=image.name).header.get("named"):
        return False
    count = _count(path, image)
    channels = min(image.shape[1:-1]) if suffix_of(path) == ".mat" else min(image.shape[1], image.shape[-1])
    if _count(path, label) != count or count < _FEWEST or (len(image.shape) == 4 and channels > 4):
        return False
    volume = io.read(path, key=image.name, axes=_axes(path, image))
    chosen = sorted({int(n) for n in np.linspace(0, count - 1, 24)})
    near = sorted({min(n + 1, count - 1) for n in chosen} | set(chosen))
    planes = {n: volume.data[(slice(0, 1), slice(n, n + 1), slice(None), slice(None))][0, 0] for n in near}
    alike, apart = likeness(planes, chosen)
    return float(np.mean(alike) - np.mean(apart)) <= 0.1


def _count(path: Path, info: ArrayInfo) -> int:
    return info.shape[-1 if suffix_of(path) == ".mat" else 0]


def _axes(path: Path, info: ArrayInfo) -> str:
    """Axes of an array of pictures: MATLAB counts them last; channels come after rows and columns, or before."""
    if suffix_of(path) == ".mat":
        return "yxz" if len(info.shape) == 3 else "yxcz"
    if len(info.shape) == 3:
        return "zyx"
    return "zyxc" if info.shape[3] <= 4 or info.shape[1] > info.shape[3] else "zcyx"


def _cases(item: Item, root: Path, parts: bool) -> Iterator[Case]:
    """Cases of one file; with `parts`, called by it too."""
    pairs = _pairs(item.path)
    pictures = _pictures(item.path, _largest(item.path, pairs))
    for image, label in pairs:
        name = strip_roles(image.name.replace("/", "_"))
        name = safe_id("_".join(part for part in (item.stem if parts else "", name) if part) or item.stem)
        path = relative(item.path, root)
        source, drawn = Source(path=path, key=image.name), LabelSource(path=path, key=label.name)
        if not pictures:
            yield Case(id=name, images=(source,), label=(drawn,), group="")
            continue
        source = source.model_copy(update={"axes": _axes(item.path, image)})
        drawn = drawn.model_copy(update={"axes": _axes(item.path, label)})
        count = _count(item.path, image)
        for n in range(count):
            number = str(n).zfill(len(str(count - 1)))
            yield Case(id=f"{name}_{number}", images=(source,), label=(drawn,), group="", sections=(n, n + 1))
