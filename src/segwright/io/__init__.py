"""Files to volumes and back: one call reads any format, one writes labels on the grid and header of their scan."""

from __future__ import annotations

from pathlib import Path

from segwright.core.errors import ReadError, WriteError
from segwright.core.volume import Volume
from segwright.io.companions import is_detached
from segwright.io.drawn import Form
from segwright.io.formats import FORMS, READERS, by_suffix, drawn_suffixes, forms_of_suffix, sniff, suffix_of
from segwright.io.protocol import ArrayInfo, Format, decoding, encoding, smallest

__all__ = [
    "FORMS",
    "READERS",
    "ArrayInfo",
    "Form",
    "Format",
    "drawn_suffixes",
    "form_of",
    "is_detached",
    "is_readable",
    "keys",
    "label_suffixes",
    "output_suffix",
    "read",
    "read_coarser",
    "read_label",
    "read_planes",
    "sniff",
    "suffix_of",
    "takes_axes",
    "write",
]


def form_of(path: str | Path) -> Form | None:
    """The form of a file of labels that name their structures; `None` for scans and masks."""
    place = Path(path)
    for name in forms_of_suffix(suffix_of(place)):
        form: Form = FORMS.load(name)
        if form.known(place):
            return form
    return None


def is_readable(path: str | Path) -> bool:
    """Whether `read` would try to open a file or folder; decodes nothing."""
    return sniff(path) is not None


def _format(path: Path) -> Format:
    """The format of a source.

    Raises:
        ReadError: It does not exist, is empty, or no reader knows it.
    """
    if not path.exists():
        raise ReadError("There is no such file.", where=path, hint="Check the path.")
    if not path.is_file() and not path.is_dir():
        raise ReadError(
            "This is a pipe, socket or device, which is not opened.", where=path, hint="Give a file, or take it out."
        )
    if path.is_file() and path.stat().st_size == 0:
        raise ReadError("The file is empty (0 bytes).", where=path, hint="Copy it again, or take the case out.")
    name = sniff(path)
    if name is not None:
        loaded: Format = READERS.load(name)
        return loaded
    if path.is_dir():
        raise ReadError(
            "The folder is not one scan.",
            expected="a DICOM series, a Zarr store, or two or more section images",
            where=path,
            hint="Point to the file or folder of one scan.",
        )
    known = ", ".join(sorted(by_suffix()))
    raise ReadError(
        "No reader knows this file.",
        expected=known,
        got=suffix_of(path) or "no suffix",
        where=path,
        hint="Convert it to one of the formats listed.",
    )


def read(source: str | Path, *, key: str | None = None, axes: str = "") -> Volume:
    """Open a scan as it is shown, as `(C, z, y, x)`; the header is read now, voxels when they are sliced.

    Palettes, white-is-zero and tables for display are applied; labels are opened by `read_label`.

    Args:
        source: File, DICOM folder, Zarr folder or folder of sections.
        key: Array inside an HDF5, Zarr, MATLAB or `.npz` file; series UID in a DICOM folder.
        axes: What the axes of the stored array are, one letter each of `c`, `t`, `z`, `y`, `x`, for formats that do not
            name them: MATLAB, NumPy, HDF5, Zarr, N5 and TIFF.

    Returns:
        A volume whose header holds `format`, `path`, `warnings` (sentences for a person) and what the writer of
        the format needs; DICOM adds `patient_id`, `study_uid`, `series_uid`, `modality`, `frame_uids`, `gaps`.

    Raises:
        ReadError: Whatever is wrong with the file: names it, the reason and the hint.
    """
    path = Path(source)
    with decoding(path, "a scan"):
        return _arranged(path, key, axes) if axes else _format(path).read(path, key)


def _arranged(path: Path, key: str | None, axes: str) -> Volume:
    """A source with stated axes."""
    chosen = _format(path)
    if chosen.arranged is not None:
        return chosen.arranged(path, key, axes)
    raise ReadError(
        "Axes can be stated only for arrays that do not name them.",
        expected="a .mat, .npy, .npz, .h5, .zarr, .n5 or .tif source",
        got=chosen.name,
        where=path,
        hint="Take 'axes' away in dataset.yaml.",
    )


def read_label(source: str | Path, *, key: str | None = None, axes: str = "") -> Volume:
    """Open a label with the numbers that are stored, as `(C, z, y, x)`: nothing that is meant for display changes them.

    Several planes are colours if `channels` says red, green, blue; pixels that the format calls clear are 0.

    Raises:
        ReadError: As `read`.
    """
    path = Path(source)
    with decoding(path, "a label"):
        if axes:
            return _arranged(path, key, axes)
        chosen = _format(path)
        return (chosen.labels or chosen.read)(path, key)


def read_planes(source: str | Path, key: str | None = None) -> Volume:
    """Open an `(R, C, K)` array of a MATLAB, NumPy, HDF5 or Zarr file as K channels `(K, 1, R, C)`.

    Raises:
        ReadError: The array has other than 2 or 3 axes, or the format's axes have a fixed meaning.
    """
    path = Path(source)
    with decoding(path, "planes"):
        return _arranged(path, key, _format(path).planes)


def read_coarser(source: str | Path, key: str | None = None) -> tuple[Volume, ...]:
    """Open the smaller copies that an OME-Zarr pyramid keeps of an array, finest first; empty where there are none."""
    path = Path(source)
    with decoding(path, "a pyramid"):
        chosen = _format(path)
        return () if chosen.coarser is None else chosen.coarser(path, key)


def takes_axes(source: str | Path) -> bool:
    """Whether axes can be stated for a file: its format stores arrays that may not name them."""
    name = sniff(source)
    return name is not None and READERS.load(name).arranged is not None


def keys(source: str | Path) -> tuple[ArrayInfo, ...]:
    """Arrays inside an HDF5, Zarr, MATLAB or NumPy file that can be scans or labels; empty for other formats."""
    path = Path(source)
    with decoding(path, "a scan"):
        chosen = _format(path)
        return () if chosen.keys is None else chosen.keys(path)


def output_suffix(volume: Volume) -> str:
    """Suffix under which a label of this scan goes back: the scan's own where that format can hold labels.

    DICOM and unknown sources give `.nii.gz` in 3-D and `.png` in 2-D, JPEG gives `.png`; sections give the
    empty suffix, meaning a folder.
    """
    name = volume.header.get("format")
    path = str(volume.header.get("path", ""))
    suffix = "" if name == "sections" else suffix_of(path)
    if name in READERS and suffix in READERS.load(str(name)).writes:
        return suffix
    return ".png" if volume.geometry.shape[0] == 1 else ".nii.gz"


def label_suffixes() -> tuple[str, ...]:
    """Suffixes under which labels can be stored."""
    return tuple(sorted({suffix for name in READERS for suffix in READERS.load(name).writes if suffix}))


def write(volume: Volume, path: str | Path, *, like: Volume | None = None) -> Path:
    """Store a label or image in the format that the suffix of `path` names; the file appears only when whole.

    Integers take the smallest type that holds them. If `like` (by default the volume itself) was read from the
    same format and has the same grid, its header fields are kept bit for bit; otherwise the grid is written anew.

    Raises:
        WriteError: Unknown or lossy format, or values, axes or channels it cannot hold.
    """
    path = Path(path)
    source = like if like is not None else volume
    name = by_suffix().get(suffix_of(path))
    if not suffix_of(path) and source.header.get("format") == "sections":
        name = "sections"
    if name is None:
        raise WriteError(
            "No writer knows this suffix.", got=suffix_of(path) or "none", where=path, hint="Use '.nii.gz' or '.png'."
        )
    chosen: Format = READERS.load(name)
    if chosen.write is None or (chosen.writes and suffix_of(path) not in chosen.writes):
        raise WriteError(
            f"Labels are not written as {suffix_of(path)}.",
            expected=", ".join(chosen.writes) or "another format",
            where=path,
            hint=f"Use '{output_suffix(source)}'.",
        )
    same = source.header.get("format") == name and source.geometry == volume.geometry
    with encoding(path, name):
        chosen.write(path, smallest(volume.array()), volume.geometry, source if same else None)
    return path
