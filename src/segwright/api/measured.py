"""Where masks to measure come from, one case at a time, with the scan to draw them on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from segwright import io
from segwright.api.evaluate import _as_dataset
from segwright.api.judged import JudgedCase
from segwright.api.run import Run
from segwright.core.case import Case, Dataset
from segwright.core.errors import SegwrightError, UsageError
from segwright.core.inspection import Finding
from segwright.core.labels import LabelSpace
from segwright.core.plan import Plan
from segwright.core.words import amount, listed
from segwright.evaluation.pairing import Parts, find_labels, read_labels
from segwright.evaluation.sides import as_written, infer_space
from segwright.io.load import load_image, load_label
from segwright.measures.measure import Subject

Image = Callable[[], NDArray[Any] | None]


@dataclass(frozen=True)
class Measured:
    """One case: what to measure, and a function that reads `(z, y, x)` grey values of its scan, if there are any."""

    subject: Subject
    image: Image


@dataclass(frozen=True)
class Source:
    """Cases that are read when asked for; one that cannot be read becomes a finding.

    Attributes:
        loaders: One a case, with the case's id.
        findings: What was assumed about all of them.
    """

    loaders: tuple[tuple[str, Callable[[], Measured]], ...]
    findings: tuple[Finding, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.loaders)

    def __iter__(self) -> Iterator[Measured | Finding]:
        for case, load in self.loaders:
            try:
                yield load()
            except UsageError:
                raise
            except SegwrightError as error:
                hint = error.hint or "Repair the file, or take it out of the folder."
                yield Finding(level="warning", code="unreadable", what=error.what, where=case, hint=hint)


def source_of(path: Path, *, images: Path | None = None, space: LabelSpace | None = None) -> Source:
    """The cases of a run, a dataset, or a folder of labels.

    Raises:
        LayoutError: The folder holds nothing that can be measured.
    """
    if (path / Plan.filename).exists() and not (path / "model.json").exists():
        return _of_run(Run.open(path))
    dataset = _as_dataset(path) if images is None and space is None else None
    if dataset is not None:
        note = _note(f"The reference labels of the dataset in {dataset.root} are measured.")
        return Source(tuple((case.id, _labelled(dataset, case)) for case in dataset.labelled), (note,))
    return _of_folder(path, images, space)


def _of_run(run: Run) -> Source:
    """Out-of-fold predictions, after the post-processing the run ended with."""
    from segwright.api.verdict import final_chain

    if not run.finished:
        raise UsageError("No fold of this run has finished.", where=run.folder, hint="Finish it with --resume.")
    chain = final_chain(run)

    def loader(judged: JudgedCase) -> Callable[[], Measured]:
        def load() -> Measured:
            subject = Subject(judged.case, judged.predicted(chain), run.plan.labels, judged.geometry)
            return Measured(subject, lambda: load_image(run.dataset, run.dataset.case(judged.case)).array()[0])

        return load

    cases = [JudgedCase(run, case, fold) for fold in run.finished for case in run.split.folds[fold].validation]
    note = _note("The out-of-fold predictions of the run are measured.")
    return Source(tuple((judged.case, loader(judged)) for judged in cases), (note,))


def _labelled(dataset: Dataset, case: Case) -> Callable[[], Measured]:
    def load() -> Measured:
        volume = load_image(dataset, case)
        labels = load_label(dataset, case, volume.geometry)
        return Measured(Subject(case.id, labels, dataset.labels, volume.geometry), lambda: volume.array()[0])

    return load


def _of_folder(path: Path, images: Path | None, space: LabelSpace | None) -> Source:
    found = find_labels(path)
    notes: list[str] = []
    meaning = as_written(space, found, notes, whose="labels") if space else infer_space(found, {}, notes)
    scans = find_labels(images) if images is not None else {}
    lost = sorted(set(found) - set(scans)) if images is not None else []
    if lost:
        notes.append(f"No scan of the same name to draw on for {amount(len(lost), 'case')}: {listed(lost, 4)}.")

    def loader(case: str, parts: Parts) -> Callable[[], Measured]:
        def load() -> Measured:
            labels, geometry = read_labels(parts, meaning)
            return Measured(Subject(case, labels, meaning, geometry), _scan(scans.get(case), geometry.shape))

        return load

    return Source(tuple((case, loader(case, parts)) for case, parts in found.items()), tuple(map(_note, notes)))


def _scan(parts: Parts | None, shape: tuple[int, ...]) -> Image:
    """A function that reads the first channel of a scan; `None` where there is none of this shape."""

    def image() -> NDArray[Any] | None:
        if not parts:
            return None
        array = io.read(next(iter(parts.values()))).array()[0]
        return array if array.shape == tuple(shape) else None

    return image


def _note(text: str) -> Finding:
    return Finding(level="note", code="measure-source", what=text)
