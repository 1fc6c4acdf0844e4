"""Images and labels side by side in one folder, told apart by words in their names: `a.png` and `a_mask.png`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segwright.core.case import Dataset
from segwright.core.errors import SegwrightError
from segwright.io.layouts.listing import add_structures, draft, pair_items, structure_names
from segwright.io.layouts.names import match, role, strip_roles
from segwright.io.layouts.scan import Item, items


class Suffix:
    """One folder (or folders of it) in which a label is named as its image with a word added."""

    looks_like = "images and labels in one folder, told apart by name (a.png and a_mask.png)"

    def matches(self, folder: Path) -> bool:
        """Whether labels by name find their images."""
        try:
            images, labels = _divide(items(folder, depth=2))
            sets = label_sets(images, labels)
            return bool(sets)
        except (SegwrightError, OSError):
            return False

    def open(self, folder: Path) -> Dataset:
        """Pairs by name; several labels an image are structures named by what else the name says."""
        images, labels = _divide(items(folder, depth=2))
        sets = label_sets(images, labels)
        if len(sets) == 1:
            channels, cases = pair_items(images, next(iter(sets.values())), folder)
        else:
            channels, cases = pair_items(images, (), folder)
            names = structure_names(sets)
            cases = add_structures(cases, {names[name]: found for name, found in sets.items()}, folder)
        note = "Labels lie beside their images and are told apart by name."
        return draft(folder, "suffix", cases, channels=channels, notes=[note])


SUFFIX = Suffix()


def _divide(found: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Images and labels by the words of the file name."""
    labels = [item for item in found if role(item.stem.rpartition("/")[2]) == "label"]
    return [item for item in found if item not in labels], labels


def label_sets(images: Sequence[Item], labels: Sequence[Item]) -> dict[str, list[Item]]:
    """Labels by what their name adds to the image's; one set where each image has one label at most."""
    if not images or not labels:
        return {}
    pairs = match([item.stem for item in images], [item.stem for item in labels])
    if len(pairs) * 2 >= min(len(images), len(labels)) and len(labels) < 1.5 * len(images):
        return {"label": list(labels)}
    sets: dict[str, list[Item]] = {}
    stems = sorted((item.stem for item in images), key=len, reverse=True)
    for item in labels:
        owner = next((stem for stem in stems if item.stem.startswith(stem) and item.stem != stem), None)
        if owner is not None:
            added = item.stem[len(owner) :].strip("_-. ")
            sets.setdefault(added, []).append(Item(item.path, owner, item.kind))
    if sets:
        return sets
    keys = {strip_roles(item.stem) for item in images}
    matched = [item for item in labels if any(strip_roles(item.stem) in key or key in item.stem for key in keys if key)]
    return {"label": matched} if len(matched) * 2 >= len(labels) and len(images) > len(labels) else {}
