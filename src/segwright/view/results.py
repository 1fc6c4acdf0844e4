"""Results to be compared with the labels: folders, single files, run-length tables and runs, read case by case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from segwright.api.run import Run
from segwright.core.case import Dataset
from segwright.core.errors import LabelError, LayoutError, SegwrightError, UsageError
from segwright.core.geometry import Geometry
from segwright.core.inspection import Finding
from segwright.core.labels import LabelSpace
from segwright.core.prediction import Predictions
from segwright.core.report import Report
from segwright.core.words import amount, listed
from segwright.evaluation.pairing import CaseFinder, Parts, find_labels, read_labels
from segwright.evaluation.sides import as_written
from segwright.io.layouts.scan import stem_of
from segwright.view.subject import is_run
from segwright.view.wire import plainly


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
        from segwright.view.tables import open_table

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
    return Files(name, "folder", parts, dataset.labels, notes, _unlike(place, finder))


def _unlike(place: Path, finder: CaseFinder) -> list[Finding]:
    """What `predict` said of scans that are unlike those of training, where the folder holds its list."""
    file = place / Predictions.filename
    if not file.exists():
        return []
    hint = "Look at this result with care: the model has not learnt from such scans."
    return [
        Finding(level="warning", code="unlike-training", what=_sentence(text), where=case, hint=hint)
        for row in Predictions.load(file).cases
        if (case := finder.find(row.case))
        for text in row.outside
    ]


def _sentence(text: str) -> str:
    return f"Unlike the scans that the model learnt from: {text}."


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
        return str(plainly(error))
    return str(LabelError(f"Reading failed: {type(error).__name__}: {error}"))
