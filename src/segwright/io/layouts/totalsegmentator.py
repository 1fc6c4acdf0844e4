"""A folder a case that holds its image and a folder of one mask a structure, as TotalSegmentator's data do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from segwright.core.case import Case, Dataset, LabelSource
from segwright.core.labels import LabelSpace, Structure
from segwright.io.layouts.listing import draft, label_source, mask_names, unique_ids
from segwright.io.layouts.names import match, role, safe_id
from segwright.io.layouts.scan import Item, items, numbered, subfolders


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
        names, told = mask_names({child.name: [item.stem for item in masks] for child, (_, masks) in found.items()})
        cases = unique_ids(_case(child, *parts, names, folder) for child, parts in found.items())
        structures = tuple(Structure(name=name) for name in sorted(set(names.values())))
        channels = tuple(item.stem for item in next(iter(found.values()))[0])
        space = LabelSpace(structures=structures, kind="overlapping" if len(structures) > 1 else "exclusive")
        return draft(
            folder,
            "totalsegmentator",
            cases,
            channels=channels if len(channels) > 1 else (),
            labels=space,
            notes=[told],
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


def _case(
    folder: Path, images: list[Item], masks: list[Item], names: Mapping[tuple[str, str], str], root: Path
) -> Case:
    label: tuple[LabelSource, ...] = tuple(label_source(item, root, names[folder.name, item.stem]) for item in masks)
    return Case(
        id=safe_id(folder.name), images=tuple(i.source(root) for i in images), label=label, group=safe_id(folder.name)
    )
