"""A run-length table as a result: its rows are found by image name and class, and decoded when a case is shown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.case import Dataset
from segwright.core.errors import LabelError, LayoutError
from segwright.core.geometry import Geometry
from segwright.core.inspection import Finding
from segwright.core.labels import LabelSpace
from segwright.core.report import Report
from segwright.core.runs import Runs
from segwright.core.words import amount
from segwright.core.words import listed as _listed
from segwright.evaluation.pairing import CaseFinder
from segwright.io.layouts.scan import stem_of
from segwright.io.rle import open_rle
from segwright.view.results import refuse_empty_space


@dataclass
class Table:
    """Masks of a CSV table, by case and structure index."""

    name: str
    runs: dict[str, dict[int, Runs]]
    space: LabelSpace
    notes: list[str]
    kind: str = "table"
    findings: list[Finding] = field(default_factory=list)

    def cases(self) -> Sequence[str]:
        """Ids of the cases it has rows for."""
        return list(self.runs)

    def labels(self, case: str, like: Geometry) -> NDArray[Any]:
        """Canonical labels of a case; a structure without a row is empty.

        Raises:
            LabelError: A mask reaches beyond the scan, or the scan is a volume.
        """
        size = math.prod(like.shape)
        for index, runs in self.runs[case].items():
            runs.refuse_beyond(size, where=f"{self.name}, {case}, {self.space.names[index]}")
        empty = np.zeros(like.shape, np.bool_)
        masks = self.runs[case]
        count = len(self.space.structures)
        return self.space.from_masks([masks[i].mask(like.shape) if i in masks else empty for i in range(count)])

    def files(self, case: str) -> Sequence[Path]:
        """The table was read when it was opened."""
        return []

    def report(self) -> Report | None:
        """Nothing was scored before."""
        return None


def open_table(path: Path, dataset: Dataset, *, name: str) -> Table:
    """Read a table of masks for a dataset's cases; what it holds beside them is told in `notes`.

    Raises:
        LabelError: No class is a structure.
        LayoutError: No image is a case.
        ReadError: The file is no such table.
    """
    refuse_empty_space(dataset.labels)
    table = open_rle(path)
    image, kind = _columns(table.keys)
    repaired: list[str] = []
    known = {n.lower(): i for i, n in enumerate(dataset.labels.names)}
    finder = CaseFinder(dataset.cases)
    case_of: dict[str, str | None] = {}
    found: dict[str, dict[int, Runs]] = {}
    strange: Counter[str] = Counter()
    alien: dict[str, int] = {}
    for key, runs in table.runs(repaired=repaired):
        stem = stem_of(Path(key[image].replace("\\", "/")))
        case = case_of.setdefault(stem, finder.find(stem))
        word = key[kind] if kind is not None else dataset.labels.names[0]
        index = known.get(word.lower())
        if index is None:
            strange[word] += 1
        elif case is None:
            alien[stem] = alien.get(stem, 0) + 1
        else:
            found.setdefault(case, {})[index] = runs
    if not found:
        _refuse(dataset, list(strange), list(alien), path)
    return Table(name, found, dataset.labels, _told(strange, list(alien), repaired))


def _columns(keys: Sequence[str]) -> tuple[int, int | None]:
    """Places of the image's name and of the class among the key columns."""
    lower = [key.lower() for key in keys]
    kind = next((i for i, key in enumerate(lower) if key in {"class", "structure", "label", "class_name"}), None)
    if kind is None and len(keys) > 1:
        kind = len(keys) - 1
    image = next(i for i in range(len(keys)) if i != kind)
    return image, kind


def _told(strange: Counter[str], alien: list[str], repaired: list[str]) -> list[str]:
    notes = []
    if strange:
        listed = ", ".join(f"{word} ({amount(count, 'row')})" for word, count in strange.most_common(5))
        notes.append(f"Classes that are no structure were left out: {listed}.")
    if alien:
        notes.append(f"{amount(len(alien), 'image')} left out, because no case has that name: {_listed(alien, 5)}.")
    return notes + [f"Repaired: {text}." for text in repaired[:5]]


def _refuse(dataset: Dataset, strange: list[str], alien: list[str], path: Path) -> None:
    if strange and not alien:
        raise LabelError(
            "The table's classes are no structures of this dataset.",
            expected=", ".join(dataset.labels.names[:8]),
            got=", ".join(strange[:8]),
            where=path.name,
            hint="Name classes as the structures.",
        )
    raise LayoutError(
        "The table has rows for no case of this dataset.",
        expected=", ".join(case.id for case in dataset.cases[:3]),
        got=", ".join(alien[:3]) or "no rows",
        where=path.name,
        hint="Name images as the scans; the suffix may differ.",
    )
