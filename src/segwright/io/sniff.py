"""Tells formats apart by content and suffix without importing a decoder."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

COMPOUND = (".seg.nrrd", ".seg.nhdr", ".nii.gz", ".ome.tiff", ".ome.tif", ".ome.zarr", ".gipl.gz")

SUFFIXES: dict[str, str] = {
    **dict.fromkeys((".nii", ".nii.gz", ".hdr", ".img"), "nifti"),
    **dict.fromkeys((".nrrd", ".nhdr", ".seg.nrrd", ".seg.nhdr", ".mha", ".mhd", ".gipl", ".gipl.gz"), "itk"),
    **dict.fromkeys((".dcm", ".ima", ".dicom"), "dicom"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".pgm", ".ppm"), "image"),
    **dict.fromkeys((".tif", ".tiff", ".ome.tif", ".ome.tiff"), "tiff"),
    **dict.fromkeys((".h5", ".hdf5", ".hdf"), "hdf5"),
    **dict.fromkeys((".npy", ".npz"), "npy"),
    ".mat": "matlab",
    **dict.fromkeys((".mgz", ".mgh", ".mnc", ".par"), "neuro"),
    **dict.fromkeys((".zarr", ".ome.zarr"), "zarr"),
    ".n5": "n5",
}

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (128, b"DICM", "dicom"),
    (0, b"\x89PNG", "image"),
    (0, b"\xff\xd8\xff", "image"),
    (0, b"GIF8", "image"),
    (0, b"II*\x00", "tiff"),
    (0, b"MM\x00*", "tiff"),
    (0, b"II+\x00", "tiff"),
    (0, b"MM\x00+", "tiff"),
    (0, b"MATLAB ", "matlab"),
    (0, b"\x89HDF\r\n\x1a\n", "hdf5"),
    (0, b"\x93NUMPY", "npy"),
    (0, b"NRRD000", "itk"),
    (344, b"n+1\x00", "nifti"),
    (344, b"ni1\x00", "nifti"),
    (4, b"n+2\x00", "nifti"),
    (4, b"ni2\x00", "nifti"),
)

_ZARR_MARKS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")


def suffix_of(path: str | Path) -> str:
    """The whole suffix in lower case; empty where the last dot is not followed by a short word.

    Example:
        >>> suffix_of("a/Case.1.NII.GZ"), suffix_of("CT.1.3.12.2"), suffix_of("scan.h5")
        ('.nii.gz', '', '.h5')
    """
    name = Path(path).name.lower()
    for suffix in COMPOUND:
        if name.endswith(suffix) and name != suffix:
            return suffix
    found = re.search(r".(\.[a-z][a-z0-9]{0,7})$", name)
    return found.group(1) if found else ""


def sniff(path: str | Path) -> str | None:
    """Name of the format (a row of `READERS`) of a file or folder; `None` where no reader would open it.

    Content decides where it has a signature, the suffix otherwise. A folder is `zarr`, `dicom` (nearly all
    scans in it are: labels may lie beside a series) or `sections` (two or more images); independent 2-D images look
    like sections too.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _sniff_folder(path)
        return _sniff_file(path) if path.is_file() else None
    except OSError:
        return SUFFIXES.get(suffix_of(path))


def _sniff_file(path: Path) -> str | None:
    with path.open("rb") as stream:
        head = stream.read(352)
    by_suffix = SUFFIXES.get(suffix_of(path))
    if by_suffix in {"matlab", "neuro"}:
        return by_suffix
    for offset, magic, name in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return name
    if by_suffix is None and not suffix_of(path) and head[:4] in {b"\x08\x00\x05\x00", b"\x08\x00\x08\x00"}:
        return "dicom"
    return by_suffix


def _is_n5(path: Path) -> bool:
    """Whether a folder is an N5 container, or a group or dataset in one."""
    if suffix_of(path) == ".n5":
        return True
    file = path / "attributes.json"
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        head = stream.read(1 << 16)
    return any(mark in head for mark in (b'"n5"', b'"blockSize"'))


def _sniff_folder(path: Path) -> str | None:
    if any((path / mark).exists() for mark in _ZARR_MARKS):
        return "zarr"
    if _is_n5(path):
        return "n5"
    files = (entry for entry in sorted(path.iterdir()) if entry.is_file() and not entry.name.startswith("."))
    kinds = [kind for kind in map(_sniff_file, islice(files, 12)) if kind is not None]
    others = sum(kind in {"nifti", "itk", "hdf5", "npy", "matlab"} for kind in kinds)
    if kinds.count("dicom") > 2 * others:
        return "dicom"
    pictures = [kind for kind in kinds if kind in {"image", "tiff"}]
    return "sections" if len(pictures) >= 2 and len(pictures) == len(kinds) else None
