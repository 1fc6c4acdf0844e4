"""One stack cut into numbered planes: `raw/s_00.png ...` beside a folder of planes for each structure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.core.case import Case, Dataset
from segwright.core.errors import SegwrightError
from segwright.io.layouts.content import mostly_labels
from segwright.io.layouts.listing import draft, label_source, structure_names, unique_ids
from segwright.io.layouts.names import match, role, safe_id
from segwright.io.layouts.scan import Item, files, sections_item, stem_of, subfolders

#: Share of orders by which planes surely are, and may be, sections; so many planes are tried in every order.
_SURE, _MAYBE, _EVERY = 0.05, 0.3, 6
_WORDS = re.compile(r"(?i)(^|[^a-z])(sections?|slices?|z|layers?|planes?|stack)([^a-z]|\d|$)")


class Sections:
    """Folders of numbered planes that belong to one volume; one such set here, or one in each subfolder."""

    looks_like = "numbered planes of one stack in sibling folders (raw/s_00.png, mitochondria/s_00.png)"

    def matches(self, folder: Path) -> bool:
        """Whether siblings are stacks with equal numbers and neighbouring planes resemble each other."""
        return bool(_stacks(folder))

    def doubtful(self, folder: Path) -> bool:
        """Whether the planes may as well be single images: too few to tell by how they resemble each other."""
        doubts = [_doubt(files(images[0].path)) for images, _ in _stacks(folder).values()]
        return any(doubt is None or doubt > _SURE for doubt in doubts)

    def open(self, folder: Path) -> Dataset:
        """One case a set of sibling stacks."""
        stacks = _stacks(folder)
        cases = []
        for place, (images, labels) in stacks.items():
            single = len(labels) == 1
            names = structure_names(item.stem for item in labels)
            label = tuple(label_source(i, folder, None if single else names[i.stem]) for i in labels)
            cases.append(
                Case(id=safe_id(place.name), images=tuple(i.source(folder) for i in images), label=label, group="")
            )
        first = next(iter(stacks.values()))
        channels = tuple(item.stem for item in first[0]) if len(first[0]) > 1 else ()
        note = "Numbered planes are read as sections of one stack; the files state no distance between sections."
        return draft(folder, "sections", unique_ids(cases), channels=channels, notes=[note])


SECTIONS = Sections()


def _stacks(folder: Path) -> dict[Path, tuple[list[Item], list[Item]]]:
    """Sets of sibling stacks: in the folder itself, else in each of its subfolders."""
    here = _siblings(folder)
    if here:
        return {folder: here}
    found = {child: set_ for child in subfolders(folder) if (set_ := _siblings(child))}
    return found if len(found) * 2 > len(subfolders(folder)) else {}


def _siblings(folder: Path) -> tuple[list[Item], list[Item]] | None:
    """Image stacks and label stacks among the subfolders; `None` if these are not planes of one volume."""
    stacks = [item for child in subfolders(folder) if (item := sections_item(child))]
    if len(stacks) < 2:
        return None
    labels = [s for s in stacks if role(s.stem) == "label" or (role(s.stem) is None and _flat(s))]
    images = [s for s in stacks if s not in labels]
    if not images or not labels:
        return None
    stems = [stem_of(path) for path in files(images[0].path)]
    labels = [s for s in labels if len(match(stems, [stem_of(p) for p in files(s.path)])) == len(stems)]
    return (images, labels) if labels and one_stack(files(images[0].path)) else None


def _flat(stack: Item) -> bool:
    return mostly_labels([Item(path, stem_of(path)) for path in files(stack.path)])


def one_stack(planes: Sequence[Path]) -> bool:
    """Whether planes are neighbours in one volume rather than images of different patients.

    They must share one size, and either be named as sections or resemble their neighbours clearly more than planes
    half a stack away, in an order that chance would hardly give. Where one cannot be read they count as single images,
    so that only this one is lost. Costs the headers of all.
    """
    return _doubt(planes) is not None


def _doubt(planes: Sequence[Path]) -> float | None:
    """Share of all orders of the planes in which neighbours are as alike as in theirs; `None` for single images."""
    try:
        shapes = {io.read(path).geometry.shape for path in planes}
        if len(shapes) != 1 or next(iter(shapes))[0] != 1:
            return None
        if all(_WORDS.search(stem_of(path)) for path in planes):
            return 0.0
        share = by_chance(planes) if resemblance(planes) > 0.1 else 1.0
        return share if share <= _MAYBE else None
    except SegwrightError:
        return None


def by_chance(planes: Sequence[Path], count: int = 12, orders: int = 400) -> float:
    """Share of orders of a run of planes in which neighbours are as alike as in the order of their numbers.

    A stack read either way is one order, so that four planes of a stack reach 1 in 12, and five 1 in 60.
    """
    start = max(0, (len(planes) - count) // 2)
    flat = [_small(io.read(path).array()[0, 0]) for path in planes[start : start + count]]
    alike = np.array([[_correlation(a, b) for b in flat] for a in flat])
    numbers = list(range(len(flat)))
    if len(flat) <= _EVERY:
        tried = [np.array(order) for order in permutations(numbers) if order[0] < order[-1]]
    else:
        draw = np.random.default_rng(0)
        tried = [np.array(numbers), *(draw.permutation(len(flat)) for _ in range(orders))]
    sums = [float(alike[order[:-1], order[1:]].sum()) for order in tried]
    own = float(alike[numbers[:-1], numbers[1:]].sum())
    return sum(one >= own - 1e-9 for one in sums) / len(sums)


def resemblance(planes: Sequence[Path], count: int = 10) -> float:
    """By how much neighbouring planes correlate more than planes half a stack apart, but for a tenth of either.

    On sections of tissue we measured 0.2; among radiographs of different patients neighbours are no more alike than
    others, and the lead of a mean would be luck where there are few.
    """
    starts = list(range(0, len(planes) - 1, max(1, (len(planes) - 1) // count)))
    wanted = {at for start in starts for at in (start, start + 1, (start + len(planes) // 2) % len(planes))}
    read = {at: io.read(planes[at]).array()[0, 0] for at in sorted(wanted)}
    near, far = likeness(read, starts, len(planes) // 2)
    return float(np.quantile(near, 0.1) - np.quantile(far, 0.9))


def likeness(
    planes: Mapping[int, NDArray[Any]], starts: Sequence[int], half: int | None = None
) -> tuple[list[float], list[float]]:
    """Correlations of the planes at `starts` with their neighbours, and with planes far away.

    Args:
        planes: Planes `(y, x)` by number; those that follow `starts` too.
        starts: Numbers to begin at.
        half: How far away the others are; by default half of `starts`.
    """
    small = {at: _small(plane) for at, plane in planes.items()}
    last = max(small) + 1
    far = [(start, (start + half) % last) for start in starts] if half is not None else _far(starts)
    near = [_correlation(small[start], small[start + 1]) for start in starts if start + 1 in small]
    return near, [_correlation(small[a], small[b]) for a, b in far if b in small]


def _far(starts: Sequence[int]) -> list[tuple[int, int]]:
    half = len(starts) // 2
    return [(start, starts[(i + half) % len(starts)]) for i, start in enumerate(starts)]


def _small(plane: NDArray[Any]) -> NDArray[np.float64]:
    """A thinned plane as a vector."""
    plane = plane.astype(np.float64)
    step = max(1, min(plane.shape) // 128)
    return plane[::step, ::step].ravel()


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else 0.0
