"""Finds the image that a label file names: by its path, its file name or its stem, in whatever folder it lies."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath

from segwright.core.case import Case, LabelSource
from segwright.io.drawn import Entry
from segwright.io.layouts.listing import unique_ids
from segwright.io.layouts.names import match, role, safe_id
from segwright.io.layouts.scan import Item, items, relative, suffix_of

#: Few folders of images are parts of a dataset or kinds of scan; more are patients.
_FEW = 4
_DEPTH = 4


def images_below(folder: Path) -> list[Item]:
    """Images in a folder and below it; files that are called masks or labels are none."""
    found = items(folder, depth=_DEPTH)
    return [item for item in found if not any(role(part) == "label" for part in item.stem.split("/"))] or found


def files_below(folder: Path, suffixes: Sequence[str], *, depth: int = _DEPTH) -> list[Path]:
    """Visible files of some suffixes in a folder and below it, in path order."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] not in ".~" and name != "__MACOSX")
        level = len(Path(place).relative_to(folder).parts)
        if level >= depth:
            folders.clear()
        fitting = (name for name in sorted(names) if name[0] not in ".~")
        found += [Path(place, name) for name in fitting if name.lower().endswith(tuple(suffixes))]
    return found


class Finder:
    """Images by every name under which a label file may speak of them."""

    def __init__(self, found: Iterable[Item]) -> None:
        self.items = list(found)
        self._by: dict[str, list[Item]] = defaultdict(list)
        for item in self.items:
            name = item.path.name
            for key in {name.lower(), item.stem.rpartition("/")[2].lower(), _stem(name)}:
                self._by[key].append(item)

    def find(self, name: str, *, near: Path | None = None) -> Item | None:
        """The image of a name; of several with one file name, the one whose folders agree.

        Args:
            name: File name or path as a label states it.
            near: Folder of the label: of several images, the one in a folder called the same is meant.
        """
        path = PurePosixPath(name.replace("\\", "/").lower())
        found = self._by.get(path.name) or self._by.get(_stem(path.name)) or []
        if len(found) > 1:
            agreeing = [item for item in found if _ends(item.path, path)]
            found = agreeing or found
        if len(found) > 1 and near is not None:
            found = _nearest(found, near)
        return found[0] if len(found) == 1 else None


def _stem(name: str) -> str:
    suffix = suffix_of(Path(name))
    return name.lower().removesuffix(suffix) if suffix else name.lower()


def _ends(path: Path, wanted: PurePosixPath) -> bool:
    """Whether the folders of `wanted` are the last ones of `path`."""
    folders = [part.lower() for part in path.parts[:-1]]
    asked = [part for part in wanted.parts[:-1] if part not in {".", "..", "/"}]
    return bool(asked) and folders[-len(asked) :] == asked


def _nearest(found: list[Item], near: Path) -> list[Item]:
    """The item that shares most folders with `near`, above both or at their ends; all where that tells none apart."""
    shared = [_alike(item.path.parent.parts, near.parts) for item in found]
    best = max(shared)
    return [found[shared.index(best)]] if shared.count(best) == 1 else found


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """How many names two paths have in common where they begin, and where they end."""

    def equal(pairs: Iterable[tuple[str, str]]) -> int:
        return sum(1 for _ in takewhile(lambda pair: pair[0].lower() == pair[1].lower(), pairs))

    return equal(zip(one, other, strict=False)) + equal(zip(reversed(one), reversed(other), strict=False))


Labels = Sequence[tuple[Path, Entry]]


def cases_of(found: Sequence[Item], labels: Labels, root: Path) -> tuple[tuple[Case, ...], str, list[str]]:
    """Cases, the rule of their groups (empty where it is to be guessed) and notes.

    Images that nothing speaks of stay as unlabelled cases; labels of an image that is not there become cases without
    image, which the check reports.
    """
    finder = Finder(found)
    owner: dict[Path, list[LabelSource]] = defaultdict(list)
    lone: list[tuple[Path, Entry]] = []
    for path, entry in labels:
        near = path.parent
        item = finder.find(entry.image, near=near) or (finder.find(path.stem, near=near) if entry.key is None else None)
        if item is None:
            lone.append((path, entry))
        else:
            owner[item.path].append(LabelSource(path=relative(path, root), key=entry.key))
    if len(lone) * 2 > len(labels):  # names differ by rule; a few that differ are mistakes and must not be guessed
        lone = _by_names(finder, owner, lone, root)
    top = common_folder(found) or root
    tops = {_top(item, top) for item in found}
    patients = "" not in tops and len(tops) > _FEW
    cases = [
        Case(
            id=case_id(item, top),
            images=(item.source(root),),
            label=tuple(owner.get(item.path, ())),
            group=safe_id(_top(item, top)) if patients else "",
        )
        for item in found
    ]
    cases += [
        Case(
            id=safe_id(Path(entry.image).stem or path.stem),
            images=(),
            label=(LabelSource(path=relative(path, root), key=entry.key),),
            group="",
        )
        for path, entry in lone
    ]
    return unique_ids(cases), "the folder of the image" if patients else "", []


def common_folder(found: Sequence[Item]) -> Path | None:
    """The lowest folder that all items lie in."""
    return Path(os.path.commonpath([item.path.parent for item in found])) if found else None


def case_id(item: Item, top: Path) -> str:
    """A case named by its file, and by the folders below `top`."""
    return safe_id((item.path.parent.relative_to(top) / item.stem.rpartition("/")[2]).as_posix())


def _by_names(
    finder: Finder, owner: dict[Path, list[LabelSource]], lone: Labels, root: Path
) -> list[tuple[Path, Entry]]:
    """Labels whose image has another name, paired as files of sibling folders are; what is left stays alone."""
    free = {item.stem: item for item in finder.items if item.path not in owner}
    names = {_stem(Path(entry.image).name or path.name): (path, entry) for path, entry in lone}
    pairs = match(list(free), list(names)) if len(names) == len(lone) else {}
    for stem, name in pairs.items():
        path, entry = names[name]
        owner[free[stem].path].append(LabelSource(path=relative(path, root), key=entry.key))
    taken = set(pairs.values())
    return [pair for name, pair in names.items() if name not in taken] if pairs else list(lone)


def _top(item: Item, top: Path) -> str:
    """The first folder below the common one; empty for an image that lies in it."""
    parts = item.path.relative_to(top).parts
    return parts[0] if len(parts) > 1 else ""
