"""The table of formats: each row says which files it reads and how sure it is; a decoder loads when it is used."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

from segwright.core.registry import Part, Registry

#: Suffixes of two words.
COMPOUND = (".seg.nrrd", ".seg.nhdr", ".nii.gz", ".ome.tiff", ".ome.tif", ".ome.zarr", ".gipl.gz")
#: Files of a folder that are looked at to learn what it is.
_FILES = 12
#: How sure a row is of a file: it bears the suffix, its bytes say so, or the suffix is surer than bytes.
_SUFFIX, _BYTES, _OWN = 1, 2, 3

Marks = tuple[tuple[int, bytes], ...]


@dataclass(frozen=True)
class FormatInfo(Part):
    """What a format of scans and masks says of itself.

    Attributes:
        suffixes: Lower-case suffixes it claims, compound ones included.
        marks: Bytes at an offset, by any of which its files are known whatever they are called.
        bare: The same of files without a suffix only, as these bytes are common.
        own: Its suffixes are surer than bytes, which it shares with another format.
        store: Whether a folder is a source of it, by what lies in it.
        many: Whether a folder is a source of it, by the formats of its first files.
    """

    suffixes: tuple[str, ...] = ()
    marks: Marks = ()
    bare: Marks = ()
    own: bool = False
    store: Callable[[Path], bool] | None = None
    many: Callable[[Sequence[str]], bool] | None = None

    def claim(self, suffix: str, head: bytes) -> int:
        """How sure it is of a file that begins with some bytes; 0 if it does not read it."""
        named = suffix in self.suffixes
        marks = self.marks if suffix else (*self.marks, *self.bare)
        known = any(head[at : at + len(mark)] == mark for at, mark in marks)
        return _OWN if named and self.own else _BYTES if known else _SUFFIX if named else 0


@dataclass(frozen=True)
class FormInfo(Part):
    """What a form of labels that name their structures says of itself.

    Attributes:
        suffixes: Suffixes that its files may have; what they hold decides.
        dicom: Its files are DICOM, under the suffixes of that or under none that another format claims.
    """

    suffixes: tuple[str, ...] = ()
    dicom: bool = False


def _zarr(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in ("zarr.json", ".zgroup", ".zarray", ".zattrs"))


def _n5(folder: Path) -> bool:
    """Whether a folder is an N5 container, or a group or dataset in one."""
    if suffix_of(folder) == ".n5":
        return True
    file = folder / "attributes.json"
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        head = stream.read(1 << 16)
    return any(mark in head for mark in (b'"n5"', b'"blockSize"'))


def _series(kinds: Sequence[str]) -> bool:
    """Whether nearly all scans are DICOM: labels may lie beside a series."""
    return kinds.count("dicom") > 2 * sum(kind in {"nifti", "itk", "hdf5", "npy", "matlab"} for kind in kinds)


def _pictures(kinds: Sequence[str]) -> bool:
    """Whether there are two or more plain images, and nothing else that is read."""
    return len(kinds) >= 2 and all(kind in {"image", "tiff"} for kind in kinds)


_IO = "segwright.io"
_NRRD = (".nrrd", ".nhdr", ".seg.nrrd", ".seg.nhdr")

#: Formats of scans and masks; each row loads a `Format`. Other packages add rows under the entry point
#: `segwright.readers`. Of rows that are as sure of a file, the first reads it.
READERS = Registry(
    "segwright.readers",
    {
        "nifti": FormatInfo(
            f"{_IO}.nifti:FORMAT",
            suffixes=(".nii", ".nii.gz", ".hdr", ".img"),
            marks=((344, b"n+1\x00"), (344, b"ni1\x00"), (4, b"n+2\x00"), (4, b"ni2\x00")),
        ),
        "itk": FormatInfo(
            f"{_IO}.itk:FORMAT", suffixes=(*_NRRD, ".mha", ".mhd", ".gipl", ".gipl.gz"), marks=((0, b"NRRD000"),)
        ),
        "dicom": FormatInfo(
            f"{_IO}.dicom:FORMAT",
            suffixes=(".dcm", ".ima", ".dicom"),
            marks=((128, b"DICM"),),
            bare=((0, b"\x08\x00\x05\x00"), (0, b"\x08\x00\x08\x00")),
            many=_series,
        ),
        "image": FormatInfo(
            f"{_IO}.image:FORMAT",
            suffixes=(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".pgm", ".ppm"),
            marks=((0, b"\x89PNG"), (0, b"\xff\xd8\xff"), (0, b"GIF8")),
        ),
        "tiff": FormatInfo(
            f"{_IO}.tiff:FORMAT",
            suffixes=(".tif", ".tiff", ".ome.tif", ".ome.tiff"),
            marks=((0, b"II*\x00"), (0, b"MM\x00*"), (0, b"II+\x00"), (0, b"MM\x00+")),
        ),
        "zarr": FormatInfo(f"{_IO}.zarr:FORMAT", suffixes=(".zarr", ".ome.zarr"), store=_zarr),
        "n5": FormatInfo(f"{_IO}.n5:FORMAT", suffixes=(".n5",), store=_n5),
        "hdf5": FormatInfo(f"{_IO}.hdf5:FORMAT", suffixes=(".h5", ".hdf5", ".hdf"), marks=((0, b"\x89HDF\r\n\x1a\n"),)),
        "npy": FormatInfo(f"{_IO}.npy:FORMAT", suffixes=(".npy", ".npz"), marks=((0, b"\x93NUMPY"),)),
        "matlab": FormatInfo(f"{_IO}.matlab:FORMAT", suffixes=(".mat",), marks=((0, b"MATLAB "),), own=True),
        "sections": FormatInfo(f"{_IO}.sections:FORMAT", many=_pictures),
        "neuro": FormatInfo(f"{_IO}.formats.neuro:FORMAT", suffixes=(".mgz", ".mgh", ".mnc", ".par"), own=True),
    },
)

#: Forms of labels that name their structures; each row loads a `drawn.Form`. Tried in order.
FORMS = Registry(
    "segwright.forms",
    {
        "labelme": FormInfo(f"{_IO}.formats.labelme:FORM", suffixes=(".json",)),
        "coco": FormInfo(f"{_IO}.formats.coco:FORM", suffixes=(".json",)),
        "via": FormInfo(f"{_IO}.formats.via:FORM", suffixes=(".json",)),
        "geojson": FormInfo(f"{_IO}.formats.geojson:FORM", suffixes=(".json", ".geojson")),
        "rle": FormInfo(f"{_IO}.formats.rle:FORM", suffixes=(".csv", ".tsv")),
        "dicomseg": FormInfo(f"{_IO}.formats.dicomseg:FORM", dicom=True),
        "rtstruct": FormInfo(f"{_IO}.formats.rtstruct:FORM", dicom=True),
        "segnrrd": FormInfo(f"{_IO}.formats.segnrrd:FORM", suffixes=_NRRD),
        "cvat": FormInfo(f"{_IO}.formats.cvat:FORM", suffixes=(".xml",)),
        "yolo": FormInfo(f"{_IO}.formats.yolo:FORM", suffixes=(".txt",)),
        "imagej": FormInfo(f"{_IO}.formats.imagej:FORM", suffixes=(".roi", ".zip")),
    },
)


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


@cache
def _infos() -> dict[str, FormatInfo]:
    """What all rows say of themselves; those of other packages are asked first."""
    return {name: READERS.info(name, FormatInfo) for name in (*READERS.added, *READERS.builtin)}


@cache
def by_suffix() -> dict[str, str]:
    """The row of each suffix; that of another package wins over a built-in one."""
    found = {suffix: name for name, info in _infos().items() for suffix in info.suffixes}
    for name in READERS.added:
        found |= dict.fromkeys(READERS.info(name, FormatInfo).suffixes or READERS.load(name).suffixes, name)
    return found


def sniff(path: str | Path) -> str | None:
    """Row of `READERS` that opens a file or folder, the surest of all; `None` where none would.

    Bytes that mark a format count for more than a suffix, and what a format of another package claims for most. A
    folder of two or more plain images counts as `sections`: whether they are one volume or independent pictures is for
    the caller to know. Decodes nothing.
    """
    path = Path(path)
    named = by_suffix().get(suffix_of(path))
    if named is not None and named not in READERS.builtin:
        return named
    try:
        if path.is_dir():
            return _sniff_folder(path)
        return _sniff_file(path) if path.is_file() else None
    except OSError:
        return named


def _sniff_file(path: Path) -> str | None:
    with path.open("rb") as stream:
        head = stream.read(352)
    suffix = suffix_of(path)
    claims = {name: info.claim(suffix, head) for name, info in _infos().items()}
    best = max(claims, key=lambda name: claims[name])
    return best if claims[best] else None


def _sniff_folder(path: Path) -> str | None:
    rows = _infos().items()
    store = next((name for name, info in rows if info.store is not None and info.store(path)), None)
    if store is not None:
        return store
    files = (entry for entry in sorted(path.iterdir()) if entry.is_file() and not entry.name.startswith("."))
    kinds = [kind for kind in map(_sniff_file, islice(files, _FILES)) if kind is not None]
    return next((name for name, info in rows if info.many is not None and info.many(kinds)), None)


def forms_of_suffix(suffix: str) -> tuple[str, ...]:
    """Rows of `FORMS` that files of a suffix may be of; those of other packages come first, whatever the suffix."""
    dicom = suffix not in by_suffix() or by_suffix()[suffix] == "dicom"
    infos = {name: FORMS.info(name, FormInfo) for name in FORMS.builtin}
    mine = [n for n, info in infos.items() if suffix in info.suffixes]
    return (*FORMS.added, *(mine or [n for n, info in infos.items() if info.dicom and dicom]))


def drawn_suffixes() -> tuple[str, ...]:
    """Suffixes of files in which built-in forms may lie; DICOM files may have none."""
    found = (suffix for name in FORMS.builtin for suffix in FORMS.info(name, FormInfo).suffixes)
    return tuple(dict.fromkeys(found))
