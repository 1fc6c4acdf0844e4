"""Files beside a file: those that a header names for its voxels, and all that a case is read from."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from glob import escape
from pathlib import Path, PureWindowsPath

from segwright.core.case import Case, Dataset, Source
from segwright.core.errors import ReadError
from segwright.io.formats import suffix_of

_HEADER = 1 << 24
_WHOLE = "Replace the file by a whole copy, or take the case out of the dataset."
#: Suffixes of headers whose voxels always lie in a second file, and of these files.
_HALVES = frozenset({".hdr", ".img", ".mhd", ".nhdr", ".par", ".rec"})
_META = re.compile(rb"^[ \t]*ElementDataFile[ \t]*[=:][ \t]*(.*?)[ \t\r]*$", re.IGNORECASE | re.MULTILINE)
_NRRD = re.compile(rb"^[ \t]*data[ \t]?file[ \t]*:=?[ \t]*(.*?)[ \t\r]*$", re.IGNORECASE | re.MULTILINE)


def companion(header: Path, name: str) -> Path:
    """The file that a header names, relative to itself.

    Raises:
        ReadError: It lies elsewhere (links followed), or is no regular file.
    """
    place = header.parent / name
    inside = not PureWindowsPath(name).drive and "\\" not in name and not Path(name).is_absolute()
    try:
        real = place.resolve()
        homes = {header.parent.resolve(), header.resolve().parent}
        inside = inside and any(real.is_relative_to(home) for home in homes)
        there = inside and real.is_file()
    except (OSError, ValueError, RuntimeError):
        inside = there = False
    if not inside:
        raise ReadError(
            "The header names a file that does not lie beside it.",
            expected="a file in the header's own folder",
            got=name[:200],
            where=header,
            hint="Put both files into one folder, and correct the name in the header.",
        )
    if not there:
        raise ReadError(
            "The file of voxels that the header names is missing, or no regular file.",
            got=name[:200],
            where=header,
            hint="Put it beside the header.",
        )
    return place


def voxel_files(path: Path) -> list[Path]:
    """Files that a MetaImage or NRRD header names; empty where voxels follow the header itself.

    Raises:
        ReadError: One of them does not lie beside the header, or a header of MetaImage names none.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEADER)
    nrrd = head.startswith(b"NRRD")
    text = re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0] if nrrd else head
    found = list((_NRRD if nrrd else _META).finditer(text))
    if not nrrd:
        found = found[:1]  # voxels follow
    if not found:
        if nrrd:
            return []
        raise ReadError(
            "The header does not say where its voxels are.", expected="ElementDataFile", where=path, hint=_WHOLE
        )
    files: list[Path] = []
    for match in found:
        value = match[1].decode("utf-8", errors="surrogateescape")
        if value.upper() == "LOCAL" and not nrrd:
            continue
        if value.split()[:1] and value.split()[0].upper() == "LIST":
            rest = (text if nrrd else head)[match.end() :].decode("utf-8", errors="surrogateescape")
            files += [companion(path, line.strip()) for line in rest.splitlines() if line.strip()]
        elif "%" in value:
            files += _numbered(path, value)
        else:
            files.append(companion(path, value))
    return files


def _numbered(path: Path, pattern: str) -> list[Path]:
    """Files of a numbered name, such as `s%03d.raw 0 9 1`; a pattern that could lead to another folder is refused."""
    if re.search(r"[/\\]|\.\.", pattern) or not re.fullmatch(r"[^%]*%0?\d*d[^%]*", pattern):
        companion(path, "/" + pattern)
    before, after = re.split(r"%0?\d*d", pattern.split()[0], maxsplit=1)
    return [companion(path, file.name) for file in sorted(path.parent.glob(f"{escape(before)}*{escape(after)}"))]


def is_detached(path: Path) -> bool:
    """Whether a file is, or may be, only a half: a header whose voxels lie elsewhere, or voxels without a header."""
    suffix = path.suffix.lower()
    if suffix in _HALVES:
        return True
    if suffix not in {".nrrd", ".mha"} or not path.is_file():
        return False
    try:
        return bool(voxel_files(path))
    except ReadError:
        return True


#: What a dataset says that is not about how a case is read: words, places, other cases, and what each label repeats.
WORDS = {"root", "layout", "cases", "notes", "group_rule", "modality_rule", "decisions", "aside", "label_order",
         "label_flip"}  # fmt: skip
#: What it says of labels only.
OF_LABELS = {"labels", "label_axes", "run_lengths", "readers", "consensus"}
#: Suffixes of files of one name that make one scan.
_PAIRS = ({".hdr", ".img", ".hdr.gz", ".img.gz"}, {".par", ".rec"})
#: Suffixes of headers that may name a file for their voxels.
_NAMING = {".mhd", ".mha", ".nhdr", ".nrrd"}


def files_of(path: Path) -> tuple[Path, ...]:
    """A file or folder, followed by the files beside it that hold its voxels; missing ones are left out.

    Example:
        >>> files_of(Path("scans/a.nii.gz"))
        (PosixPath('scans/a.nii.gz'),)
    """
    suffix = suffix_of(path)
    pair = next((pair for pair in _PAIRS if suffix in pair), set[str]())
    others: list[Path] = []
    if pair:
        stem = path.name[: -len(suffix)]
        others = [file for file in path.parent.glob(f"{escape(stem)}.*") if suffix_of(file) in pair]
    elif suffix in _NAMING and path.is_file():
        with suppress(ReadError):  # which reading it says in full
            others = voxel_files(path)
    elif suffix.endswith((".tif", ".tiff")) and path.is_file():
        from segwright.io.tiff import parts_of  # loads its library only where there is such a file

        with suppress(ReadError):
            others = parts_of(path)
    return (path, *sorted({other for other in others if other != path and other.is_file()}))


def files_of_case(dataset: Dataset, case: Case, *, labels: bool = False) -> tuple[Path, ...]:
    """Everything that a case's images, or its labels, are read from."""
    sources: tuple[Source, ...] = case.label if labels else case.images
    paths = dict.fromkeys(dataset.path(source) for source in sources)
    return tuple(dict.fromkeys(file for path in paths for file in files_of(path)))


def reading_of(dataset: Dataset, case: Case, *, labels: bool) -> str:
    """A digest of how a case's files are read: which parts, axes, voxel size; with labels, what their values mean."""
    told = dataset.model_dump(mode="json", exclude=WORDS if labels else WORDS | OF_LABELS)
    sources = [*case.images, *(case.label if labels else ())]
    told |= {"sources": [one.model_dump(mode="json") for one in sources], "sections": case.sections}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
