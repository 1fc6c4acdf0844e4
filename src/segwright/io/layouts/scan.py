"""Lists what a folder holds as items a reader can open: files, DICOM series and stacks of sections."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from segwright import io
from segwright.core.case import Source
from segwright.core.errors import SegwrightError
from segwright.io.dicomheads import Series, series_of
from segwright.io.layouts.names import shared_start

#: Formats that hold named arrays and so may hold an image and its label together.
STORES = frozenset({".zarr", ".ome.zarr", ".n5"})
CONTAINERS = STORES | {".h5", ".hdf5", ".hdf", ".mat", ".npz"}
#: DICOM modalities whose images are single projections.
PROJECTIONS = frozenset({"CR", "DX", "DR", "RG", "RF", "XA", "MG", "PX", "IO"})
PLANE_FORMATS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif"})
#: What systems and archives leave in folders.
DROPPINGS = frozenset({"__MACOSX", "Thumbs.db", "DICOMDIR", "desktop.ini", "@eaDir"})
#: Files of a folder whose headers are read to learn whether all are of one series.
_PROBED = 8
#: Series of several patients are scans if this share of the files are slices of stacks.
_IN_STACKS = 0.8
#: Documents by which folders of results are known.
_RESULTS = {
    ("plan.json", "splits.json"): "a run",
    ("plan.json", "manifest.json"): "a model",
    ("predictions.json",): "predictions",
}
_VIEWS_OF_FILES = frozenset({".csv", ".json", ".yaml", ".yml", ".txt", ".md", ".xml", ".pdf", ".html", ".xlsx", ".zip"})


@dataclass(frozen=True)
class Item:
    """Something that one call of a reader opens.

    Attributes:
        path: File, or folder of a series or stack.
        stem: Name without suffix; with the subfolders below the place searched, joined by `/`.
        kind: What it is.
        key: Which of several series of a folder.
    """

    path: Path
    stem: str
    kind: Literal["file", "series", "sections"] = "file"
    key: str | None = None

    def source(self, root: Path, key: str | None = None, plane: int | None = None) -> Source:
        """The item as a source relative to `root`."""
        return Source(path=relative(self.path, root), key=key or self.key, plane=plane)


def relative(path: Path, root: Path) -> str:
    """`path` relative to `root` with forward slashes; absolute where it lies elsewhere."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return path.resolve().as_posix()


def stem_of(path: Path) -> str:
    """File name without its whole suffix (`.nii.gz` is one suffix); a DICOM name without suffix stays whole.

    Accents are composed, as file systems differ in how they store them.
    """
    suffix, name = io.suffix_of(path), path.name
    if suffix and name.lower().endswith(suffix.lower()) and len(name) > len(suffix):
        name = name[: -len(suffix)]
    return unicodedata.normalize("NFC", name)


def suffix_of(path: Path) -> str:
    """Suffix in lower case as the readers see it."""
    return str(io.suffix_of(path) or "").lower()


def made_here(folder: Path) -> str:
    """What segwright itself left in a folder, in words; empty for every other folder.

    Results are no data to learn from: masks that a model drew would come back as if a person had drawn them.
    """
    found = next((what for marks, what in _RESULTS.items() if all((folder / mark).is_file() for mark in marks)), "")
    return f"{found} of segwright, no data to learn from" if found else ""


def visible(folder: Path) -> list[Path]:
    """Entries of a folder in name order, without hidden ones, archives' droppings and results of segwright."""
    if not folder.is_dir():
        return []
    found = (entry for entry in folder.iterdir() if entry.name[0] not in ".~" and entry.name not in DROPPINGS)
    return sorted(entry for entry in found if entry.is_file() or (entry.is_dir() and not made_here(entry)))


def subfolders(folder: Path) -> list[Path]:
    """Visible subfolders that are not themselves a store (Zarr, N5)."""
    return [entry for entry in visible(folder) if entry.is_dir() and suffix_of(entry) not in STORES]


def is_single(path: Path) -> bool:
    """Whether a path is one scan by itself: a file, or a folder that is a store or an array in one."""
    return path.is_file() or suffix_of(path) in STORES or io.sniff(path) in {"zarr", "n5"}


def files(folder: Path) -> list[Path]:
    """Visible files (and stores) that hold a scan; the `.img` of a header pair is not listed twice.

    DICOM SEG and RTSTRUCT files are labels of a scan, and none themselves.
    """
    found = [p for p in visible(folder) if not (p.is_dir() and suffix_of(p) not in STORES)]
    found = [p for p in found if suffix_of(p) not in _VIEWS_OF_FILES and io.is_readable(p) and io.form_of(p) is None]
    headers = {p.stem for p in found if suffix_of(p) in {".hdr", ".mhd", ".nhdr"}}
    return [p for p in found if not (suffix_of(p) in {".img", ".raw", ".zraw"} and p.stem in headers)]


def items(folder: Path, *, depth: int = 0) -> list[Item]:
    """What can be opened in a folder, and in subfolders down to `depth`; a DICOM series is one item."""
    found = files(folder)
    series, slices = _series(folder, found)
    result = [*series, *(Item(p, stem_of(p)) for p in found if p not in slices)]
    if depth > 0:
        for child in subfolders(folder):
            result += [_below(item, child) for item in items(child, depth=depth - 1)]
    return result


def _below(item: Item, folder: Path) -> Item:
    """An item of a subfolder, with the subfolder in its stem; a series in it is named by the subfolder alone."""
    alone = item.path == folder and item.key is None
    return replace(item, stem=folder.name if alone else f"{folder.name}/{item.stem}")


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, by suffix or by the mark at byte 128."""
    if suffix_of(path) in {".dcm", ".dicom", ".ima"}:
        return True
    if suffix_of(path) in PLANE_FORMATS | CONTAINERS or not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _series(folder: Path, found: Sequence[Path]) -> tuple[list[Item], set[Path]]:
    """Series among the files of a folder, and their files; none where each file is an image of its own.

    One series UID makes a series; so does a stack of slices with other series of the study, such as a scout, beside
    it. Stacks of several patients or studies are an item each. Files without UID are a series if their positions form a
    stack. Projections never are.
    """
    own = [path for path in found if is_dicom(path)]
    if len(own) < 2:
        return [], set()
    try:
        headers = [io.read(path).header for path in {*own[:: max(1, len(own) // _PROBED)], own[-1]}]
        uids = {header.get("series_uid") for header in headers}
        if headers[0].get("modality") in PROJECTIONS:
            return [], set()
        if len(uids) > 1:
            made = _stacks_of(folder, own)
        else:
            made = [Item(folder, folder.name, "series")] if uids - {"", None} or _stacks(folder) else []
    except SegwrightError:
        return [], set()
    return made, set(own) if made else set()


def _stacks_of(folder: Path, own: Sequence[Path]) -> list[Item]:
    """Stacks of slices among files of several series: all as one item for one study, else one each.

    Where most files are no slices of a stack, they are pictures of their own.
    """
    inside = series_of(own)
    stacks = {uid: one for uid, one in inside.items() if len(one.files) > 2 and not one.scout}
    if len({(one.patient, one.study) for one in stacks.values()}) == 1:
        return [Item(folder, folder.name, "series")]
    if sum(len(one.files) for one in stacks.values()) < _IN_STACKS * len(own):
        return []
    return [Item(folder, name, "series", uid) for uid, name in _called(stacks).items()]


def _called(stacks: Mapping[str, Series]) -> dict[str, str]:
    """A name for each series: the first that tells all apart of how its files begin, the patient, and what was done."""
    ways = [
        {uid: _beginning(one.files) for uid, one in stacks.items()},
        {uid: one.patient for uid, one in stacks.items()},
        {uid: f"{one.patient} {one.name}".strip() for uid, one in stacks.items()},
    ]
    return next(
        (way for way in ways if all(way.values()) and len(set(way.values())) == len(way)), {u: u for u in stacks}
    )


def _beginning(files: Sequence[Path]) -> str:
    """What the names of a series' files begin with, where that is a word and no identifier."""
    shared = shared_start([re.sub(r"\d+$", "", stem_of(path)) for path in files])
    return shared.rstrip("_-. ") if re.search(r"[A-Za-z]", shared) else ""


def _stacks(folder: Path) -> bool:
    """Whether a folder of DICOM files without series UID reads as one volume with positions."""
    try:
        volume = io.read(folder)
    except SegwrightError:
        return False
    told = " ".join(map(str, volume.header.get("warnings", ())))
    return volume.geometry.shape[0] > 1 and "no positions" not in told


def numbered(stems: Sequence[str], *, least: int = 3) -> bool:
    """Whether stems are one name with a running number (gaps of one in five at most), as sections of a stack are.

    Example:
        >>> numbered(["s_01", "s_02", "s_03"]), numbered(["a1", "b2", "c3"]), numbered(["p3", "p90", "p412"])
        (True, False, False)
    """
    found = [re.fullmatch(r"(.*?)(\d+)(\D*)", stem) for stem in stems]
    if len(stems) < least or any(hit is None for hit in found):
        return False
    parts = [hit.groups() for hit in found if hit]
    values = sorted(int(number) for _, number, _ in parts)
    if len({(head, tail) for head, _, tail in parts}) != 1 or len(set(values)) != len(values):
        return False
    return (values[-1] - values[0] + 1) <= 1.25 * len(values)


def sections_item(folder: Path) -> Item | None:
    """The folder as one stack of numbered planes, or `None` if it does not look like one."""
    found = files(folder)
    planes = [path for path in found if suffix_of(path) in PLANE_FORMATS]
    if not planes or len(planes) != len(found) or not numbered([stem_of(path) for path in planes]):
        return None
    return Item(folder, folder.name, "sections")
