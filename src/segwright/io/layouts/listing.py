"""Builds cases out of items that belong together; shared by the layouts that go by names."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from segwright.core.case import Case, Dataset, LabelSource
from segwright.core.words import amount, listed
from segwright.io.layouts.names import channel_sets, match, role, safe_id, structure_name
from segwright.io.layouts.scan import Item, relative

#: A mask name that comes back in fewer cases than this is an object, not a structure.
_RECURRING = 0.2


def label_source(item: Item, root: Path, structure: str | None = None) -> LabelSource:
    """An item as a label."""
    return LabelSource(path=relative(item.path, root), structure=structure)


def unique_ids(cases: Iterable[Case]) -> tuple[Case, ...]:
    """The cases with ids made distinct by a counter, in id order."""
    seen: set[str] = set()
    out = []
    for case in cases:
        names = itertools.chain([case.id], (f"{case.id}-{count}" for count in itertools.count(2)))
        name = next(name for name in names if name.lower() not in seen)
        seen.add(name.lower())
        out.append(case if name == case.id else case.model_copy(update={"id": name}))
    return tuple(sorted(out, key=lambda case: case.id))


def pair_items(images: Sequence[Item], labels: Sequence[Item], root: Path) -> tuple[tuple[str, ...], tuple[Case, ...]]:
    """Channel names (empty unless several files make an image) and cases, from two lists whose stems match.

    Images without label become unlabelled cases; labels without image become cases without images.
    """
    channels, sets = _channels_by_name(images, labels)
    by_stem = {item.stem: item for item in images}
    units = {name: tuple(by_stem[stem] for _, stem in sorted(parts.items())) for name, parts in sets.items()}
    units = units or {item.stem: (item,) for item in images}
    label_by_stem = {item.stem: item for item in labels}
    pairs = match(list(units), list(label_by_stem))
    cases = [
        Case(
            id=safe_id(name),
            images=tuple(item.source(root) for item in parts),
            label=(label_source(label_by_stem[pairs[name]], root),) if name in pairs else (),
            group="",
        )
        for name, parts in units.items()
    ]
    orphans = [item for stem, item in label_by_stem.items() if stem not in set(pairs.values())]
    cases += [Case(id=safe_id(i.stem), images=(), label=(label_source(i, root),), group="") for i in orphans]
    return channels, unique_ids(cases)


def _channels_by_name(
    images: Sequence[Item], labels: Sequence[Item]
) -> tuple[tuple[str, ...], dict[str, dict[str, str]]]:
    """Several files an image: only considered when there are clearly more images than labels, or none are labelled."""
    stems = [item.stem for item in images]
    if labels and len(images) < 1.5 * len(labels):
        single = [stem for stem in stems if stem.endswith("_0000")]
        if len(single) != len(stems):
            return (), {}
        return (), {stem[:-5]: {"0000": stem} for stem in stems}
    return channel_sets(stems, [item.stem for item in labels])


def several(structures: Mapping[str, Sequence[Item]]) -> list[str]:
    """Images that have more than one mask of a structure; these are united."""
    twice = (stem for found in structures.values() for stem, n in Counter(i.stem for i in found).items() if n > 1)
    return list(dict.fromkeys(twice))


def told_united(stems: Sequence[str]) -> str:
    """A note on images with several masks of a structure."""
    images = amount(len(stems), "image")
    return f"{images} with several masks of one structure, which are united: {listed(stems, 3)}."


def add_structures(cases: Sequence[Case], structures: Mapping[str, Sequence[Item]], root: Path) -> tuple[Case, ...]:
    """The cases with one label file a structure, matched by stem for each structure by itself.

    Several files of one stem and structure (a mask a lesion) stay together; reading unites them.
    """
    stems = [case.id for case in cases]
    found: dict[str, list[LabelSource]] = {stem: [] for stem in stems}
    orphans: list[Case] = []
    for name, items in structures.items():
        by_stem: dict[str, list[Item]] = {}
        for item in items:
            by_stem.setdefault(safe_id(item.stem), []).append(item)  # as cases are called
        pairs = match(stems, list(by_stem))
        for stem, other in pairs.items():
            found[stem] += [label_source(item, root, name) for item in by_stem[other]]
        lone = [item for stem, inner in by_stem.items() for item in inner if stem not in set(pairs.values())]
        orphans += [
            Case(id=safe_id(f"{i.stem}-{name}"), images=(), label=(label_source(i, root, name),), group="")
            for i in lone
        ]
    full = [case.model_copy(update={"label": tuple(found[case.id])}) for case in cases]
    return unique_ids([*full, *orphans])


def structure_names(raw: Iterable[str]) -> dict[str, str]:
    """Folder or file names to structure names; names that would collide stay as they are."""
    raw = list(raw)
    short = {name: structure_name(name) for name in raw}
    clash = len(set(short.values())) != len(short)
    return {name: name for name in raw} if clash else short


def mask_names(cases: Mapping[str, Sequence[str]]) -> tuple[dict[tuple[str, str], str], str]:
    """The structure of each mask file, by case and stem, where each case has a folder of them, and what told.

    Masks of equal names are a structure, less the name of their case (`c1/c1_heart.png`). Each is an object of one
    structure where names do not come back, or only count the masks of their case.
    """
    bare = {(case, stem): _less(case, stem) for case, stems in cases.items() for stem in stems}
    if are_objects([[bare[case, stem] for stem in stems] for case, stems in cases.items()]):
        told = "Mask files differ in name or number from case to case, so each is one object; together they are "
        return dict.fromkeys(bare, "foreground"), f"{told}'foreground'."
    names = structure_names(sorted(set(bare.values())))
    told = "Mask files of one name are one structure; a structure that has no file in a case is absent from that case."
    return {key: names[name] for key, name in bare.items()}, told


def _less(case: str, stem: str) -> str:
    rest = stem.removeprefix(case)
    return rest.strip("_-. ") or stem if rest[:1] in set("_-. ") else stem


def are_objects(cases: Sequence[Sequence[str]]) -> bool:
    """Whether names of masks, by case, are those of objects: they do not come back, or only count those of a case."""
    times = Counter(name for names in cases for name in names)
    total, kinds = times.total(), len(times)
    if len(cases) >= 5 and kinds > 20 and total / kinds < max(2.0, _RECURRING * len(cases)):
        return True
    if len(cases) >= 3 and total == kinds > len(cases):
        return True
    return len({len(names) for names in cases}) > 1 and all(map(_counted, cases))


def _counted(names: Sequence[str]) -> bool:
    """Whether names only count, from 0 or 1, behind no word but that of a mask."""
    found = [one for name in names if (one := re.fullmatch(r"(\D*)(\d+)", name))]
    if len(found) < len(names) or any(one[1] and role(one[1]) != "label" for one in found):
        return False
    values = sorted(int(one[2]) for one in found)
    return values[:1] in ([0], [1]) and values == list(range(values[0], values[0] + len(values)))


def draft(root: Path, layout: str, cases: Iterable[Case], *, notes: Iterable[str] = (), **known: object) -> Dataset:
    """A dataset in which everything the layout did not state is left empty."""
    fields: dict[str, object] = {"channels": (), "modality": "", **known}
    return Dataset.model_validate(
        {"root": str(root), "layout": layout, "cases": tuple(cases), "notes": tuple(notes), **fields}
    )
