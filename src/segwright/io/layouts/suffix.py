"""Images and labels side by side in one folder, told apart by words in their names: `a.png` and `a_mask.png`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from filecmp import cmp
from itertools import combinations
from pathlib import Path

from segwright.core.case import Dataset
from segwright.io.layouts.content import mostly_labels
from segwright.io.layouts.listing import (
    add_structures,
    are_objects,
    draft,
    pair_items,
    several,
    structure_names,
    told_united,
)
from segwright.io.layouts.names import match, role, strip_roles
from segwright.io.layouts.scan import Item, items, suffix_of

_COPIED = re.compile(r"[ _-]*(\(\d+\)|[Cc]opy)$")


class Suffix:
    """One folder (or folders of it) in which a label is named as its image with a word added."""

    looks_like = "images and labels in one folder, told apart by name (a.png and a_mask.png)"

    def matches(self, folder: Path) -> bool:
        """Whether labels by name find their images."""
        images, labels = _divide(items(folder, depth=2))
        sets = label_sets(images, labels)
        return bool(sets)

    def open(self, folder: Path) -> Dataset:
        """Pairs by name; several labels an image are structures named by what else the name says, or parts of one."""
        images, labels = _divide(items(folder, depth=2))
        sets = label_sets(images, labels)
        notes = ["Labels lie beside their images and are told apart by name."]
        many = several(sets)
        if len(sets) == 1 and not many:
            channels, cases = pair_items(images, next(iter(sets.values())), folder)
        else:
            channels, cases = pair_items(images, (), folder)
            cases = add_structures(cases, named(sets), folder)
        notes += [told_united(many)] if many else []
        return draft(folder, "suffix", cases, channels=channels, notes=notes)


SUFFIX = Suffix()


def _divide(found: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Images and labels by the words of the file name; of equal names, by what the files of a suffix hold."""
    labels = [item for item in found if role(item.stem.rpartition("/")[2]) == "label"] or _of_a_suffix(found)
    return [item for item in found if item not in labels], _without_copies(labels)


def _without_copies(labels: Sequence[Item]) -> list[Item]:
    """Labels less those that a file manager copied (`a_mask (1).png`), if they are equal byte by byte."""
    known = {item.stem: item for item in labels}
    twins = [known.get(_COPIED.sub("", item.stem)) for item in labels]
    return [
        item
        for item, twin in zip(labels, twins, strict=True)
        if twin is None or twin is item or not twin.path.is_file() or not cmp(twin.path, item.path, shallow=False)
    ]


def _of_a_suffix(found: Sequence[Item]) -> list[Item]:
    """Files that are labels of others with their name and another suffix (`a.jpg`, `a.png`)."""
    kinds: dict[str, dict[str, Item]] = {}
    for item in found:
        kinds.setdefault(suffix_of(item.path), {})[item.stem] = item
    pairs = [(len(a.keys() & b.keys()), i, a, b) for i, (a, b) in enumerate(combinations(kinds.values(), 2))]
    count, _, one, other = max(pairs, key=lambda pair: pair[0], default=(0, 0, {}, {}))
    if count * 2 < min(len(one), len(other)) or not count:
        return []
    shared = [(one[stem], other[stem]) for stem in one if stem in other]
    sides = [pair[0] for pair in shared], [pair[1] for pair in shared]
    judged = [mostly_labels(side) for side in sides]
    return [] if judged[0] == judged[1] else sides[0] if judged[0] else sides[1]


def label_sets(images: Sequence[Item], labels: Sequence[Item]) -> dict[str, list[Item]]:
    """Labels by what their name adds to the image's; those that differ by a number only are masks of one structure."""
    if not images or not labels:
        return {}
    pairs = match([item.stem for item in images], [item.stem for item in labels])
    if len(pairs) == len(labels):
        return {"label": list(labels)}
    sets = _by_owner(images, labels)
    if sets and (len(pairs) * 2 < min(len(images), len(labels)) or sum(map(len, sets.values())) > len(pairs)):
        return sets
    if len(pairs) * 2 >= min(len(images), len(labels)) and len(labels) < 1.5 * len(images):
        return {"label": list(labels)}
    keys = {strip_roles(item.stem) for item in images}
    matched = [item for item in labels if any(strip_roles(item.stem) in key or key in item.stem for key in keys if key)]
    return {"label": matched} if len(matched) * 2 >= len(labels) and len(images) > len(labels) else {}


def named(sets: Mapping[str, list[Item]]) -> dict[str, list[Item]]:
    """Sets of labels by names for people; a single one needs none of its own."""
    names = dict.fromkeys(sets, "foreground") if len(sets) == 1 else structure_names(sets)
    return {names[name]: found for name, found in sets.items()}


def _by_owner(images: Sequence[Item], labels: Sequence[Item]) -> dict[str, list[Item]]:
    """Labels whose name begins with an image's, by what they add; all in one where that only counts objects."""
    sets: dict[str, list[Item]] = {}
    stems = sorted((item.stem for item in images), key=len, reverse=True)
    for item in labels:
        owner = next((stem for stem in stems if _begins(item.stem, stem)), None)
        if owner is not None:
            added = item.stem[len(owner) :].strip("_-. ")
            sets.setdefault(added, []).append(Item(item.path, owner, item.kind))
    cases: dict[str, list[str]] = {}
    for added, found in sets.items():
        for item in found:
            cases.setdefault(item.stem, []).append(added)
    if are_objects(list(cases.values())):
        return {"": [item for found in sets.values() for item in found]}
    out: dict[str, list[Item]] = {}
    for added, found in sorted(sets.items()):
        bare = re.sub(r"[ _\-.]*\(?\d+\)?$", "", added)
        out.setdefault(bare if bare in sets else added, []).extend(found)
    return out


def _begins(label: str, image: str) -> bool:
    """Whether a label's name is an image's and what was added to it; `a10` is not `a1` and a 0."""
    rest = label.removeprefix(image)
    return label.startswith(image) and not (rest[:1].isdigit() and image[-1:].isdigit())
