"""All that a case is read from: the files of its scans, with those that a header names, and how they are read."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from glob import escape
from pathlib import Path

from segwright.core.case import Case, Dataset, Source
from segwright.core.errors import ReadError
from segwright.io.companions import voxel_files
from segwright.io.sniff import suffix_of

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
