"""Files that a header names for its voxels: only regular files beside it or below it are opened, whatever it says.

A header comes from somebody else and may name any file of this account; read as voxels, its bytes would be handed on.
"""

from __future__ import annotations

import re
from glob import escape
from pathlib import Path, PureWindowsPath

from segwright.core.errors import ReadError

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
