"""Loads a case: its image with channels stacked, and its label as canonical numbers on the image's grid."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segwright.core.case import Case, Dataset, LabelSource, Source
from segwright.core.errors import GeometryError, LabelError, ReadError
from segwright.core.geometry import Geometry
from segwright.core.labels import IGNORE, LabelSpace
from segwright.core.volume import Index, LazyArray, Volume
from segwright.core.words import amount, size
from segwright.io.blocks import block_of, planes_of, whole
from segwright.io.claims import ROOM, expecting
from segwright.io.consensus import agreed
from segwright.io.drawing import is_drawn, read_drawn, refuse_broken, to_canonical
from segwright.io.grids import onto_grid
from segwright.io.instances import numbered
from segwright.io.lie import laid
from segwright.io.masks import are_colours, binary, one_plane, settle, value_counts
from segwright.io.sources import planes_of_source, volume_of
from segwright.io.turns import stored, turn_of, upright

_LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as image viewers weigh colours


def open_source(dataset: Dataset, source: Source) -> Volume:
    """One source as a volume, its `key` and `plane` applied; voxels are read later.

    A plane is a channel of the file; in a file that stores one array without channels it is a plane of the last axis.
    """
    return _opened(dataset, source)


def open_label(dataset: Dataset, source: LabelSource) -> Volume:
    """`open_source` for a label: the numbers that are stored."""
    return _opened(dataset, source)


def _opened(dataset: Dataset, source: Source) -> Volume:
    volume = planes_of_source(dataset, source)
    if source.plane is None:
        return volume
    if source.plane >= volume.data.shape[0]:
        raise ReadError(
            f"The file has no plane {source.plane}.",
            expected=f"0 to {volume.data.shape[0] - 1}",
            where=dataset.path(source),
            hint="Correct 'plane' in dataset.yaml.",
        )
    return _with(volume, _channels(volume.data, slice(source.plane, source.plane + 1)))


def load_image(dataset: Dataset, case: Case) -> Volume:
    """The image of a case, one channel a name in `dataset.channels`, on the grid of its first source.

    A colour file in a dataset of one channel becomes its luminance (equal planes: that plane, exactly). The header is
    the first source's; what was adapted is added to its `warnings`.

    Raises:
        ReadError: No image, an unreadable one, or one with other channels than the dataset's.
        GeometryError: Channels lie on different grids.
    """
    if not case.images:
        raise ReadError(
            f"Case {case.id!r} has a label and no image.", where=_where(dataset, case), hint="Add the image."
        )
    if case.sections is not None:
        return planes_of(load_image(dataset, whole(case)), case)
    wanted = len(dataset.channels)
    volumes = [open_source(dataset, source) for source in case.images]
    share = 1 if wanted == len(volumes) else wanted if len(volumes) == 1 else 0
    volumes = [_adapt(volume, share) for volume in volumes]
    joined = volumes[0] if len(volumes) == 1 else _stack(dataset, case, volumes)
    count = joined.data.shape[0]
    if wanted and count != wanted:
        raise ReadError(
            f"Case {case.id!r} has {amount(count, 'channel')}.",
            expected=f"{wanted} ({', '.join(dataset.channels)})",
            got=", ".join(source.path for source in case.images),
            where=dataset.path(case.images[0]),
            hint="Add the missing channel, or correct the case or the channels in dataset.yaml.",
        )
    geometry = joined.geometry.stated(dataset.voxel) if dataset.voxel else joined.geometry
    return Volume(joined.data, geometry, dataset.channels or joined.channels, joined.header)


def load_label(dataset: Dataset, case: Case, like: Geometry) -> NDArray[Any]:
    """The label of a case as a canonical array `(P, z, y, x)` on the grid `like`.

    A label stored with other axis order or direction is turned; one without any place in the world is taken as it lies
    if its shape fits.

    Raises:
        LabelError: No label, values that mean nothing, or exclusive structures that overlap.
        GeometryError: The label's grid is not the image's.
    """
    return read_label(dataset, case, like).labels


class LabelRead(NamedTuple):
    """The label of a case.

    Attributes:
        labels: Canonical array.
        counts: How often each value occurs on disk; empty where structures are told otherwise.
        repairs: Sentences on what was clipped, dropped or assumed.
    """

    labels: NDArray[Any]
    counts: dict[int, int]
    repairs: tuple[str, ...] = ()


def read_label(dataset: Dataset, case: Case, like: Geometry) -> LabelRead:
    """`load_label`, with what was counted and repaired on the way."""
    if not case.label:
        raise LabelError(f"Case {case.id!r} has no label.", hint="Add a label, or predict the case instead.")
    first = case.label[0]
    if first.reader is not None:
        return _consensus(dataset, case, like)
    if is_drawn(dataset, case):
        drawn = read_drawn(dataset, case, like)
        return LabelRead(to_canonical(drawn, dataset.labels, where=str(dataset.path(first))), {}, tuple(drawn.repairs))
    arrays = _Arrays(dataset, case, like)
    if first.structure is not None:
        return LabelRead(_from_masks(dataset.labels, case, arrays), {})
    if len(case.label) > 1:
        raise LabelError(
            f"Case {case.id!r} has several label files that do not say which structure they hold.",
            got=", ".join(source.path for source in case.label),
            hint="Give each source a 'structure' in dataset.yaml.",
        )
    path = str(dataset.path(first))
    refuse_broken(dataset.path(first))
    raw = settle(arrays.raw(first), dataset.labels, where=path)
    counts = value_counts(raw)
    if dataset.labels.instances:
        return LabelRead(numbered(raw, dataset.labels, where=path, part=case.sections is not None), counts)
    return LabelRead(mapped(raw, dataset.labels, counts, where=path), counts)


def _consensus(dataset: Dataset, case: Case, like: Geometry) -> LabelRead:
    """What the readers of a case agree on; counts are those of all their drawings."""
    parts: dict[str | None, list[LabelSource]] = {}
    for source in case.label:
        parts.setdefault(source.reader, []).append(source.model_copy(update={"reader": None}))
    read = [read_label(dataset, case.model_copy(update={"label": tuple(part)}), like) for part in parts.values()]
    counts: Counter[int] = sum((Counter(one.counts) for one in read), Counter())
    repairs = tuple(f"{reader}: {told}" for reader, one in zip(parts, read, strict=True) for told in one.repairs)
    return LabelRead(agreed([one.labels for one in read], dataset.consensus or "majority"), dict(counts), repairs)


def mapped(raw: NDArray[Any], space: LabelSpace, counts: Mapping[int, int], *, where: str) -> NDArray[Any]:
    """`space.from_values(raw)` through a table over the values present, which needs no sorting of voxels.

    Example:
        >>> space = LabelSpace(structures=[{"name": "a", "values": [7]}])
        >>> mapped(np.array([[[0, 7]]]), space, {0: 1, 7: 1}, where="").tolist()
        [[[[0, 1]]]]
    """
    values = np.array(sorted(counts), dtype=np.int64)
    if not len(values) or values[-1] - values[0] >= 1 << 20:
        return space.from_values(raw, where=where)
    meanings = space.from_values(values.reshape(1, 1, -1), where=where)[:, 0, 0]
    table = np.zeros((space.planes, int(values[-1] - values[0]) + 1), dtype=space.dtype)
    table[:, values - values[0]] = meanings
    out = np.empty((space.planes, *raw.shape), dtype=space.dtype)
    for z, plane in enumerate(raw):  # plane by plane: as indices, voxels take eight bytes each
        np.take(table, plane.astype(np.int64) - values[0], axis=1, out=out[:, z], mode="clip")
    return out


class _Arrays:
    """Raw labels of one case on the image's grid; a file that holds several structures is read once."""

    def __init__(self, dataset: Dataset, case: Case, like: Geometry) -> None:
        self.dataset = dataset
        self.case = case
        self.like = like
        self._last: tuple[tuple[str, str | None], NDArray[Any], Volume] | None = None

    def raw(self, source: LabelSource) -> NDArray[Any]:
        """Values `(z, y, x)`."""
        array, opened = self._planes(source)
        geometry = opened.geometry
        if source.plane is not None:
            array = array[source.plane : source.plane + 1]
        path = str(self.dataset.path(source))
        values = one_plane(array, where=path, colours=are_colours(opened))
        values = self._turned(values)
        values, geometry = laid(self.dataset, self.case, source, values, opened.geometry)
        if self.case.sections is None:
            return onto_grid(values, geometry, self.like, where=path)
        grid = self._grid()
        return onto_grid(values, geometry, grid, where=path)[block_of(grid, self.case).slices]

    def _grid(self) -> Geometry:
        """The grid of the whole image, of which a case may be some planes."""
        return self.like if self.case.sections is None else load_image(self.dataset, whole(self.case)).geometry

    def _turned(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values of a picture that a camera turned, where rows and columns are those of its other look."""
        wanted = self.like.shape[1:]
        if len(values) != 1 or values.shape[1:] == wanted or values.shape[:0:-1] != wanted or not self.case.images:
            return values
        turn = turn_of(volume_of(self.dataset, self.case.images[0]))
        return upright(values, turn) if self.dataset.upright else stored(values, turn)

    def _planes(self, source: LabelSource) -> tuple[NDArray[Any], Volume]:
        name = (source.path, source.key)
        if self._last is None or self._last[0] != name:
            volume = planes_of_source(self.dataset, source)
            voxels = math.prod(self._grid().shape)
            if math.prod(volume.geometry.shape) > ROOM * voxels:
                raise GeometryError(
                    "The label claims far more voxels than its image has.",
                    expected=size(self._grid().shape),
                    got=size(volume.geometry.shape),
                    where=self.dataset.path(source),
                    hint="Give the label that was drawn on this image.",
                )
            with expecting(ROOM * voxels):
                self._last = (name, volume.array(), volume)
        return self._last[1], self._last[2]


def load_masks(dataset: Dataset, case: Case, like: Geometry) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """The masks `(z, y, x)` of a case one by one, each with the index of its structure, in the order of the sources.

    For labels whose every source is the mask of one structure, as raster files; together they may be far larger than
    what is made of them.

    Raises:
        LabelError: A source names no structure of the label space.
        GeometryError: A mask's grid is not the image's.
    """
    return _masks(dataset.labels, case, _Arrays(dataset, case, like))


def _masks(space: LabelSpace, case: Case, arrays: _Arrays) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    index_of = {name: index for index, name in enumerate(space.names)}
    for source in case.label:
        if source.structure not in index_of:
            raise LabelError(
                f"Case {case.id!r} names a structure that the label space lacks.",
                expected=", ".join(space.names),
                got=str(source.structure),
                where=source.path,
                hint="Add it under labels.structures in dataset.yaml, or remove the source.",
            )
        raw = arrays.raw(source)
        mask = binary(raw)
        if space.ignore is not None:
            mask &= raw != space.ignore
        yield index_of[source.structure], mask


def _from_masks(space: LabelSpace, case: Case, arrays: _Arrays) -> NDArray[Any]:
    """Masks of single structures put together; several masks of one structure are united."""
    out = np.zeros((space.planes, *arrays.like.shape), dtype=space.dtype)
    for source, (index, mask) in zip(case.label, _masks(space, case, arrays), strict=True):
        if not space.exclusive:
            out[index] |= mask.view(np.int8)
            continue
        shared = int(np.count_nonzero(mask & (out[0] != 0) & (out[0] != index + 1)))
        if shared:
            raise LabelError(
                f"Structure {source.structure!r} overlaps others in {shared} voxels, but structures are exclusive.",
                where=arrays.dataset.path(source),
                hint="Set 'kind: overlapping' under labels in dataset.yaml, or correct the mask.",
            )
        out[0][mask] = index + 1
    if space.ignore is not None:
        for source in case.label:
            out[0 if space.exclusive else space.names.index(str(source.structure))][
                arrays.raw(source) == space.ignore
            ] = IGNORE
    return out


def _adapt(volume: Volume, wanted: int) -> Volume:
    """Colour to luminance or grey to colour, where the dataset's channels ask for it."""
    count = volume.data.shape[0]
    if count in (3, 4) and wanted == 1 and _is_colour(volume):
        note = "colour image taken as luminance"
        return _with(volume, _luminance(volume.data), note)
    if count == 1 and wanted == 3:
        return _with(volume, _repeated(volume.data, 3), "grey image repeated as three colour planes")
    return volume


def _is_colour(volume: Volume) -> bool:
    """Whether channels are colours: the format says so, or it cannot say and they are three or four of 8 bits."""
    return are_colours(volume) or (are_colours(volume) is None and volume.dtype == np.uint8)


def _with(volume: Volume, data: LazyArray, note: str = "") -> Volume:
    """The volume with other voxels on the same grid, and what was done in its warnings."""
    header: Mapping[str, Any] = volume.header
    if note:
        header = {**header, "adapted": (*header.get("adapted", ()), note)}
    return Volume(data, volume.geometry, (), header)


def _channels(data: LazyArray, part: slice) -> LazyArray:
    start, stop, _ = part.indices(data.shape[0])

    def read(index: Index) -> NDArray[Any]:
        first, last, _ = index[0].indices(stop - start)
        return data[(slice(start + first, start + last), *index[1:])]

    return LazyArray((stop - start, *data.shape[1:]), data.dtype, read)


def _repeated(data: LazyArray, count: int) -> LazyArray:
    def read(index: Index) -> NDArray[Any]:
        plane = data[(slice(0, 1), *index[1:])]
        return np.repeat(plane, len(range(*index[0].indices(count))), axis=0)

    return LazyArray((count, *data.shape[1:]), data.dtype, read)


def _luminance(data: LazyArray) -> LazyArray:
    def read(index: Index) -> NDArray[Any]:
        planes = data[(slice(0, 3), *index[1:])]
        if (planes[0] == planes[1]).all() and (planes[1] == planes[2]).all():
            return planes[:1]
        grey = np.tensordot(_LUMINANCE, planes, axes=(0, 0))[None]
        return np.rint(grey).astype(data.dtype) if data.dtype.kind in "iu" else grey.astype(data.dtype)

    return LazyArray((1, *data.shape[1:]), data.dtype, read)


def _stack(dataset: Dataset, case: Case, volumes: list[Volume]) -> Volume:
    """Channels from several files on the first one's grid."""
    first = volumes[0]
    parts = [first.data]
    for source, volume in zip(case.images[1:], volumes[1:], strict=True):
        if volume.geometry.aligned_with(first.geometry):
            parts.append(volume.data)
            continue
        try:
            turned = [onto_grid(plane, volume.geometry, first.geometry, where="") for plane in volume.array()]
        except GeometryError as error:
            raise GeometryError(
                f"Channels of case {case.id!r} lie on different grids.",
                expected=f"{size(first.geometry.shape)} as {case.images[0].path}",
                got=f"{size(volume.geometry.shape)} in {source.path}; {error.got}",
                where=dataset.path(source),
                hint="Resample the channels of a case to one grid first, or leave this channel out of dataset.yaml.",
            ) from error
        parts.append(LazyArray.of(np.stack(turned)))
    return Volume(_joined(parts), first.geometry, (), first.header)


def _joined(parts: list[LazyArray]) -> LazyArray:
    """Arrays one after the other along channels, read lazily."""
    total = sum(part.shape[0] for part in parts)
    dtype = np.result_type(*[part.dtype for part in parts])
    owners = [(part, channel) for part in parts for channel in range(part.shape[0])]

    def read(index: Index) -> NDArray[Any]:
        chosen = owners[index[0]]
        planes = [part[(slice(channel, channel + 1), *index[1:])] for part, channel in chosen]
        return np.concatenate(planes).astype(dtype, copy=False)

    return LazyArray((total, *parts[0].shape[1:]), dtype, read)


def _where(dataset: Dataset, case: Case) -> str:
    return str(dataset.path(case.label[0])) if case.label else case.id
