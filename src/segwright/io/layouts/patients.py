"""A folder a patient, with the same file names in each: `p1/flair.nii.gz`, `p1/t1c.nii.gz`, `p1/label.nii.gz`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from segwright.core.case import Case, Dataset
from segwright.io.layouts.content import mostly_labels
from segwright.io.layouts.listing import draft, label_source, structure_names, unique_ids
from segwright.io.layouts.names import role, safe_id, strip_roles
from segwright.io.layouts.scan import Item, items, sections_item, subfolders

Leaf = dict[str, Item]


class Patients:
    """Folders, one or two levels down, that each hold a patient's channels and label."""

    looks_like = "a folder a patient with equal file names (p1/flair.nii.gz, p1/label.nii.gz, p2/flair.nii.gz, ...)"

    def matches(self, folder: Path) -> bool:
        """Whether names come back over subfolders and some of them are labels."""
        leaves = _leaves(folder)
        return bool(leaves) and bool(_roles(leaves)[1])

    def open(self, folder: Path) -> Dataset:
        """One case a folder; names that most folders have are channels or labels."""
        leaves = _leaves(folder)
        images, labels = _roles(leaves)
        names = structure_names(labels)
        several = len(labels) > 1
        cases = []
        for leaf, parts in leaves.items():
            label = tuple(
                label_source(parts[name], folder, names[name] if several else None) for name in labels if name in parts
            )
            sources = tuple(parts[name].source(folder) for name in images if name in parts)
            where = leaf.relative_to(folder).as_posix() if leaf != folder else parts[images[0]].stem
            cases.append(Case(id=safe_id(where), images=sources, label=label, group=_patient(leaf, leaves, folder)))
        told = f"Channels {', '.join(images)}; labels {', '.join(labels)}; one case a folder."
        rule = "the folder of the patient" if all(case.group for case in cases) else ""
        return draft(
            folder,
            "patients",
            unique_ids(cases),
            channels=tuple(images) if len(images) > 1 else (),
            notes=[told, *_left_out(leaves, images, labels)],
            group_rule=rule,
        )


PATIENTS = Patients()


def _leaves(folder: Path) -> dict[Path, Leaf]:
    """Folders that hold several items, with each item under its name less the folder's; down to three levels."""
    alone = {} if _repeated(folder) else _leaf(folder)
    if 2 <= len(alone) <= 5 and sum(role(name) == "label" for name in alone) == 1 and not _cases_by_number(alone):
        return {folder: alone}
    for depth in (1, 2, 3):
        found = {leaf: parts for leaf in _at_depth(folder, depth) if 2 <= len(parts := _leaf(leaf)) <= 40}
        if found:
            return found
    return {}


def _repeated(folder: Path) -> bool:
    """Whether two subfolders hold files of one name: then each is a case, whatever lies beside them."""
    names = Counter(name for child in subfolders(folder) for name in {_bare(item, child) for item in items(child)})
    return any(count > 1 for count in names.values())


def _cases_by_number(parts: Leaf) -> bool:
    """Whether two names differ in a number only, as cases do."""
    plain = Counter(re.sub(r"\d+", "#", name) for name in parts if re.search(r"\d{2,}|[_-]\d", name))
    return any(count > 1 for count in plain.values())


def _at_depth(folder: Path, depth: int) -> list[Path]:
    if depth == 0:
        return [folder]
    return [leaf for child in subfolders(folder) for leaf in _at_depth(child, depth - 1)]


def _leaf(folder: Path) -> Leaf:
    """Items of a folder by bare name.

    A subfolder that is a series is one item; beside other items, so is one that is a stack of sections, and the few
    files of any other subfolder belong to the patient too.
    """
    found = items(folder)
    children = [(child, items(child)) for child in subfolders(folder)]
    series = [child for child, inner in children if len(inner) == 1 and inner[0].kind == "series"]
    if any(_one_for_each(found, inner) for child, inner in children if child not in series):
        return {}  # several images a patient, each with a label of its own
    found += [Item(child, child.name, "series") for child in series]
    if not found:
        return {}
    table = {_bare(item, folder): item for item in found}
    for child, inner in children:
        stack = None if child in series else sections_item(child)
        if stack is not None:
            table.setdefault(stack.stem, stack)
        elif child not in series and len(inner) <= 8:
            for item in inner:
                table.setdefault(_bare(item, folder), item)
    return table


def _one_for_each(found: Sequence[Item], inner: Sequence[Item]) -> bool:
    """Whether a subfolder holds a file of the same name for each of several files."""
    names = {item.stem for item in found if item.kind == "file"}
    return len(names) > 1 and names <= {item.stem for item in inner}


def _bare(item: Item, folder: Path) -> str:
    """`flair` for `BraTS_001/BraTS_001_flair.nii.gz`."""
    if item.path == folder and item.key is None:
        return "image"
    stem = item.stem
    for name in (folder.name, folder.parent.name):
        if stem.startswith(name) and len(stem) > len(name):
            return stem[len(name) :].strip("_-. ") or stem
    return stem


def _roles(leaves: Mapping[Path, Leaf]) -> tuple[list[str], list[str]]:
    """Names of channels and of labels among those that at least a third of the folders have."""
    counts = Counter(name for parts in leaves.values() for name in parts)
    least = max(min(2, len(leaves)), len(leaves) / 3)
    names = sorted(name for name, count in counts.items() if count >= least)
    labels = [name for name in names if role(name) == "label"]
    unknown = [name for name in names if role(name) is None]
    judged = [n for n in unknown if mostly_labels([parts[n] for parts in leaves.values() if n in parts])]
    labels = sorted({*labels, *judged})
    images = [name for name in names if name not in labels]
    drawn, shown = ({strip_roles(name) for name in group} for group in (labels, images))
    if len(labels) > 1 and (drawn <= shown or (len(shown) > 1 and shown <= drawn)):
        return [], []  # each image has a label of its own: several cases a folder
    return (images, labels) if images else ([], [])


def _patient(leaf: Path, leaves: Mapping[Path, Leaf], root: Path) -> str:
    """The patient: the upper of two folder levels, unless that level is a handful of classes or parts."""
    if leaf == root:
        return ""
    parts = leaf.relative_to(root).parts
    tops = {other.relative_to(root).parts[0] for other in leaves}
    return safe_id(parts[0] if len(tops) > 4 or len(tops) == len(leaves) else "_".join(parts[:2]))


def _left_out(leaves: Mapping[Path, Leaf], images: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Names in too few folders to be a channel."""
    used = {*images, *labels}
    other = sorted({name for parts in leaves.values() for name in parts if name not in used})
    return [f"Left out, because few folders have them: {', '.join(other[:8])}."] if other else []


def unlabelled_leaves(folder: Path, count: int) -> dict[Path, Leaf]:
    """Folders that hold exactly `count` images each, for prediction; labels among them are left aside."""
    found: dict[Path, Leaf] = {}
    for depth in (1, 2, 3):
        for leaf in _at_depth(folder, depth):
            parts = {name: item for name, item in _leaf(leaf).items() if role(name) != "label"}
            if len(parts) == count or (count == 1 and "image" in parts):
                found[leaf] = parts
        if found:
            return found
    return found
