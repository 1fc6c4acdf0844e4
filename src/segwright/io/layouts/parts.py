"""Folders that are data sets by themselves: sites, splits or patients, each with images and labels of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from segwright.core.case import Case, Dataset, Source
from segwright.core.errors import SegwrightError
from segwright.core.labels import LabelSpace
from segwright.io.layouts.inventory import readable
from segwright.io.layouts.judge import choose, proposals
from segwright.io.layouts.listing import draft, unique_ids
from segwright.io.layouts.names import safe_id, split_of
from segwright.io.layouts.scan import subfolders

_Source = TypeVar("_Source", bound=Source)
#: More folders than this are patients, which other layouts read; each is opened to look.
_MOST = 64
#: Few folders are sites or splits; more are patients, and none of them may cross folds.
_FEW = 4


class Parts:
    """Each subfolder is arranged as a data set; equal file names in two of them are two cases."""

    looks_like = "a folder a site or split, each arranged as one of these (siteA/images, siteA/masks, siteB/...)"

    def matches(self, folder: Path) -> bool:
        """Whether the folders that hold scans are data sets, most of them of several cases."""
        try:
            return bool(_parts(folder))
        except (SegwrightError, OSError):
            return False

    def open(self, folder: Path) -> Dataset:
        """The cases of all parts, the part's name in front of their ids."""
        parts = _parts(folder)
        patients = len(parts) > _FEW and not any(split_of(name) for name in parts)
        cases = [
            _moved(case, name, patient=name if patients else "") for name, part in parts.items() for case in part.cases
        ]
        spaces = [part.labels for part in parts.values() if part.labels.structures]
        same = len(spaces) == len(parts) and all(space == spaces[0] for space in spaces)
        told = f"The parts {', '.join(list(parts)[:12])}{' and more' if len(parts) > 12 else ''} were put together"
        told += "; folds are made anew from all of them." if not patients else "; each is taken for a patient."
        first = next(iter(parts.values()))
        notes = [told, *dict.fromkeys(note for part in parts.values() for note in part.notes)]
        return draft(
            folder,
            "parts",
            unique_ids(_alike(cases)),
            channels=first.channels if all(part.channels == first.channels for part in parts.values()) else (),
            labels=spaces[0] if same else LabelSpace(),
            notes=notes,
            group_rule="the folder of the patient" if patients else "",
        )


PARTS = Parts()


def _parts(folder: Path) -> dict[str, Dataset]:
    """Subfolders that are data sets; none unless all that hold scans are."""
    children = [child for child in subfolders(folder) if child.is_dir()]
    if not 2 <= len(children) <= _MOST:
        return {}
    found: dict[str, Dataset] = {}
    for child in children:
        chosen = choose(proposals(child))
        part = chosen.dataset if chosen else None
        if part is not None and any(case.images and case.label for case in part.cases):
            found[child.name] = part
        elif split_of(child.name) != "test" and readable(child):
            return {}
    several = sum(len(part.cases) > 1 or part.layout == "pairs" for part in found.values())
    enough = several * 2 >= len(found) if len(found) > 1 else bool(found) and bool(split_of(next(iter(found))))
    return found if enough else {}


def _moved(case: Case, part: str, *, patient: str) -> Case:
    """A case of a part, seen from the folder above."""
    return case.model_copy(
        update={
            "id": safe_id(f"{part}_{case.id}"),
            "images": tuple(_below(source, part) for source in case.images),
            "label": tuple(_below(source, part) for source in case.label),
            "group": safe_id(patient) if patient else safe_id(f"{part}_{case.group}") if case.group else "",
        }
    )


def _alike(cases: Sequence[Case]) -> list[Case]:
    """The cases with the only structure named in all of them, where some parts have several masks of it an image."""
    named = {source.structure for case in cases for source in case.label}
    if len(named) != 2 or None not in named:
        return list(cases)
    name = next(name for name in named if name)
    return [
        case.model_copy(update={"label": tuple(s.model_copy(update={"structure": name}) for s in case.label)})
        for case in cases
    ]


def _below(source: _Source, part: str) -> _Source:
    path = source.path if Path(source.path).is_absolute() else f"{part}/{source.path}" if source.path != "." else part
    return source.model_copy(update={"path": path})
