"""Evaluates a folder of predictions against a folder of references (or a dataset), in any format that can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from segwright import io
from segwright.core.case import Case, Dataset
from segwright.core.errors import LabelError, LayoutError, SegwrightError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.core.report import Score
from segwright.core.volume import Volume
from segwright.core.words import amount, listed
from segwright.evaluation.answers import Answers, drawn_in, find_answers
from segwright.evaluation.pairing import CaseFinder, Parts, find_labels, made_of, read_labels
from segwright.evaluation.score import Judge, LabelPair
from segwright.evaluation.sides import OBJECTS, as_written, infer_space, number_objects
from segwright.io.dataset import open_labels
from segwright.io.drawing import geometry_of
from segwright.io.instances import as_instances
from segwright.io.layouts.scan import stem_of
from segwright.io.load import load_image, load_label, open_source

#: Why a case without a file is not scored.
NOT_PREDICTED = "no prediction of this name"


@dataclass(frozen=True)
class Matched:
    """References and predictions that belong together: what to score, what labels mean, and what was assumed."""

    jobs: Sequence[Job]
    space: LabelSpace
    title: str
    notes: Sequence[str]
    answers: Answers | None = None

    def told(self) -> list[str]:
        """Notes, with what was repaired in the predictions that were read so far."""
        repairs = self.answers.repairs if self.answers else {}
        return [*self.notes, *(f"Prediction of {case}: {' '.join(told)}" for case, told in sorted(repairs.items()))]


def match_folders(
    reference: str | Path | Dataset, prediction: str | Path, *, space: LabelSpace | None = None
) -> Matched:
    """Pair every reference case with its prediction, in whatever form either is.

    A folder holds one file of label values a case, or one subfolder a structure with one mask a case. Names are
    compared without suffix, so formats may differ. A case without prediction, or with one that cannot be read or
    lies on another grid, becomes rows of missing values that are counted and told.

    Args:
        reference: A dataset (whose groups and label meaning are used), or labels alone: a folder of masks, polygons,
            a run-length table.
        prediction: Labels in any form; values mean the same as in the reference, classes are matched by name.
        space: Meaning of the values; taken from the dataset, or from the values present in the references.

    Raises:
        LayoutError: A folder holds no labels, or not one name agrees.
        LabelError: References hold values unlike labels.
    """
    place = Path(prediction)
    if not isinstance(reference, Dataset):
        reference = _labels_as_dataset(Path(reference), place) or reference
    if isinstance(reference, Dataset):
        matched, found = _with_dataset(reference, place, space)
    else:
        matched, found = _with_folder(Path(reference), place, space)
    notes = list(matched.notes)
    extra = sorted(set(found) - {job.case for job in matched.jobs})
    if extra:
        notes.append(f"{amount(len(extra), 'prediction')} without a reference left out: {listed(extra)}.")
    missing = [job.case for job in matched.jobs if not job.predicted]
    _refuse_strangers(matched.jobs, extra, place)
    if missing:
        notes.append(f"No prediction for {len(missing)} of {amount(len(matched.jobs), 'case')}: {listed(missing)}.")
    return replace(matched, notes=notes)


def _labels_as_dataset(reference: Path, prediction: Path) -> Dataset | None:
    """Labels without images as a dataset, where masks cannot be compared file by file."""
    if not reference.exists() or not prediction.exists():
        return None
    return open_labels(reference) if drawn_in(reference) or drawn_in(prediction) else None


def _with_dataset(reference: Dataset, place: Path, space: LabelSpace | None) -> tuple[Matched, Sequence[str]]:
    """Cases of a dataset; scored as overlapping where predictions may overlap, so that nothing is painted over."""
    reference = reference if space is None else reference.model_copy(update={"labels": space})
    answers = find_answers(place, reference)
    found: Mapping[str, Parts] = {}
    if answers is None:
        finder = CaseFinder(reference.labelled, made_of(place, reference))
        found = _by_case(find_labels(place, [c.id for c in reference.labelled]), finder, place)
    overlapping = answers.overlapping if answers else any(name for parts in found.values() for name in parts)
    notes = list(answers.notes) if answers else []
    if overlapping and reference.labels.kind == "exclusive":
        reference = reference.model_copy(update={"labels": as_overlapping(reference.labels)})
        notes.append("Predicted structures may share pixels, so each is scored by itself.")
    elif space is None:
        reference = _told_apart(reference, found, notes)
    written = as_written(reference.labels, found, notes)
    jobs = [
        Job(c.id, c.group or c.id, found.get(c.id), dataset=reference, item=c, answers=answers, written=written)
        for c in reference.labelled
    ]
    strangers = [*answers.extra] if answers else [*found]
    return Matched(jobs, reference.labels, place.name, notes, answers), strangers


def _told_apart(reference: Dataset, found: Mapping[str, Parts], notes: list[str]) -> Dataset:
    """The dataset, or the pieces of its only structure as objects where the predictions number some."""
    labels = reference.labels
    if labels.kind != "exclusive" or len(labels.structures) != 1 or not found:
        return reference
    wanted = {c.id: {"": reference.path(c.label[0])} for c in reference.labelled}
    if not number_objects(labels, wanted, {case: parts for case, parts in found.items() if case in wanted}):
        return reference
    notes.append(OBJECTS)
    return as_instances(reference, True)


def _by_case(found: Mapping[str, Parts], finder: CaseFinder, place: Path) -> dict[str, Parts]:
    """Files of each case; under their own name where they belong to none."""
    names: dict[str, str] = {}
    for name in found:
        case = finder.find(name) or name
        if names.setdefault(case, name) != name:
            raise LayoutError(
                f"Two predictions are of case {case!r}.",
                got=f"{names[case]}, {name}",
                where=place,
                hint="Keep one of them.",
            )
    return {case: found[name] for case, name in names.items()}


def _with_folder(reference: Path, place: Path, space: LabelSpace | None) -> tuple[Matched, Sequence[str]]:
    """Files of labels by name."""
    notes: list[str] = []
    wanted: dict[str, Parts]
    found: dict[str, Parts]
    if reference.is_file() and place.is_file():
        name = stem_of(place)
        wanted, found = {name: {"": reference}}, {name: {"": place}}
    else:
        wanted, found = find_labels(reference), find_labels(place)
    stated = space
    space = space or infer_space(wanted, found, notes)
    ours = as_written(space, wanted, notes, whose="references") if stated else space
    theirs = as_written(space, {case: parts for case, parts in found.items() if case in wanted}, notes)
    jobs = [
        Job(case, case, found.get(case), reference=parts, labels=ours, written=theirs) for case, parts in wanted.items()
    ]
    notes.append("Groups are unknown: each case counts as a patient of its own.")
    return Matched(jobs, space, place.name, notes), list(found)


def as_overlapping(space: LabelSpace) -> LabelSpace:
    """The same structures, of which any number may share a voxel; each has the value that it has in files.

    Example:
        >>> as_overlapping(LabelSpace(structures=[{"name": "a"}, {"name": "b"}])).structures[1].values
        (2,)
    """
    filled = [s if s.values else s.model_copy(update={"values": (i,)}) for i, s in enumerate(space.structures, start=1)]
    return space.model_copy(update={"structures": tuple(filled), "kind": "overlapping"})


@dataclass(frozen=True)
class Job:
    """A case to load and score; holds paths, no arrays.

    Attributes:
        case: Its id.
        group: What is resampled together.
        prediction: Files of masks or values.
        reference: Likewise, where there is no dataset.
        dataset: The reference with its label meaning.
        item: The case in it.
        answers: Predictions in another form than masks.
        labels: The task's structures with the values of the reference's files, where there is no dataset.
        written: The same for files of predictions.
    """

    case: str
    group: str
    prediction: Parts | None
    reference: Parts | None = None
    dataset: Dataset | None = None
    item: Case | None = None
    answers: Answers | None = None
    labels: LabelSpace | None = None
    written: LabelSpace | None = None

    @property
    def predicted(self) -> bool:
        """Whether there is a prediction."""
        return bool(self.prediction) or (self.answers is not None and self.case in self.answers.cases)

    def load(self, space: LabelSpace) -> LabelPair:
        """Both labels on the reference's grid, or the reason why there are none."""
        if not self.predicted:
            return LabelPair(self.case, self.group, error=NOT_PREDICTED)
        try:
            labels, geometry = self._reference(space)
            predicted = self._prediction(space, geometry)
        except SegwrightError as error:
            return LabelPair(self.case, self.group, error=str(error))
        return LabelPair(self.case, self.group, geometry.spacing, labels, predicted)

    def _prediction(self, space: LabelSpace, like: Geometry) -> NDArray[Any]:
        if self.answers is not None:
            return self.answers.read(self.case, space, like)
        return read_labels(self.prediction or {}, self.written or space, like=like)[0]

    def _reference(self, space: LabelSpace) -> tuple[NDArray[Any], Geometry]:
        if self.dataset is not None and self.item is not None:
            like = self._grid(self.dataset, self.item)
            return load_label(self.dataset, self.item, like), like
        return read_labels(self.reference or {}, self.labels or space)

    def _grid(self, dataset: Dataset, item: Case) -> Geometry:
        """The image's grid, or the size that the label states, or else the grid of the prediction."""
        if item.images:
            return (load_image if dataset.channels != ("none",) else _first_image)(dataset, item).geometry
        try:
            return geometry_of(dataset, item)
        except LabelError:
            if self.answers is not None:
                return self.answers.grid(self.case)
            return io.read_label(next(iter((self.prediction or {}).values()))).geometry


def _first_image(dataset: Dataset, item: Case) -> Volume:
    return open_source(dataset, item.images[0])


def score_job(job: Job, judge: Judge) -> list[Score]:
    """Rows of one case."""
    return judge.score(job.load(judge.space))


def score_jobs(
    jobs: Sequence[Job], judge: Judge, processes: int = 1, *, progress: Callable[[int, int], None] | None = None
) -> list[Score]:
    """Rows of all cases in order, several cases at a time.

    Args:
        jobs: Cases.
        judge: Metrics and meaning.
        processes: Cases at the same time (by threads).
        progress: Called as `progress(done, total)` after each case.
    """
    rows: list[Score] = []
    for done, scored in enumerate(_scored(jobs, judge, processes), start=1):
        rows += scored
        if progress is not None:
            progress(done, len(jobs))
    return rows


def _scored(jobs: Sequence[Job], judge: Judge, processes: int) -> Iterator[list[Score]]:
    work = partial(score_job, judge=judge)
    if processes <= 1 or len(jobs) < 2:
        yield from map(work, jobs)
        return
    # threads, because a fresh process would import the caller's script again and cost more than most cases
    with ThreadPoolExecutor(min(processes, len(jobs))) as pool:
        yield from pool.map(work, jobs)


def _refuse_strangers(jobs: Sequence[Job], found: Sequence[str], folder: Path) -> None:
    if not any(job.predicted for job in jobs):
        raise LayoutError(
            "No prediction has the name of a reference case.",
            expected=", ".join(job.case for job in jobs[:3]),
            got=", ".join(found[:3]),
            where=folder,
            hint="Name predictions as their references; the suffix may differ.",
        )
