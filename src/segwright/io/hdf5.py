"""HDF5 volumes, and the HDF5 half of MATLAB files; a file is opened for each read, so workers can share it."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterator
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
from segwright.io.unpacking import DEFLATE, unpacker


def refuse_foreign(store: Any, path: Path) -> None:
    """Refuse an open HDF5 file that belongs to another format, by name, with the way to convert it.

    Raises:
        ReadError: It is MINC, NetCDF, Imaris, BigDataViewer, NWB, ilastik's project or raw MR data.
    """
    found = _kind(store)
    if found is None:
        return
    name, hint = found
    raise ReadError(
        f"The file is {name}: its arrays alone would lose scale and place.",
        expected="plain HDF5 arrays",
        got=name,
        where=path,
        hint=hint,
    )


def _kind(store: Any) -> tuple[str, str] | None:
    names, attributes = set(store), set(store.attrs)
    if "minc-2.0" in names:
        return "MINC 2", "Let its name end in '.mnc', so that it is read as MINC."
    if "_NCProperties" in attributes or _has_dimensions(store):
        return "NetCDF", (
            "Convert it: python -c \"import xarray, nibabel, numpy; a = xarray.open_dataset('IN.nc')['NAME']; "
            "nibabel.save(nibabel.Nifti1Image(a.values.T, numpy.diag([DX, DY, DZ, 1])), 'OUT.nii.gz')\""
        )
    if "DataSetInfo" in names and "DataSet" in names:
        return "an Imaris file", "In Fiji: File, Import, Bio-Formats, then File, Save As, OME-TIFF."
    if "s00" in names and any(name.startswith("t0") for name in names):
        return "a BigDataViewer file", "In Fiji: File, Import, BigDataViewer, then File, Save As, OME-TIFF."
    if "nwb_version" in attributes:
        return "an NWB file", "Store the images in it as TIFF or plain HDF5 arrays (pynwb)."
    if "ilastikVersion" in names | attributes:
        return "an ilastik project", "In ilastik: Export, format HDF5 or TIFF."
    if "ismrmrd_header" in names or ("dataset" in names and "xml" in _inside(store, "dataset")):
        return "raw MR data (ISMRMRD)", "Reconstruct images first, and store them as NIfTI."
    return None


def _has_dimensions(store: Any) -> bool:
    """Whether arrays share named axes in the way of NetCDF 4."""
    return any("_Netcdf4Dimid" in item.attrs for item in _own(store) if hasattr(item, "shape"))


def _inside(store: Any, name: str) -> set[str]:
    return next((set(item) for item in _own(store, name) if not hasattr(item, "shape")), set())


def _own(store: Any, name: str | None = None) -> Iterator[Any]:
    """What lies in the file itself: links may lead to any other file."""
    for found in store if name is None else [name]:
        if type(store.get(found, getlink=True)).__name__ == "HardLink":
            yield store[found]


def refuse_elsewhere(item: Any, path: Path) -> None:
    """Refuse an HDF5 array whose voxels lie in other files, which its header may name at will.

    Raises:
        ReadError: It is stored externally, or put together from other files.
    """
    names = [name for name, *_ in item.external or ()]
    if item.is_virtual:
        names += [source.file_name for source in item.virtual_sources() if source.file_name != "."]
    if names:
        raise ReadError(
            f"Array {item.name!r} lies in other files.",
            expected="voxels in the file itself",
            got=", ".join(names[:3]),
            where=path,
            hint="Copy the array into one file, e.g. with 'h5repack'.",
        )


#: Bytes that filters before a compression add to a chunk; a packed chunk is no longer than an unpacked one by more.
_ADDED = 4096
#: Filters that pack.
_PACKS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SZIP, h5py.h5z.FILTER_LZF}


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

    seen: set[tuple[int, ...]] = set()

    def part(index: Index) -> NDArray[Any]:
        with h5py.File(path, "r") as opened:
            refuse_overlong(opened[info.name], index, path, seen)
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


def refuse_overlong(item: Any, index: Index, path: Path, seen: set[tuple[int, ...]] | None = None) -> None:
    """Refuse chunks that unpack to more than a chunk has: HDF5 would follow them until the memory is full.

    Streams of deflate are followed to the first byte too many; of szip, which says how long its result is, that is
    read; of lzf only the packed length is held against the unpacked one. What plug-ins unpack is not looked at.

    Args:
        item: The dataset.
        index: Which part will be read.
        path: For messages.
        seen: Chunks that have passed, which are not followed again; grows.

    Raises:
        ReadError: Names the chunk.
    """
    codes, passed = _filters(item) if item.chunks else [], set() if seen is None else seen
    packed = [code for code in codes if code in _PACKS]
    if not packed:
        return
    most = math.prod(item.chunks) * item.id.get_type().get_size()
    most += 0 if set(codes) <= {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE} else _ADDED
    ranges = (range(s.start // n * n, s.stop, n) for s, n in zip(index, item.chunks, strict=True))
    for place in itertools.product(*ranges):
        if place in passed:
            continue
        info = item.id.get_chunk_info_by_coord(place)
        if info.byte_offset is not None and (len(packed) > 1 or _is_overlong(item, info, codes, most)):
            raise ReadError(
                "A chunk of the array unpacks to more than a chunk has." if len(packed) == 1 else "It is packed twice.",
                expected=f"at most {most} bytes",
                got=f"chunk at {place} of {item.name}",
                where=path,
                hint="Copy the file again from its source; if it is the same there, take the case out.",
            )
        passed.add(place)


def refuse_overlong_chunks(path: Path) -> None:
    """`refuse_overlong` for all of a file that a library reads on its own; costs unpacking it once."""

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            refuse_overlong(item, tuple(slice(0, n) for n in item.shape or ()), path)

    with h5py.File(path, "r") as store:
        store.visititems(visit)


def _filters(item: Any) -> list[int]:
    """Codes of the filters that chunks went through, the first one first."""
    told = item.id.get_create_plist()
    return [told.get_filter(place)[0] for place in range(told.get_nfilters())]


def _is_overlong(item: Any, info: Any, codes: list[int], most: int) -> bool:
    """Whether a chunk, which one filter packs, unpacks to more than `most` bytes."""
    if info.size > most + most // 64 + _ADDED:
        return True  # what does not pack is stored as it is
    code, place = next((code, place) for place, code in enumerate(codes) if code in _PACKS)
    if info.filter_mask >> place & 1 or code == h5py.h5z.FILTER_LZF:
        return False
    if code == h5py.h5z.FILTER_DEFLATE and info.size * DEFLATE <= most:
        return False
    data = item.id.read_direct_chunk(info.chunk_offset)[1]
    if code == h5py.h5z.FILTER_SZIP:
        return int.from_bytes(data[:4], "little") > most
    unpack = unpacker("zlib")
    assert unpack is not None
    try:
        unpack(data, most)
    except (zlib.error, EOFError):
        return False  # it is damaged, which HDF5 tells
    except ValueError:
        return True
    return False


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


FORMAT: Final = Format("hdf5", read, write, writes=(".h5", ".hdf5", ".hdf"), keys=keys, arranged=read)
