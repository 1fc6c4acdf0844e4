"""Opens whatever a person points at (a folder, a table, an edited `dataset.yaml`) as a dataset."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from segwright import io
from segwright.core.case import Case, Dataset, Source
from segwright.core.errors import LayoutError, ReadError, UsageError
from segwright.core.words import amount
from segwright.io.layouts import LAYOUTS, Layout
from segwright.io.layouts.channels import with_channels
from segwright.io.layouts.container import roles_of_keys
from segwright.io.layouts.groups import with_groups
from segwright.io.layouts.inventory import set_aside
from segwright.io.layouts.judge import choose, proposals
from segwright.io.layouts.keys import with_keys
from segwright.io.layouts.listing import draft, unique_ids
from segwright.io.layouts.names import role, safe_id, tokens
from segwright.io.layouts.patients import unlabelled_leaves
from segwright.io.layouts.places import with_places
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
    visible,
)
from segwright.io.layouts.sections import SECTIONS, one_stack
from segwright.io.layouts.two import labels_alone, two_places
from segwright.io.layouts.values import with_labels


def open_dataset(path: str | Path, *, layout: str | None = None) -> Dataset:
    """A dataset from a folder, a CSV table or a `dataset.yaml`.

    A YAML file is taken as it is; a folder is read by the first layout that fits (or by `layout`), and what no file
    states (channels, modality, label values, groups) is found in the data and told in `notes`.

    Raises:
        LayoutError: No layout fits; says what was seen and what would have fitted.
        UnknownNameError: No layout is called `layout`.
    """
    place = Path(path)
    if not place.exists():
        raise LayoutError("There is no such folder or file.", where=place, cure="Check the path.")
    if place.suffix.lower() in {".yaml", ".yml"}:
        return _from_yaml(place)
    if place.is_file() and place.suffix.lower() not in {".csv", ".tsv"} and io.form_of(place) is None:
        raise LayoutError(
            "A dataset is a folder, a CSV table or a dataset.yaml, not a scan.",
            came=place.name,
            where=place,
            cure="Give the folder that holds images and labels.",
        )
    return complete(_draft(place.resolve(), layout))


def open_labels(labels: str | Path, images: str | Path | None = None) -> Dataset:
    """Labels of any form, with the images they were drawn on or without: enough to convert or compare them.

    Raises:
        LayoutError: There are no labels, or none fits an image.
    """
    place = _existing(labels)
    if images is not None:
        return complete(two_places(place, _existing(images)))
    alone = labels_alone(place)
    if alone is None:
        raise LayoutError(
            "No labels were found.",
            expected="masks, polygons (LabelMe or COCO JSON), a run-length CSV, or a folder of images with labels",
            came=_seen(place),
            where=place,
            cure="Give the folder that holds the labels, and that of the images with --images.",
        )
    return complete(alone)


def _existing(path: str | Path) -> Path:
    place = Path(path)
    if not place.exists():
        raise LayoutError("There is no such folder or file.", where=place, cure="Check the path.")
    return place.resolve()


def complete(dataset: Dataset) -> Dataset:
    """The dataset with whatever its layout left open found in the data."""
    whole = with_groups(with_places(with_labels(with_channels(with_keys(dataset)))))
    return whole.model_copy(update={"aside": set_aside(whole)})


def open_images(path: str | Path, channels: tuple[str, ...], *, flat: bool = False) -> Dataset:
    """Scans to predict: one file, one series, or a folder of scans in any layout; labels are left aside.

    Args:
        path: File or folder.
        channels: The model's channels; with several, files of a case are found by name (`_0000`, `_t1`, folders).
        flat: The model takes single planes, so numbered pictures are never taken for sections of one volume.

    Raises:
        LayoutError: Nothing here can be read as scans of so many channels.
    """
    place = Path(path)
    if not place.exists():
        raise LayoutError("There is no such folder or file.", where=place, cure="Check the path.")
    place = place.resolve()
    root = place.parent if is_single(place) else place
    cases = tuple(_keyed(case, root) for case in _scans(place, channels, flat))
    if not cases:
        raise LayoutError(
            "No scans were found.",
            expected=f"files or folders with {amount(len(channels), 'channel')}: {', '.join(channels)}",
            came=_seen(place),
            where=place,
            cure="Give a file, a folder of files, or a folder a patient.",
        )
    grouped = tuple(case.model_copy(update={"group": case.group or case.id}) for case in cases)
    return draft(root, "images", grouped, channels=channels, modality="other", group_rule="each case on its own")


def _draft(place: Path, layout: str | None) -> Dataset:
    """The folder as its layout sees it."""
    if layout is not None:
        row: Layout = LAYOUTS.load(layout)
        if not row.matches(place):
            raise LayoutError(
                f"The folder is not arranged as {layout!r}.",
                expected=row.looks_like,
                came=_seen(place),
                where=place,
                cure="Leave the layout out to have it recognised, or write a CSV table.",
            )
        return row.open(place)
    chosen = choose(proposals(place))
    if chosen is not None:
        return chosen
    children = [] if place.is_file() else subfolders(place)
    fitting = [child for child in children if role(child.name) != "label"]
    if len(fitting) == 1 and len(children) == 1:
        try:
            return _draft(fitting[0], None)
        except LayoutError as error:
            raise _unknown(place) from error
    raise _unknown(place)


def _from_yaml(path: Path) -> Dataset:
    """An edited interpretation; a relative root is meant from the file's folder."""
    dataset = Dataset.load(path)
    root = Path(dataset.root)
    full = root if root.is_absolute() else (path.parent / root).resolve()
    ids = Counter(case.id for case in dataset.cases)
    doubled = [name for name, count in ids.items() if count > 1]
    if doubled:
        raise UsageError(
            f"Two cases are called {doubled[0]!r}.",
            where=path,
            cure="Give every case an id of its own in dataset.yaml.",
        )
    if not full.is_dir():
        raise LayoutError("The dataset's root does not exist.", came=full, where=path, cure="Correct 'root'.")
    return dataset.model_copy(update={"root": str(full)})


def _unknown(place: Path) -> LayoutError:
    """An error that says what was seen and what would have fitted."""
    known = "; ".join(LAYOUTS.load(name).looks_like for name in LAYOUTS)
    return LayoutError(
        "The arrangement of this folder is not understood.",
        expected=known,
        came=_seen(place),
        where=place,
        cure="Arrange it as one of these, or list the cases in a CSV table (columns id, image, label, group).",
    )


def _seen(place: Path) -> str:
    """What a folder holds, in words."""
    if place.is_file():
        return place.name
    parts = []
    for child in visible(place)[:12]:
        inside = visible(child) if child.is_dir() else []
        suffixes = Counter("".join(p.suffixes[-2:]) if p.name.endswith(".gz") else p.suffix for p in inside)
        told = ", ".join(f"{n} {s or 'folders or files without suffix'}" for s, n in suffixes.most_common(3))
        parts.append(f"{child.name}/ ({told or 'empty'})" if child.is_dir() else child.name)
    more = len(visible(place)) - 12
    return ", ".join(parts) + (f" and {more} more" if more > 0 else "") if parts else "an empty folder"


def _scans(place: Path, channels: tuple[str, ...], flat: bool) -> tuple[Case, ...]:
    """Cases for prediction."""
    if is_single(place):
        return (Case(id=safe_id(stem_of(place)), images=(Source(path=place.name),), group=""),)
    if not flat and SECTIONS.matches(place):
        return tuple(case.model_copy(update={"label": ()}) for case in SECTIONS.open(place).cases)
    if not flat and sections_item(place) is not None and one_stack(files(place)):
        return (Case(id=safe_id(place.name), images=(Source(path="."),), group=""),)
    images = [child for child in subfolders(place) if role(child.name) == "image" and role_is_plain(child.name)]
    own = items(place)
    if not own and images:
        tests = [child for child in images if {"ts", "test"} & set(tokens(child.name))]
        return _rebased((tests or images)[0], place, channels, flat)
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
