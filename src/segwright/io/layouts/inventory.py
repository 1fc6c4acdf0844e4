"""Every file of a folder is in a case, or is listed with the reason; a folder in words, where none fits."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from types import MappingProxyType

from segwright import io
from segwright.core.case import Aside, Dataset
from segwright.io.layouts.content import mostly_labels
from segwright.io.layouts.names import match, role
from segwright.io.layouts.scan import DROPPINGS, STORES, items, made_here, subfolders, suffix_of, visible

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


_ROWS, _KINDS = 12, 3


def seen(place: Path) -> str:
    """What a folder holds in one line.

    Example:
        >>> seen(Path("list.csv"))
        'list.csv'
    """
    if not place.is_dir():
        return place.name
    return "; ".join(_rows(place)) or "an empty folder"


def tree(place: Path) -> str:
    """What a folder holds, a line an entry, with counts by suffix down to two levels."""
    return "\n".join(f"    {row}" for row in _rows(place)) or "    an empty folder"


def _rows(place: Path) -> list[str]:
    entries = visible(place)
    folders = [entry for entry in entries if entry.is_dir()]
    rows = [_row(folder) for folder in folders[:_ROWS]]
    more = len(folders) - _ROWS
    loose = _counted([entry for entry in entries if not entry.is_dir()])
    return [*rows, *([f"and {more} more folders"] if more > 0 else []), *([loose] if loose else [])]


def _row(folder: Path) -> str:
    inside = visible(folder)
    deeper = [entry for entry in inside if entry.is_dir()]
    own = _counted([entry for entry in inside if not entry.is_dir()])
    below = f"{len(deeper)} folders ({', '.join(f.name for f in deeper[:2])}{', ...' if len(deeper) > 2 else ''})"
    told = [part for part in (own, below if deeper else "") if part]
    return f"{folder.name}/  {', '.join(told) or 'empty'}"


def _counted(paths: list[Path]) -> str:
    suffixes = Counter("".join(p.suffixes[-2:]) if p.name.endswith(".gz") else p.suffix for p in paths)
    return ", ".join(f"{n} {s or 'files without suffix'}" for s, n in suffixes.most_common(_KINDS))


def nearest(place: Path) -> tuple[str, str]:
    """What a folder comes nearest to, with what is missing for it, and two lines of `dataset.yaml` that state it."""
    found = {child: items(child, depth=2) for child in subfolders(place)}
    found = {child: inner for child, inner in found.items() if inner}
    own = items(place)
    labels = [child for child in found if role(child.name) == "label" or mostly_labels(found[child])]
    images = [child for child in found if child not in labels]
    if own and labels and not images:
        images, found = [Path(".")], found | {Path("."): own}
    if images and labels:
        pairs = match([item.stem for item in found[images[0]]], [item.stem for item in found[labels[0]]])
        told = f"images {f'in {images[0].name}/' if images[0].name else 'here'} beside labels in {labels[0].name}/; "
        told += f"{len(pairs)} of {len(found[labels[0]])} names match "
        told += f"({found[images[0]][0].stem} and {found[labels[0]][0].stem})"
        return told, _lines(images, labels)
    if found and not own:
        what = "labels" if labels else "images"
        other = "images" if labels else "labels"
        return f"{what} in {', '.join(f.name for f in list(found)[:3])}; no {other} were found", _lines(images, labels)
    if own:
        told = "images and labels in one folder, told apart by name (a.png, a_mask.png); no name here is another's "
        return told + "with a word added", _lines(images, labels)
    return "none: no file here can be read as a scan", _lines(images, labels)


def _lines(images: list[Path], labels: list[Path]) -> str:
    image = images[0].name or "." if images else "FOLDER_OF_IMAGES"
    label = labels[0].name if labels else "FOLDER_OF_LABELS"
    return f"images: {image}\n    labels: {label}"
