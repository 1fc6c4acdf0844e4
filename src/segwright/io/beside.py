"""All that a case is read from: the files of its scans, with those that a header names, and how they are read."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from segwright.core.case import Case, Dataset, Source
from segwright.io.sniff import suffix_of

#: What follows a text header's own lines is voxels, so not more than this is looked at.
HEAD = 1 << 16
#: What a dataset says that is not about how a case is read: words, places, and other cases.
WORDS = {"root", "layout", "cases", "notes", "group_rule", "modality_rule", "decisions", "aside"}
#: What it says of labels only.
OF_LABELS = {"labels", "label_axes", "run_lengths", "readers", "consensus"}
_PAIR = (".hdr", ".img", ".hdr.gz", ".img.gz")
_NUMBERED = re.compile(r"%0?\d*[du]")


def files_of(path: Path) -> tuple[Path, ...]:
    """A file or folder, followed by the files beside it that hold its voxels; missing ones are left out.

    Example:
        >>> files_of(Path("scans/a.nii.gz"))
        (PosixPath('scans/a.nii.gz'),)
    """
    suffix = suffix_of(path)
    if suffix in _PAIR:
        stem = path.name[: -len(suffix)]
        others = [path.with_name(stem + other) for other in _PAIR]
    elif suffix in {".mhd", ".nhdr"} and path.is_file():
        others = _named(path)
    else:
        others = []
    return (path, *sorted({other for other in others if other != path and other.is_file()}))


def _named(path: Path) -> list[Path]:
    """Files that a text header names, one by one or by number."""
    with path.open("rb") as stream:
        text = stream.read(HEAD).decode("utf-8", errors="replace")
    found: list[Path] = []
    for line in text.splitlines():
        value = re.split(r"[:=]", line, maxsplit=1)[-1].strip()
        words = {value, *value.split()}
        for word in words:
            if _NUMBERED.search(word) and "/" not in word:
                found += path.parent.glob(_NUMBERED.sub("*", word))
            elif 0 < len(word) < 256 and "\0" not in word:
                found.append(path.parent / word)
    return found


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
