"""Recognises formats that live inside HDF5 and mean more than their arrays, so that none is read as bare numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segwright.core.errors import ReadError


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
