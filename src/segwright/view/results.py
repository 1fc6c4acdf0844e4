"""Results to be compared with the labels: folders, single files, run-length tables and runs, read case by case."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segwright.api.run import Run
from segwright.core.case import Dataset
from segwright.core.errors import LabelError, LayoutError, SegwrightError, UsageError
from segwright.core.geometry import Geometry
from segwright.core.inspection import Finding
from segwright.core.labels import LabelSpace
from segwright.core.prediction import Predicted, Predictions
from segwright.core.report import Report
from segwright.core.runs import Runs
from segwright.core.words import amount, listed
from segwright.evaluation.pairing import CaseFinder, Parts, find_labels, read_labels
from segwright.evaluation.sides import as_written
from segwright.io.formats.rle.table import open_rle
from segwright.io.layouts.scan import stem_of
from segwright.view.protocol import without_paths
from segwright.view.source import is_run


class Result(Protocol):
    """Labels somebody or something made for some cases of the dataset."""

    name: str
    kind: str
    notes: list[str]
    findings: list[Finding]

    def cases(self) -> Sequence[str]:
        """Ids of the cases it has."""
        ...

    def labels(self, case: str, like: Geometry) -> NDArray[Any]:
        """Canonical labels of a case on the grid of its scan."""
        ...

    def files(self, case: str) -> Sequence[Path]:
        """What the labels of a case are read from each time; nothing, if they were read when it was opened."""
        ...

    def report(self) -> Report | None:
        """Scores that were computed before; `None` where they have yet to be."""
        ...


@dataclass
class Files:
    """Label files, by case."""

    name: str
    kind: str
    parts: dict[str, Parts]
    space: LabelSpace
    notes: list[str]
    findings: list[Finding] = field(default_factory=list)

    def cases(self) -> Sequence[str]:
        """Ids of the cases it has."""
        return list(self.parts)

    def labels(self, case: str, like: Geometry) -> NDArray[Any]:
        """Canonical labels of a case; what values of the files mean is found out when the first is wanted."""
        return read_labels(self.parts[case], self._written, like=like)[0]

    def files(self, case: str) -> Sequence[Path]:
        """The label files of a case."""
        return list(self.parts[case].values())

    @cached_property
    def _written(self) -> LabelSpace:
        return as_written(self.space, self.parts, self.notes)

    def report(self) -> Report | None:
        """Nothing was scored before."""
        return None


@dataclass
class OutOfFold:
    """What a run predicted for the cases its members had not seen, after its post-processing."""

    run: Run
    name: str
    notes: list[str]
    kind: str = "run"
    findings: list[Finding] = field(default_factory=list)

    @cached_property
    def _folds(self) -> dict[str, int]:
        return {case: fold for fold in self.run.finished for case in self.run.split.folds[fold].validation}

    def cases(self) -> Sequence[str]:
        """Validation cases of finished folds."""
        return [case for case in self._folds if self.run.scores_file(case).exists()]

    def labels(self, case: str, like: Geometry) -> NDArray[Any]:
        """Canonical labels of a case."""
        from segwright.api.finalize import final_chain  # draws on most of the package, so only for a run
        from segwright.api.out_of_fold import JudgedCase

        return JudgedCase(self.run, case, self._folds[case]).predicted(final_chain(self.run))

    def files(self, case: str) -> Sequence[Path]:
        """What is written when a case has been predicted, and when post-processing was chosen."""
        return [self.run.scores_file(case), self.run.postprocess_file]

    def report(self) -> Report | None:
        """The run's own scores."""
        return self.run.report if self.run.report_file.exists() else None


def open_result(path: str | Path, dataset: Dataset, *, name: str = "", folder_only: bool = False) -> Result:
    """A result from a folder of labels, a run, a run-length CSV or a single label file.

    Args:
        path: Where it lies.
        dataset: Whose cases it is for.
        name: Shown to people; the file's name by default.
        folder_only: Never take a folder for a run.

    Raises:
        SegwrightError: It cannot be read, or has none of the dataset's cases.
    """
    place = Path(path)
    if not place.exists():
        raise LayoutError("There is no such result.", where=place, hint="Check the path given with --result.")
    name = name or stem_of(place.resolve())
    if not folder_only and is_run(place):
        return OutOfFold(Run(place), name, [])
    if place.suffix.lower() in {".csv", ".tsv"}:
        return open_table(place, dataset, name=name)
    if place.is_file() or _one_scan(place):
        return _single(place, dataset, name)
    found = find_labels(place, [case.id for case in dataset.cases])
    return _files(found, dataset, name, place)


def _one_scan(place: Path) -> bool:
    return place.suffix.lower() == ".zarr"


def _single(place: Path, dataset: Dataset, name: str) -> Result:
    """A label file belongs to the case of its name, or to the only case there is."""
    ids = [case.id for case in dataset.cases]
    case = CaseFinder(dataset.cases).find(stem_of(place)) or (ids[0] if len(ids) == 1 else None)
    if case is None:
        raise LayoutError(
            "The label file has the name of no case.",
            expected=", ".join(ids[:5]) + (" ..." if len(ids) > 5 else ""),
            got=place.name,
            hint="Name it as its scan.",
        )
    return Files(name, "file", {case: {"": place}}, dataset.labels, [])


def _files(found: dict[str, Parts], dataset: Dataset, name: str, place: Path) -> Result:
    finder = CaseFinder(dataset.cases)
    parts = {case: files for stem, files in found.items() if (case := finder.find(stem))}
    if not parts:
        raise LayoutError(
            "No file of the result has the name of a case.",
            expected=", ".join(case.id for case in dataset.cases[:3]),
            got=", ".join(list(found)[:3]),
            where=place,
            hint="Name results as their scans; the suffix may differ.",
        )
    strangers = sorted(stem for stem in found if not finder.find(stem))
    notes = [f"{amount(len(strangers), 'file')} of no case left out: {listed(strangers, 5)}."] if strangers else []
    return Files(name, "folder", parts, dataset.labels, notes, _doubts(place, finder))


def _doubts(place: Path, finder: CaseFinder) -> list[Finding]:
    """What `predict` said against its results, where the folder holds its list."""
    file = place / Predictions.filename
    rows = Predictions.load(file).cases if file.exists() else ()
    return [finding for row in rows if (case := finder.find(row.case)) for finding in _doubts_of(row, case)]


def _doubts_of(row: Predicted, case: str) -> Iterator[Finding]:
    """Of one case: in what its scan is unlike those of training, and in what its answer is."""
    hint = "Look at this result with care: the model has not learnt from such scans."
    for text in row.outside:
        what = f"Unlike the scans that the model learnt from: {text}."
        yield Finding(level="warning", code="unlike-training", what=what, where=case, hint=hint)
    dice = f" A Dice of {row.expected:.2f} is to be expected." if row.quality and row.quality.expected_dice else ""
    for text in row.doubts:
        what = f"Doubtful: {text}.{dice}"
        yield Finding(level="warning", code="doubtful", what=what, where=case, hint="Look at it before it is used.")


def refuse_empty_space(space: LabelSpace) -> None:
    """Without structures a result has no meaning.

    Raises:
        UsageError: The dataset knows no structures.
    """
    if not space.structures:
        raise UsageError(
            "The scans have no labels, so the values of a result mean nothing yet.",
            hint="Open the result with --label, or name the structures in a dataset.yaml.",
        )


def why(error: Exception) -> str:
    """An error in one line for the page."""
    if isinstance(error, SegwrightError):
        return str(without_paths(error))
    return str(LabelError(f"Reading failed: {type(error).__name__}: {error}"))


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
        words = ", ".join(f"{word} ({amount(count, 'row')})" for word, count in strange.most_common(5))
        notes.append(f"Classes that are no structure were left out: {words}.")
    if alien:
        notes.append(f"{amount(len(alien), 'image')} left out, because no case has that name: {listed(alien, 5)}.")
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
