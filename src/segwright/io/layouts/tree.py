"""What a folder holds, as a small tree with counts, and the layout that is nearest to it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from segwright.io.layouts.content import mostly_labels
from segwright.io.layouts.names import match, role
from segwright.io.layouts.scan import items, subfolders, visible

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
