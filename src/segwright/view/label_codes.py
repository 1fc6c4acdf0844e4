"""Labels as one plane of small codes and a table of what each code means, so that a page can switch structures itself.

A code stands for the set of structures a voxel belongs to. However many structures overlap, one slice is one plane
of codes, packed as runs; the page decides which structures of each set are seen, and in which colour.
"""

from __future__ import annotations

import itertools
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from segwright.core.bincount import tally
from segwright.core.case import Case, Dataset
from segwright.core.geometry import Geometry
from segwright.core.labels import IGNORE, LabelSpace
from segwright.io.drawing import is_drawn
from segwright.io.load import load_label, load_masks

#: Voxels whose runs are looked at together.
SLAB_VOXELS = 1 << 22
#: Structures a code stands for, by index; `IGNORE` for voxels that count nowhere.
Members = tuple[int, ...]


@dataclass(frozen=True)
class LabelCodes:
    """Codes `(z, y, x)` and the set of structures of each; code 0 is background.

    Example:
        >>> space = LabelSpace(structures=[{"name": "a"}, {"name": "b"}], kind="overlapping")
        >>> both = code_labels(np.array([[[[1, 1, 0]]], [[[0, 1, 0]]]], np.int8), space)
        >>> both.codes.tolist(), both.members
        ([[[1, 2, 0]]], ((), (0,), (0, 1)))
    """

    codes: NDArray[Any]
    members: tuple[Members, ...]
    _kept: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes of the codes."""
        return int(self.codes.nbytes)

    def counts(self) -> NDArray[np.int64]:
        """Voxels of each code."""
        if "counts" not in self._kept:
            self._kept["counts"] = tally(self.codes, len(self.members))
        counted: NDArray[np.int64] = self._kept["counts"]
        return counted

    def mask(self, structure: int) -> NDArray[np.bool_]:
        """Voxels `(z, y, x)` of a structure."""
        table = np.array([structure in members for members in self.members])
        inside: NDArray[np.bool_] = table[self.codes]
        return inside


def code_labels(labels: NDArray[Any], space: LabelSpace) -> LabelCodes:
    """Codes of a canonical label array `(P, z, y, x)`; of numbered objects, where any of them is."""
    if space.instances:
        labels = np.minimum(labels, 1)
    return _of_values(labels[0]) if space.exclusive else _of_planes(labels)


def _of_values(values: NDArray[Any]) -> LabelCodes:
    low, top = int(values.min(initial=0)), int(values.max(initial=0))
    members: list[Members] = [(), *((i,) for i in range(top))]
    if low == IGNORE:
        members.append((IGNORE,))
        values = np.where(values == IGNORE, top + 1, values)
    return LabelCodes(values.astype(_kind(len(members))), tuple(members))


def _of_planes(planes: NDArray[Any]) -> LabelCodes:
    marked = ((index, plane == 1) for index, plane in enumerate(planes))
    ignored = ((IGNORE, plane == IGNORE) for plane in planes)
    return code_masks(itertools.chain(marked, ignored), planes.shape[1:])


def code_masks(masks: Iterable[tuple[int, NDArray[np.bool_]]], shape: tuple[int, ...]) -> LabelCodes:
    """Codes from one mask after the other, each behind the index of its structure; none is kept.

    Only voxels inside a mask are touched, so that cost follows the masks' area.

    Args:
        masks: Structures and masks `(z, y, x)`; masks of one structure are united.
        shape: `(z, y, x)`.

    Example:
        >>> code_masks([(0, np.array([[[True, True]]])), (1, np.array([[[False, True]]]))], (1, 1, 2)).codes.tolist()
        [[[1, 2]]]
    """
    codes = np.zeros(math.prod(shape), np.uint8)
    table: dict[Members, int] = {(): 0}
    members: list[Members] = [()]
    for mark, inside in masks:
        where = np.flatnonzero(inside)
        if where.size:
            joined = _joined(codes[where], mark, table, members)
            codes = codes.astype(_kind(len(members)), copy=False)
            codes[where] = joined
    return LabelCodes(codes.reshape(shape), tuple(members))


def _joined(before: NDArray[Any], mark: int, table: dict[Members, int], members: list[Members]) -> NDArray[Any]:
    """Codes of voxels that get one structure more."""
    lookup = np.zeros(len(members), np.uint32)
    for code in np.flatnonzero(np.bincount(before, minlength=len(members))):
        grown = members[code] if mark in members[code] else tuple(sorted((*members[code], mark)))
        if grown not in table:
            table[grown] = len(members)
            members.append(grown)
        lookup[code] = table[grown]
    return lookup[before]


def _kind(count: int) -> np.dtype[Any]:
    return np.dtype(np.uint8 if count <= 1 << 8 else np.uint16 if count <= 1 << 16 else np.uint32)


def pack_runs(plane: NDArray[Any]) -> bytes:
    """A plane as runs in row order: pairs of little-endian uint32, value and length.

    Example:
        >>> np.frombuffer(pack_runs(np.array([[0, 0], [5, 5]])), "<u4").tolist()
        [0, 2, 5, 2]
    """
    flat = np.ascontiguousarray(plane).reshape(-1)
    if not flat.size:
        return b""
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(np.append(starts, flat.size))
    return np.stack([flat[starts].astype("<u4"), lengths.astype("<u4")], axis=1).tobytes()


def places(coded: LabelCodes, structures: int) -> list[dict[str, Any] | None]:
    """For each structure its voxels, its box, and in each axis the index of its largest section; `None` if absent."""
    shape = coded.codes.shape
    sums = [[np.zeros(n, np.int64) for n in shape] for _ in range(structures)]
    thick = max(1, SLAB_VOXELS // max(math.prod(shape[1:]), 1))
    for start in range(0, shape[0], thick):
        _add_runs(coded.codes[start : start + thick], start, coded.members, sums)
    return [_place(lines) if lines[0].any() else None for lines in sums]


def _add_runs(
    slab: NDArray[Any], first: int, members: tuple[Members, ...], sums: list[list[NDArray[np.int64]]]
) -> None:
    """Add the voxels of each structure by plane, row and column, from runs: a run is thousands of voxels at once."""
    (depth, rows, columns), flat = slab.shape, slab.reshape(-1)
    ends = np.empty(flat.size, np.bool_)
    np.not_equal(flat[1:], flat[:-1], out=ends[:-1])
    ends[columns - 1 :: columns] = True
    stops = np.flatnonzero(ends) + 1
    starts = np.concatenate([[0], stops[:-1]])
    codes = flat[starts]
    inside = codes > 0
    codes, starts, lengths = codes[inside], starts[inside], (stops - starts)[inside]
    lines, left = np.divmod(starts, columns)
    for structure in {s for code in np.unique(codes) for s in members[code] if s >= 0}:
        table = np.array([structure in listed for listed in members])
        mine = table[codes]
        line, size, x = lines[mine], lengths[mine], left[mine]
        z, y, along = sums[structure]
        z[first : first + depth] += _weighed(line // rows, size, depth)
        y += _weighed(line % rows, size, rows)
        edges = np.bincount(x, minlength=columns + 1) - np.bincount(x + size, minlength=columns + 1)
        along += np.cumsum(edges)[:columns]


def _weighed(at: NDArray[Any], sizes: NDArray[Any], length: int) -> NDArray[np.int64]:
    return np.bincount(at, weights=sizes, minlength=length).astype(np.int64)


def _place(sums: list[NDArray[np.int64]]) -> dict[str, Any]:
    box = [[int(np.flatnonzero(line)[0]), int(np.flatnonzero(line)[-1]) + 1] for line in sums]
    return {"voxels": int(sums[0].sum()), "box": box, "at": [int(line.argmax()) for line in sums]}


def overlaps(coded: LabelCodes) -> Iterator[tuple[int, int, int]]:
    """`(structure, structure, voxels)` of each pair that shares voxels."""
    for members, count in zip(coded.members, coded.counts(), strict=True):
        real = sorted(m for m in members if m != IGNORE)
        for i, first in enumerate(real):
            for second in real[i + 1 :]:
                if count:
                    yield first, second, int(count)


T = TypeVar("T")
#: Files decoded at the same time, at most.
WORKERS = min(4, os.cpu_count() or 1)


def read_codes(dataset: Dataset, case: Case, like: Geometry) -> LabelCodes:
    """Labels of a case on the grid `like`.

    Overlapping structures in files of their own never stand side by side as planes: dozens of masks of a radiograph
    would be hundreds of megabytes, most of them zero.

    Raises:
        SegwrightError: They are missing, damaged, or do not fit the scan.
    """
    if not _single_masks(dataset, case):
        return code_labels(load_label(dataset, case, like), dataset.labels)
    parts = [case.model_copy(update={"label": (source,)}) for source in case.label]
    if len({source.path for source in case.label}) < len(parts):
        return code_masks(load_masks(dataset, case, like), like.shape)  # one file holds several: it is read once
    calls = ((lambda part=part: next(load_masks(dataset, part, like))) for part in parts)
    return code_masks(in_turn(calls, WORKERS), like.shape)


def _single_masks(dataset: Dataset, case: Case) -> bool:
    """Whether each source is the mask of one of several structures that may overlap."""
    space = dataset.labels
    named = bool(case.label) and all(s.structure is not None and s.reader is None for s in case.label)
    return named and not space.exclusive and not space.instances and not is_drawn(dataset, case)


def in_turn(calls: Iterable[Callable[[], T]], workers: int) -> Iterator[T]:
    """What calls return, in their order; a few run at the same time, and no more results wait than that.

    Example:
        >>> list(in_turn([lambda: 1, lambda: 2, lambda: 3], 2))
        [1, 2, 3]
    """
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[T]] = deque()
        for call in calls:
            waiting.append(pool.submit(call))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
