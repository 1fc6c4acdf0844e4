"""Opens scans without regard to labels: what is predicted, and folders that have no labels yet."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from segwright import io
from segwright.core.case import UNLABELLED, Case, Dataset, Source
from segwright.core.errors import LayoutError, ReadError
from segwright.core.words import amount
from segwright.io.layouts import fits
from segwright.io.layouts.arrays import for_channels
from segwright.io.layouts.container import roles_of_keys
from segwright.io.layouts.content import is_label, sample
from segwright.io.layouts.inventory import readable, seen
from segwright.io.layouts.listing import draft, pair_items, unique_ids
from segwright.io.layouts.names import role, safe_id, tokens
from segwright.io.layouts.patients import unlabelled_leaves
from segwright.io.layouts.scan import (
    CONTAINERS,
    Item,
    files,
    is_single,
    items,
    relative,
    sections_item,
    stem_of,
    subfolders,
    suffix_of,
)
from segwright.io.layouts.sections import SECTIONS, one_stack
from segwright.io.layouts.series import with_series
from segwright.io.layouts.stacked import STACKED
from segwright.io.reading import reading_of

#: Files that list cases, or their labels, and are no scan themselves.
LISTS = frozenset({".yaml", ".yml", ".csv", ".tsv", ".json"})


def open_images(path: str | Path, channels: tuple[str, ...], *, flat: bool = False, upright: bool = False) -> Dataset:
    """Scans to predict: one file, one series, or a folder of scans in any layout; labels are left aside.

    Args:
        path: File or folder.
        channels: The model's channels; with several, files of a case are found by name (`_0000`, `_t1`, folders).
        flat: The model takes single planes, so numbered pictures are never taken for sections of one volume.
        upright: The model learnt from pictures as they are shown, a camera's turn applied.

    Raises:
        LayoutError: Nothing here can be read as scans of so many channels.
    """
    place = Path(path)
    if not place.exists():
        raise LayoutError("There is no such folder or file.", where=place, hint="Check the path.")
    place = place.resolve()
    learnt = _as_learnt(place, channels, flat)
    root = Path(learnt.root) if learnt else place.parent if is_single(place) else place
    cases = tuple(_keyed(case, root) for case in (learnt.cases if learnt else _scans(place, channels, flat)))
    if not cases:
        raise LayoutError(
            "No scans were found.",
            expected=f"files or folders with {amount(len(channels), 'channel')}: {', '.join(channels)}",
            got=seen(place),
            where=place,
            hint="Give a file, a folder of files, or a folder a patient.",
        )
    grouped = tuple(case.model_copy(update={"group": case.group or case.id}) for case in cases)
    rule = "each case on its own"
    told: dict[str, Any] = {"voxel": learnt.voxel, "image_axes": learnt.image_axes} if learnt else {}
    made = draft(root, "images", grouped, channels=channels, modality="other", group_rule=rule, upright=upright, **told)
    return for_channels(with_series(made), len(channels))


def _as_learnt(place: Path, channels: tuple[str, ...], flat: bool) -> Dataset | None:
    """The scans as training reads the place, labels aside, so that ids are equal; `None` where channels do not fit.

    Where some folders are called the test part, their cases alone are meant; `None` if training leaves them out.
    """
    if is_single(place) and suffix_of(place) not in LISTS:
        return None
    chosen = reading_of(place).dataset
    if chosen is None or (flat and chosen.layout == "sections"):
        return None
    chosen, tests = (
        with_series(chosen.model_copy(update={"channels": chosen.channels or channels})),
        [] if place.is_file() else _tests(place),
    )
    order = _order(chosen.channels, channels)
    cases = tuple(
        case.model_copy(update={"label": (), "images": _ordered(case.images, order)})
        for case in chosen.cases
        if case.images and (not tests or not set(tests).isdisjoint(chosen.path(case.images[0]).parents))
    )
    fits = bool(cases) and all(len(case.images) in {1, len(channels)} for case in cases)
    return chosen.model_copy(update={"cases": cases}) if fits else None


def _order(read: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[int, ...]:
    """Where each wanted channel stands among those read, if both have the same names; else as they are."""
    names = [name.lower() for name in read]
    same = sorted(names) == sorted(name.lower() for name in wanted)
    return tuple(names.index(name.lower()) for name in wanted) if same else tuple(range(len(wanted)))


def _ordered(images: tuple[Source, ...], order: tuple[int, ...]) -> tuple[Source, ...]:
    return tuple(images[i] for i in order) if len(images) == len(order) else images


def without_labels(place: Path) -> Dataset | None:
    """A file or folder of scans that has no labels yet, as a dataset; `None` where something in it may be a label."""
    if is_single(place) and not io.is_readable(place):
        return None
    if is_single(place):
        case = Case(id=safe_id(stem_of(place)), images=(Source(path=place.name),), group="")
        return draft(place.parent, UNLABELLED, (case,))
    found = sorted(readable(place))
    named = any(role(part) == "label" for path in found for part in path.relative_to(place).with_suffix("").parts)
    kinds = {suffix_of(path) for path in found}
    some = [path for kind in kinds for path in sample([p for p in found if suffix_of(p) == kind])]
    if not found or named or any(is_label(path) for path in some):
        return None
    own = [item for item in items(place) if item.kind == "file"]
    names, cases = pair_items(own, (), place) if own else ((), ())
    return draft(place, UNLABELLED, cases if names else unique_ids(_scans(place, ("image",), False)), channels=names)


def _tests(place: Path) -> list[Path]:
    """Folders of images that are called the test part, which are meant where a whole data set is to be predicted."""
    images = [child for child in subfolders(place) if role(child.name) == "image" and role_is_plain(child.name)]
    return [child for child in images if {"ts", "test"} & set(tokens(child.name))]


def _scans(place: Path, channels: tuple[str, ...], flat: bool) -> tuple[Case, ...]:
    """Cases for prediction."""
    if is_single(place):
        return (Case(id=safe_id(stem_of(place)), images=(Source(path=place.name),), group=""),)
    if fits(STACKED, place):
        return tuple(case.model_copy(update={"label": ()}) for case in STACKED.open(place).cases)
    if not flat and fits(SECTIONS, place):
        return tuple(case.model_copy(update={"label": ()}) for case in SECTIONS.open(place).cases)
    if not flat and sections_item(place) is not None and one_stack(files(place)):
        return (Case(id=safe_id(place.name), images=(Source(path="."),), group=""),)
    images = [child for child in subfolders(place) if role(child.name) == "image" and role_is_plain(child.name)]
    own = items(place)
    if not own and images:
        return _rebased((_tests(place) or images)[0], place, channels, flat)
    if len(own) == 1 and own[0].kind == "series" and len(channels) == 1:
        return (Case(id=safe_id(place.name), images=(Source(path="."),), group=""),)
    found = [item for item in own if role(item.stem) != "label"] or own
    if found:
        return _by_channels(found, place, channels)
    leaves = unlabelled_leaves(place, len(channels))
    if leaves:
        return unique_ids(_leaf_case(leaf, list(parts.items()), place, channels) for leaf, parts in leaves.items())
    return _by_channels([i for i in items(place, depth=3) if role(i.stem) != "label"], place, channels)


def _keyed(case: Case, root: Path) -> Case:
    """The case with the image's key named, where a file holds labels or other arrays as well."""
    if len(case.images) != 1 or case.images[0].key or suffix_of(root / case.images[0].path) not in CONTAINERS:
        return case
    source = case.images[0]
    try:
        roles = roles_of_keys(root / source.path)
    except ReadError:
        return case  # reading it will say what is wrong
    images = tuple(source.model_copy(update={"key": key}) for key in roles[0]) if roles else case.images
    return case.model_copy(update={"images": images})


def role_is_plain(name: str) -> bool:
    """Whether a folder name says `images` and not merely what one channel measured."""
    return any(word.startswith(("image", "img", "scan", "raw", "input", "dicom", "dataset")) for word in tokens(name))


def _rebased(folder: Path, root: Path, channels: tuple[str, ...], flat: bool) -> tuple[Case, ...]:
    """Cases of a subfolder, with sources relative to the folder above."""
    cases = _scans(folder, channels, flat)
    return tuple(
        case.model_copy(
            update={
                "images": tuple(s.model_copy(update={"path": relative(folder / s.path, root)}) for s in case.images)
            }
        )
        for case in cases
    )


def _leaf_case(leaf: Path, parts: list[tuple[str, Item]], root: Path, channels: tuple[str, ...]) -> Case:
    """A patient's folder as a case; files go to channels by name where names agree, else in name order."""
    by_name = {name.lower(): item for name, item in parts}
    wanted = [by_name.get(channel.lower()) for channel in channels]
    if len(parts) > len(channels) and "image" in by_name:
        wanted = [by_name["image"]]
    chosen = [i for i in wanted if i is not None] if all(wanted) else [item for _, item in sorted(parts)]
    sources = tuple(item.source(root) for item in chosen)
    return Case(id=safe_id(leaf.relative_to(root).as_posix()), images=sources, group="")


def _by_channels(found: list[Item], root: Path, channels: tuple[str, ...]) -> tuple[Case, ...]:
    """One case a file; with several channels, one case a set of files that differ in the channel's name only.

    Numbered channels (`_0000`) are recognised for one channel too; a file that holds all channels stays one source.
    """
    table: dict[str, dict[str, Item]] = {}
    names = {channel.lower(): f"{i:04d}" for i, channel in enumerate(channels)}
    for item in found:
        head, _, tail = item.stem.rpartition("_")
        if head and re.fullmatch(r"\d{4}", tail) and int(tail) < len(channels):
            table.setdefault(head, {})[tail] = item
        elif head and len(channels) > 1 and tail.lower() in names:
            table.setdefault(head, {})[names[tail.lower()]] = item
    whole = {head: parts for head, parts in table.items() if len(parts) == len(channels)}
    if whole and sum(map(len, whole.values())) * 2 > len(found):
        cases = [
            Case(id=safe_id(head), images=tuple(i.source(root) for _, i in sorted(parts.items())), group="")
            for head, parts in table.items()
        ]
        return unique_ids(cases)
    return unique_ids(Case(id=safe_id(item.stem), images=(item.source(root),), group="") for item in found)
