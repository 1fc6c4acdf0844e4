"""HDF5 volumes, and the HDF5 half of MATLAB files; a file is opened for each read, so workers can share it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from segwright.core.disk import atomic_path
from segwright.core.errors import ReadError
from segwright.core.geometry import Geometry
from segwright.core.volume import Index, Volume
from segwright.io.axes import Axes, axes_of
from segwright.io.foreign import refuse_elsewhere, refuse_foreign
from segwright.io.protocol import (
    ArrayInfo,
    Format,
    Stored,
    decoding,
    is_scan,
    lazy,
    make_header,
    pick_key,
    same_format,
)


def keys(path: Path) -> tuple[ArrayInfo, ...]:
    """Arrays that can be scans or labels, with stored shape and type."""
    found: list[ArrayInfo] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and is_scan(item.shape or (), item.dtype):
            refuse_elsewhere(item, path)
            found.append(ArrayInfo(name, tuple(item.shape), str(item.dtype)))

    with decoding(path, "HDF5"), h5py.File(path, "r") as store:
        refuse_foreign(store, path)
        store.visititems(visit)
    return tuple(found)


def refuse_links(path: Path) -> None:
    """`refuse_elsewhere` for all of an HDF5 file, links included, before a library follows them on its own.

    Raises:
        ReadError: Something in it lies in another file.
    """

    def visit(name: str, link: Any) -> None:
        if isinstance(link, h5py.ExternalLink):
            got = f"{name} leads to {link.filename}"
            raise ReadError("The file leads to other files.", got=got, where=path, hint="Copy all of it into one.")

    with h5py.File(path, "r") as store:
        store.visititems_links(visit)
        store.visititems(lambda _, item: refuse_elsewhere(item, path) if hasattr(item, "shape") else None)


def read(path: Path, key: str | None = None, letters: str = "") -> Volume:
    """Open an array; axes as stated or by `guess_axes`, spacing from its `element_size_um` (z, y, x), else unknown."""
    info = pick_key(keys(path), key, path)
    return open_array(path, info, axes_of(info.shape, info.dtype, letters, where=path), "hdf5")


def open_array(path: Path, info: ArrayInfo, axes: Axes, name: str) -> Volume:
    """A lazy volume over one dataset with the given axes; `name` is the format it belongs to."""
    with decoding(path, "HDF5"), h5py.File(path, "r") as store:
        refuse_elsewhere(store[info.name], path)
        chunks, held = store[info.name].chunks, store[info.name].id.get_storage_size()
        attributes = {k: np.array(v) for k, v in store[info.name].attrs.items() if k in {"element_size_um", "affine"}}

    def part(index: Index) -> NDArray[Any]:
        with h5py.File(path, "r") as opened:
            array = np.asarray(opened[info.name][index])
        return array.astype(np.uint8) if array.dtype.kind == "b" else array

    dtype = np.dtype(info.dtype).newbyteorder("=")
    real, how = np.dtype("u1") if dtype.kind == "b" else dtype, Stored(None, size=lambda: held)
    data = lazy(axes.shape(info.shape), real, axes.fetching(info.shape, part), path=path, family="HDF5", stored=how)
    with decoding(path, "HDF5"):
        geometry = _geometry(data.shape[1:], attributes)
    channel = axes.channel_axes[0] if axes.channel_axes else None
    header = make_header(name, path, key=info.name, axes=axes.letters, channel_axis=channel)
    if chunks:
        header["chunks"] = axes.shape(chunks)[1:]
    return Volume(data, geometry, header=header)


def _geometry(shape: tuple[int, int, int], attributes: dict[str, NDArray[Any]]) -> Geometry:
    sizes = [float(step) * 1e-3 for step in attributes.get("element_size_um", np.array([])).ravel()]
    steps: list[float | None] = [step if np.isfinite(step) and step > 0 else None for step in sizes]
    steps = [None, None, None, *steps][-3:]
    if shape[0] == 1:
        steps[0] = None
    affine = attributes.get("affine")
    if affine is not None and affine.shape == (4, 4):
        known = (steps[0] is not None, steps[1] is not None, steps[2] is not None)
        return Geometry(shape, affine, known)
    return Geometry.from_spacing(shape, steps)


def write(path: Path, array: NDArray[Any], geometry: Geometry, like: Volume | None) -> None:
    """Store under the source's key (`label` without one) and axis order, with spacing and affine as attributes."""
    known = same_format(like, "hdf5")
    key = known.get("key", "label")
    axes = Axes(known["axes"]).for_labels(array.shape) if known else Axes("zyx" if len(array) == 1 else "czyx")
    with atomic_path(path) as partial, h5py.File(partial, "w") as store:
        item = store.create_dataset(key, data=axes.stored(array), compression="gzip", chunks=True)
        if any(geometry.known):
            item.attrs["element_size_um"] = [np.nan if step is None else step * 1e3 for step in geometry.spacing]
            item.attrs["affine"] = geometry.affine


FORMAT: Final = Format(
    "hdf5", (".h5", ".hdf5", ".hdf"), read, write, writes=(".h5", ".hdf5", ".hdf"), keys=keys, arranged=read
)
