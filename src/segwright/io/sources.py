"""Opens a source of a dataset with all that is stated of it: key, axes, and which of two places in its header."""

from __future__ import annotations

from segwright import io
from segwright.core.case import Dataset, LabelSource, Source
from segwright.core.errors import ReadError
from segwright.core.volume import Volume
from segwright.io.turns import shown


def volume_of(dataset: Dataset, source: Source) -> Volume:
    """A source as a volume with all its channels, a label with the numbers that are stored; voxels are read later.

    Raises:
        ReadError: Whatever is wrong with the file, or axes or a grid that it cannot have.
    """
    path = dataset.path(source)
    axes = source.axes or ""
    if not axes and io.takes_axes(path):
        axes = dataset.label_axes if isinstance(source, LabelSource) else dataset.image_axes
    read = io.read_label if isinstance(source, LabelSource) else io.read
    volume = read(path, key=source.key, axes=axes)
    if dataset.upright and not isinstance(source, LabelSource):
        volume = shown(volume)
    return volume if source.grid is None else _on(volume, source.grid, dataset, source)


def split_planes(dataset: Dataset, source: Source) -> Volume:
    """A source of one channel as planes of the last stored axis."""
    return io.read_planes(dataset.path(source), source.key)


def planes_of_source(dataset: Dataset, source: Source) -> Volume:
    """A source whose `plane` is a channel of the file, or else of the last axis of its only array."""
    volume = volume_of(dataset, source)
    if source.plane is None or source.plane < 0 or volume.data.shape[0] > 1:
        return volume
    return split_planes(dataset, source)


def _on(volume: Volume, grid: str, dataset: Dataset, source: Source) -> Volume:
    """The volume on another of the grids that its header states."""
    grids = volume.header.get("grids", {})
    if grid in grids:
        told = tuple(text for text in volume.header["warnings"] if not text.startswith("sform and qform"))
        return Volume(volume.data, grids[grid], volume.channels, {**volume.header, "warnings": told})
    raise ReadError(
        f"The header states no {grid}.",
        expected=", ".join(grids) or "a file with one place",
        where=dataset.path(source),
        hint="Take 'grid' away in dataset.yaml.",
    )
