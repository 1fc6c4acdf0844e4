"""The Cell Tracking Challenge's folders: a film is `01/`, its outlines `01_GT/SEG/` (or `01_ST/SEG/`), numbered."""

from __future__ import annotations

import re
from pathlib import Path

from segwright.core.case import Case, Dataset
from segwright.core.labels import LabelSpace, Structure
from segwright.io.layouts.listing import draft, label_source, unique_ids
from segwright.io.layouts.names import numbers, safe_id
from segwright.io.layouts.scan import Item, items, subfolders
from segwright.io.meaning.decide import TELL_APART

#: Drawn by people first; the challenge's computed reference where there is no other.
_REFERENCES = ("GT", "ST")


class Tracking:
    """Films of cells: a frame is a case, a film a group, and outlines number the cells."""

    stated = True
    looks_like = "films of the Cell Tracking Challenge (01/t000.tif, 01_GT/SEG/man_seg000.tif)"

    def matches(self, folder: Path) -> bool:
        """Whether some folder has outlines beside it under its name."""
        return bool(_films(folder))

    def open(self, folder: Path) -> Dataset:
        """Frames as cases; frames without outlines stay unlabelled, and the dots that follow cells are no structure."""
        cases: list[Case] = []
        for film, outlines in _films(folder).items():
            labels = {numbers(item.stem): item for item in items(outlines)}
            cases += [_case(item, film, labels.get(numbers(item.stem)), folder) for item in items(film)]
        note = "Films of the Cell Tracking Challenge: outlines (SEG) number cells, which all together are 'cell'; the "
        note += f"dots that follow them (TRA) are no structure. To tell the cells apart, {TELL_APART}"
        return draft(
            folder,
            "tracking",
            unique_ids(cases),
            labels=LabelSpace(structures=(Structure(name="cell"),)),
            notes=[note],
            group_rule="the film",
        )


TRACKING = Tracking()


def _films(folder: Path) -> dict[Path, Path]:
    """Folders of frames with the folder of their outlines."""
    films = [child for child in subfolders(folder) if re.fullmatch(r"\d+", child.name)]
    found: dict[Path, Path] = {}
    for film in films:
        places = [folder / f"{film.name}_{kind}" / "SEG" for kind in _REFERENCES]
        outlines = next((place for place in places if place.is_dir() and items(place)), None)
        if outlines is not None:
            found[film] = outlines
    return found


def _case(frame: Item, film: Path, outline: Item | None, root: Path) -> Case:
    label = () if outline is None else (label_source(outline, root, "cell"),)
    return Case(
        id=safe_id(f"{film.name}_{frame.stem}"), images=(frame.source(root),), label=label, group=safe_id(film.name)
    )
