"""Scans and labels of the open cases, as their files are now: read when asked for, kept in one cache."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.case import Case, Dataset, LabelSource
from segwright.core.errors import LabelError, SegwrightError, UsageError
from segwright.core.geometry import Geometry
from segwright.core.words import size
from segwright.io.blocks import planes_of
from segwright.io.load import load_label, mapped, open_label
from segwright.io.masks import are_colours, binary, one_plane, settle, value_counts
from segwright.view.chunk_cache import ArrayCache, ChunkedArray, Stamp, stamp_of
from segwright.view.label_codes import LabelCodes, code_labels, read_codes
from segwright.view.objects import Objects, find_objects, numbered_objects
from segwright.view.results import Result
from segwright.view.scan import AT_ONCE_BYTES, WHOLE_BYTES, Scan

#: Neighbouring slices of labels decoded together.
SLAB_BYTES = 1 << 24
#: Scans of more voxels than this have their labels read slice by slice.
WHOLE_LABEL_VOXELS = WHOLE_BYTES // 2
#: Seconds for which files are taken as unchanged once they were looked at: a slice asks several times.
STAMP_SECONDS = 0.3
#: Source number of the labels; results follow from 1.
REFERENCE = 0


class CaseStore:
    """Scans, label codes and objects of cases; safe for several threads.

    Args:
        dataset: Whose cases they are.
        results: What is compared with the labels, by number; whoever adds results does so there.
        pool: Where decoded arrays are kept.
    """

    def __init__(self, dataset: Dataset, results: Mapping[int, Result], pool: ArrayCache) -> None:
        self.dataset = dataset
        self.space = dataset.labels
        self.results = results
        self.pool = pool
        self._lock = threading.Lock()
        self._preparing: set[int] = set()
        self._scans: dict[int, Scan] = {}
        self._stamps: dict[tuple[int, int | None], tuple[float, Stamp]] = {}

    @property
    def cases(self) -> tuple[Case, ...]:
        """All cases, in the dataset's order."""
        return self.dataset.cases

    def scan(self, index: int) -> Scan:
        """The scan of a case as its files are now."""
        stamp, known = self.stamp(index, None), self._scans.get(index)
        if known is None or known.stamp != stamp:
            known = self._scans[index] = Scan(self.dataset, self.cases[index], self.pool, stamp)
        return known

    def stamp(self, index: int, source: int | None) -> Stamp:
        """When the files of a case's scan (no source), labels (0) or result were changed."""
        known, now = self._stamps.get((index, source)), time.monotonic()
        if known is None or now - known[0] > STAMP_SECONDS:
            known = self._stamps[index, source] = now, stamp_of(self._files(index, source))
        return known[1]

    def _files(self, index: int, source: int | None) -> Sequence[Path]:
        case = self.cases[index]
        if source:
            result = self.results.get(source)
            return result.files(case.id) if result is not None and case.id in result.cases() else ()
        return [self.dataset.path(part) for part in (case.images if source is None else case.label)]

    def pair_stamp(self, index: int, number: int) -> Stamp:
        """When anything was changed that the score of a result's case depends on."""
        return (*self.stamp(index, None), *self.stamp(index, REFERENCE), *self.stamp(index, number))

    def sources(self, index: int) -> list[int]:
        """Labels and results a case has."""
        case = self.cases[index]
        found = [REFERENCE] if case.label else []
        return found + [n for n, result in list(self.results.items()) if case.id in set(result.cases())]

    def large(self, index: int) -> bool:
        """Whether a case's labels are too large to be decoded as a whole."""
        return int(np.prod(self.scan(index).volume.geometry.shape, dtype=np.int64)) > WHOLE_LABEL_VOXELS

    def codes(self, index: int, source: int) -> LabelCodes:
        """All labels of a case as codes, decoded once.

        Raises:
            SegwrightError: They are missing, damaged, or do not fit the scan.
        """
        return self.pool.get(self._key("codes", index, source), lambda: self._codes(index, source))

    def _key(self, kind: str, index: int, source: int, *rest: Hashable) -> Hashable:
        """Name in the pool of what is made of labels; no other than that of the files as they are now."""
        return kind, self.cases[index].id, source, self.stamp(index, source), self.stamp(index, None), *rest

    def _codes(self, index: int, source: int) -> LabelCodes:
        geometry = self.scan(index).volume.geometry
        if source == REFERENCE:
            return read_codes(self.dataset, self.cases[index], geometry)
        return code_labels(self.labels(index, source, geometry), self.space)

    def labels(self, index: int, source: int, like: Any) -> NDArray[Any]:
        """Canonical labels of a case from the labels (0) or a result.

        Raises:
            SegwrightError: There are none for this case, or they cannot be read.
        """
        if source == REFERENCE:
            return load_label(self.dataset, self.cases[index], like)
        result, case = self._result(source), self.cases[index].id
        if case not in result.cases():
            raise UsageError(f"Result '{result.name}' has nothing for this case.", got=case, hint="Choose another one.")
        return result.labels(case, like)

    def _result(self, number: int) -> Result:
        result = self.results.get(number)
        if result is None:
            raise UsageError("There is no such result any more.", got=number, hint="Choose another one.")
        return result

    def code_plane(self, index: int, source: int, axis: int, at: int) -> LabelCodes:
        """One slice of codes `(1, rows, columns)`, or as part of all of them."""
        if source == REFERENCE and self._by_slab(index, axis):
            return self._from_slab(index, axis, at)
        whole = self.codes(index, source)
        return LabelCodes(
            np.take(whole.codes, [at], axis=axis).reshape(1, *_rest(whole.codes.shape, axis)), whole.members
        )

    def _by_slab(self, index: int, axis: int) -> bool:
        """Whether labels are read for the slice alone: where they are too large, or not all there yet."""
        if self.large(index):
            return True
        case, scan = self.cases[index], self.scan(index)
        if axis or scan.nbytes <= AT_ONCE_BYTES or self.pool.has(self._key("codes", index, REFERENCE)):
            return False
        plain = (s.reader is None and plain_label(self.dataset, s, scan.volume.geometry) for s in case.label)
        return not self.space.instances and all(plain)

    def _from_slab(self, index: int, axis: int, at: int) -> LabelCodes:
        """Codes of a slice out of those of its neighbourhood; the rest follows in the background."""
        shape = self.scan(index).volume.geometry.shape
        count = slab_slices(2 * int(np.prod(_rest(shape, axis)))) if axis == 0 else 1
        start = at // count * count
        part = slice(start, min(start + count, shape[axis]))
        key = self._key("slab", index, REFERENCE, axis, start)
        slab = self.pool.get(key, lambda: code_labels(self._lazy(index, axis, part), self.space))
        if not self.large(index):
            self._prepare(index)
        return LabelCodes(np.take(slab.codes, [at - start], axis=axis).reshape(1, *_rest(shape, axis)), slab.members)

    def _prepare(self, index: int) -> None:
        """Decode all labels of a case in the background, once its scan is there."""
        with self._lock:
            if index in self._preparing:
                return
            self._preparing.add(index)

        def work() -> None:
            scan = self.scan(index)
            try:
                if scan.nbytes <= WHOLE_BYTES:
                    scan.whole()
                self.codes(index, REFERENCE)
            except Exception:  # the slice that is asked for tells what is wrong
                return
            finally:
                self._preparing.discard(index)

        threading.Thread(target=work, daemon=True).start()

    def _lazy(self, index: int, axis: int, part: slice) -> NDArray[Any]:
        """Canonical labels of neighbouring slices, read from files whose grid is the scan's."""
        case, geometry = self.cases[index], self.scan(index).volume.geometry
        parts = [self._stored(index, source, geometry, (axis, part)) for source in case.label]
        if case.label[0].structure is None:
            values = settle(parts[0], self.space, where=case.label[0].path)
            return mapped(values, self.space, value_counts(values), where=case.label[0].path)
        masks = [np.zeros(parts[0].shape, np.bool_) for _ in self.space.structures]
        for source, stored in zip(case.label, parts, strict=True):
            masks[self.space.names.index(str(source.structure))] |= binary(stored)
        return self.space.from_masks(masks)

    def _stored(self, index: int, source: LabelSource, geometry: Any, place: tuple[int, slice]) -> NDArray[Any]:
        case = self.cases[index]
        volume = planes_of(open_label(self.dataset, source), case)
        axis, part = place
        if volume.geometry.shape != geometry.shape or not volume.geometry.aligned_with(geometry):
            raise LabelError(
                "The label of this large scan lies on another grid, and is too large to be turned while looking at it.",
                expected=size(geometry.shape),
                got=size(volume.geometry.shape),
                where=source.path,
                hint="Save the label on the scan's grid.",
            )
        z, y, x = (part if a == axis else slice(0, n) for a, n in enumerate(geometry.shape))
        if volume.data.shape[0] == 1:
            name = ("label", case.id, source.path, source.key, self.stamp(index, REFERENCE))
            chunks = ChunkedArray(name, volume, self.pool)
            return one_plane(chunks.read(0, (z, y, x))[None], where=source.path)
        voxels = volume.data[(slice(0, volume.data.shape[0]), z, y, x)]
        return one_plane(voxels, where=source.path, colours=are_colours(volume))

    def objects(self, index: int, source: int, structure: int) -> Objects:
        """Single objects of a structure, with the share of each that the labels (or first result) have too."""
        if self.large(index):
            raise UsageError("Objects of so large a scan are not numbered while looking at it.")
        others = [self.stamp(index, number) for number in self.sources(index)]
        key = self._key("objects", index, source, structure, *others)
        return self.pool.get(key, lambda: self._objects(index, source, structure))

    def _objects(self, index: int, source: int, structure: int) -> Objects:
        others = [n for n in self.sources(index) if n != source]
        other = None
        if others and (source == REFERENCE or others[0] == REFERENCE):
            other = lambda: self.codes(index, others[0]).mask(structure)  # noqa: E731
        geometry = self.scan(index).volume.geometry
        if self.space.instances:
            return numbered_objects(self.labels(index, source, geometry)[0], geometry, other)
        return find_objects(self.codes(index, source).mask(structure), geometry, other)

    def forget(self, number: int) -> None:
        """Let go what was made of a result."""
        self.pool.drop(lambda key: isinstance(key, tuple) and key[0] in {"codes", "objects"} and key[2] == number)


def plain_label(dataset: Dataset, source: LabelSource, geometry: Geometry) -> bool:
    """Whether a label file is a raster on the scan's grid, so that slices of it can be read alone."""
    try:
        volume = open_label(dataset, source)
    except SegwrightError:
        return False
    return volume.geometry.shape == geometry.shape and volume.geometry.aligned_with(geometry)


def slab_slices(slice_bytes: int) -> int:
    """How many slices of labels are decoded together: 1 to 32, a power of two as chunks have, so that one chunk serves.

    Example:
        >>> slab_slices(512 * 512 * 2), slab_slices(1 << 30)
        (32, 1)
    """
    most = min(32, max(1, SLAB_BYTES // max(slice_bytes, 1)))
    return 1 << (int(most).bit_length() - 1)


def _rest(shape: tuple[int, ...], axis: int) -> list[int]:
    return [n for a, n in enumerate(shape) if a != axis]
