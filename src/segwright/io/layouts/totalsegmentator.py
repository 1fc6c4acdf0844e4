"""A folder a case that holds its image and a folder of one mask a structure, as TotalSegmentator's data do."""

from __future__ import annotations

from pathlib import Path

from segwright.core.case import Case, Dataset, LabelSource
from segwright.core.labels import LabelSpace, Structure
from segwright.io.layouts.listing import draft, label_source, structure_names, unique_ids
from segwright.io.layouts.names import match, role, safe_id
from segwright.io.layouts.scan import Item, items, numbered, subfolders

#: A mask name that comes back in fewer cases than this is an object, not a structure.
_RECURRING = 0.2


class TotalSegmentator:
    """`s0001/ct.nii.gz` with `s0001/segmentations/liver.nii.gz`."""

    looks_like = (
        "a folder a case with an image and a folder of masks (s0001/ct.nii.gz, s0001/segmentations/liver.nii.gz)"
    )

    def matches(self, folder: Path) -> bool:
        """Whether most subfolders are such cases."""
        children = subfolders(folder)
        return bool(children) and sum(_parts(child) is not None for child in children[:20]) * 2 > len(children[:20])

    def open(self, folder: Path) -> Dataset:
        """One case a subfolder; a structure without a file in some case is absent there."""
        found = {child: parts for child in subfolders(folder) if (parts := _parts(child))}
        stems = [item.stem for _, masks in found.values() for item in masks]
        objects = _are_objects(stems, len(found))
        names = structure_names(sorted(set(stems))) if not objects else dict.fromkeys(stems, "foreground")
        cases = unique_ids(_case(child, *parts, names, folder) for child, parts in found.items())
        structures = tuple(Structure(name=name) for name in dict.fromkeys(names.values()))
        notes = ["A structure that has no file in a case is absent from that case."]
        if objects:
            notes = ["Mask files differ from case to case, so each is one object; together they are 'foreground'."]
        channels = tuple(item.stem for item in next(iter(found.values()))[0])
        space = LabelSpace(structures=structures, kind="exclusive" if objects else "overlapping")
        return draft(
            folder,
            "totalsegmentator",
            cases,
            channels=channels if len(channels) > 1 else (),
            labels=space,
            notes=notes,
            group_rule="the folder of the case",
        )


TOTALSEGMENTATOR = TotalSegmentator()


def _parts(folder: Path) -> tuple[list[Item], list[Item]] | None:
    """Images and masks of a case folder; `None` if it is arranged otherwise."""
    images = [item for item in items(folder) if role(item.stem) != "label"]
    children = subfolders(folder)
    if not images:
        images = [i for child in children if role(child.name) == "image" for i in items(child)]
    masks = [i for child in children if role(child.name) == "label" for i in items(child) if i.kind == "file"]
    if not images or not masks or len(images) > 8 or len({item.path.parent for item in masks}) != 1:
        return None
    names = [item.stem for item in masks]
    pairs = match([item.stem for item in images], names)
    if set(pairs) & set(names) or len(pairs) > 1:
        return None  # images beside their labels: pairs, not one case
    planes = numbered(names) and (len(images) > 1 or images[0].kind == "series")
    return None if planes else (images, masks)


def _are_objects(stems: list[str], cases: int) -> bool:
    """Whether mask names do not come back over cases, as with one file a cell."""
    kinds = len(set(stems))
    return cases >= 5 and len(stems) / max(1, kinds) < max(2.0, _RECURRING * cases) and kinds > 20


def _case(folder: Path, images: list[Item], masks: list[Item], names: dict[str, str], root: Path) -> Case:
    label: tuple[LabelSource, ...] = tuple(label_source(item, root, names[item.stem]) for item in masks)
    return Case(
        id=safe_id(folder.name), images=tuple(i.source(root) for i in images), label=label, group=safe_id(folder.name)
    )
