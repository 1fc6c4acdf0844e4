"""Every file of a folder is in a case, or is listed with the reason why it is in none."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from types import MappingProxyType

from segwright import io
from segwright.core.case import Aside, Dataset
from segwright.io.layouts.scan import DROPPINGS, STORES, made_here, suffix_of

_ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz"})
_DOCUMENTS = frozenset(
    {".csv", ".tsv", ".json", ".yaml", ".yml", ".txt", ".md", ".xml", ".html", ".htm", ".pdf", ".xlsx", ".xls", ".docx"}
)
#: Documents that some layout reads.
_COMPANIONS = frozenset(
    {"dataset.json", "dataset.yaml", "dataset_description.json", "participants.tsv", "labelmap.txt", "data.yaml"}
)
#: Files named one by one; more of a kind are told by their folder.
_NAMED = 2


def set_aside(dataset: Dataset, known: Mapping[Path, str] = MappingProxyType({})) -> tuple[Aside, ...]:
    """The files below the dataset's root that no case uses, gathered by folder and reason; `known` reasons come first.

    A file is used if a source names it, or names the folder (series, sections, store) that it lies in. Nothing is
    decoded; the cost is one walk through the folder.
    """
    root = Path(dataset.root)
    used = used_paths(dataset)
    told: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in every_file(root) if root.is_dir() else ():
        if path not in used and not used.intersection(path.parents):
            told[path.parent.relative_to(root).as_posix(), known.get(path) or _reason(path)].append(path.name)
    return tuple(_line(folder, reason, names) for (folder, reason), names in sorted(told.items()))


def used_paths(dataset: Dataset) -> set[Path]:
    """Absolute paths of all sources, with the partner file that some formats keep beside their header."""
    sources = {dataset.path(source) for case in dataset.cases for source in (*case.images, *case.label)}
    partners = {path.with_suffix(other) for path in sources for other in _PARTNERS.get(suffix_of(path), ())}
    return sources | partners


_PARTNERS = {
    ".hdr": (".img", ".img.gz"), ".img": (".hdr",), ".mhd": (".raw", ".zraw"), ".nhdr": (".raw", ".raw.gz"),
}  # fmt: skip


def every_file(root: Path) -> Iterator[Path]:
    """Files below a folder in path order; a store (Zarr, N5) is one, and so is a folder of results."""
    for place, folders, names in os.walk(root):
        whole = [name for name in folders if suffix_of(Path(name)) in STORES or made_here(Path(place, name))]
        folders[:] = sorted(name for name in folders if name not in whole and name not in DROPPINGS)
        yield from (Path(place, name) for name in sorted([*names, *whole]))


def readable(root: Path) -> set[Path]:
    """Files below a folder that hold scans or labels: what a reading of the folder has to explain."""
    found = (path for path in every_file(root) if path.name[0] not in ".~" and path.name not in DROPPINGS)
    scans = (path for path in found if suffix_of(path) not in _DOCUMENTS | _ARCHIVES and io.is_readable(path))
    return {path for path in scans if not made_here(path)}


def explained(dataset: Dataset, files: Set[Path]) -> float:
    """Share of some files that the cases of a dataset use.

    Example:
        >>> explained(Dataset(root="/x", layout="", channels=(), cases=()), set())
        1.0
    """
    used = used_paths(dataset)
    count = sum(path in used or bool(used.intersection(path.parents)) for path in files)
    return count / len(files) if files else 1.0


def _reason(path: Path) -> str:
    suffix = suffix_of(path)
    if made_here(path):
        return made_here(path)
    if path.name[0] in ".~" or path.name in DROPPINGS:
        return "hidden, or left by the system"
    if suffix in _ARCHIVES and not suffix.startswith(".nii"):
        return "an archive: unpack it to have it read"
    if suffix in _DOCUMENTS:
        return "describes the data set" if path.name in _COMPANIONS else "a document: no scan and no label"
    if io.is_readable(path):
        return "can be read, but is the image or label of no case"
    return "no format that is read"


def _line(folder: str, reason: str, names: list[str]) -> Aside:
    """Few files by name; more by their folder and suffix."""
    inside = "" if folder == "." else f"{folder}/"
    if len(names) <= _NAMED:
        return Aside(path=", ".join(inside + name for name in names), count=len(names), reason=reason)
    kinds = sorted({suffix_of(Path(name)) for name in names})
    shown = f" ({', '.join(kind or 'no suffix' for kind in kinds[:4])}{', ...' if len(kinds) > 4 else ''})"
    return Aside(path=(inside or "./") + shown, count=len(names), reason=reason)
