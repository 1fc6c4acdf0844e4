"""BIDS folders: `sub-01/[ses-1/]anat/sub-01_T1w.nii.gz`, with masks beside them or under `derivatives/`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from segwright.core.case import Case, Dataset
from segwright.io.layouts.listing import draft, label_source, structure_names, unique_ids
from segwright.io.layouts.names import role, safe_id
from segwright.io.layouts.scan import Item, items, subfolders


class Bids:
    """`sub-*` folders; the subject is the group, sessions and runs are cases of it."""

    stated = True
    looks_like = "a BIDS folder (sub-01/anat/sub-01_T1w.nii.gz, derivatives/.../sub-01_dseg.nii.gz)"

    def matches(self, folder: Path) -> bool:
        """Whether there are `sub-*` folders whose files carry the subject in their names."""
        subjects = [child for child in subfolders(folder) if child.name.startswith("sub-")]
        if not subjects:
            return False
        return any(item.stem.rpartition("/")[2].startswith("sub-") for item in items(subjects[0], depth=3))

    def open(self, folder: Path) -> Dataset:
        """Suffixes that most scans have are channels; `_dseg`, `_mask` and `label-` files are labels.

        What tells the files of one scan apart (`desc-`, `acq-`, `space-`) is part of what they are only where it does;
        of labels in several spaces the one in the scan's own is taken, and the others are left over.
        """
        found = [item for child in _places(folder) for item in items(child, depth=6)]
        several = _several(found)
        scans: dict[str, dict[str, Item]] = {}
        for item in sorted(found, key=_foreign):
            entity, kind = _parts(item, several)
            if entity:
                scans.setdefault(entity, {}).setdefault(kind, item)
        images, labels = _kinds(scans)
        names = structure_names(labels)
        cases = [_case(entity, parts, images, names, folder) for entity, parts in scans.items()]
        cases = [case for case in cases if case.images or case.label]
        told = f"Channels {', '.join(images)}; labels {', '.join(labels) or 'none'}."
        return draft(
            folder,
            "bids",
            unique_ids(cases),
            channels=images if len(images) > 1 else (),
            notes=[told],
            group_rule="the BIDS subject (sub-)",
        )


BIDS = Bids()


def _places(folder: Path) -> list[Path]:
    """Subjects' folders, then derivatives, where labels usually lie."""
    children = subfolders(folder)
    subjects = [child for child in children if child.name.startswith("sub-")]
    return subjects + [child for child in children if child.name in {"derivatives", "labels", "sourcedata"}]


def _entities(item: Item) -> tuple[str, dict[str, str], str]:
    """The scan of a file (`sub-01_ses-1`), its other entities, and its suffix (`T1w`, `mask`)."""
    stem = item.stem.rpartition("/")[2]
    told = dict(re.findall(r"([a-z]+)-([A-Za-z0-9.+]+)", stem))
    scan = "_".join(f"{key}-{told[key]}" for key in ("sub", "ses", "run") if key in told)
    return scan if "sub" in told else "", told, stem.rpartition("_")[2]


def _several(found: Sequence[Item]) -> frozenset[str]:
    """Entities that differ among files of one scan and suffix, and so say what a file is."""
    values: dict[tuple[str, str, str], set[str]] = {}
    for item in found:
        scan, told, suffix = _entities(item)
        for key in ("desc", "acq", "rec", "ce"):
            values.setdefault((scan, suffix, key), set()).add(told.get(key, ""))
    return frozenset(key for (scan, _, key), seen in values.items() if scan and len(seen) > 1)


def _foreign(item: Item) -> tuple[bool, str]:
    """Files in another space than the scan's come last."""
    return "space" in _entities(item)[1], item.stem


def _parts(item: Item, several: frozenset[str]) -> tuple[str, str]:
    """The scan a file belongs to, and what it is (`T1w`, `label-lesion_mask`, `lesion_mask`)."""
    scan, told, suffix = _entities(item)
    kept = [told[key] for key in ("acq", "ce", "rec", "desc") if key in several and key in told]
    named = [f"label-{told['label']}"] if "label" in told else []
    return scan, "_".join([*named, *kept, suffix])


def _kinds(scans: dict[str, dict[str, Item]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Kinds that are channels and kinds that are labels, each in at least a third (labels: any) of the scans."""
    labelled = {e: p for e, p in scans.items() if any(_is_label(kind) for kind in p)}
    counts = Counter(kind for parts in (labelled or scans).values() for kind in parts)
    labels = tuple(sorted(kind for kind in counts if _is_label(kind)))
    images = [kind for kind, count in counts.items() if not _is_label(kind) and count * 3 >= len(labelled or scans)]
    return tuple(sorted(images)), labels


def _is_label(kind: str) -> bool:
    return role(kind) == "label" or kind.startswith("label-") or "lesion" in kind.lower()


def _case(entity: str, parts: dict[str, Item], images: tuple[str, ...], names: dict[str, str], root: Path) -> Case:
    present = [kind for kind in names if kind in parts]
    several = len(names) > 1
    label = tuple(
        label_source(parts[kind], root, re.sub(r"^label-", "", names[kind]) if several else None) for kind in present
    )
    sources = tuple(parts[kind].source(root) for kind in images if kind in parts)
    subject = re.search(r"sub-[A-Za-z0-9]+", entity)
    return Case(id=safe_id(entity), images=sources, label=label, group=subject.group(0) if subject else entity)
