"""Evaluates a folder of predictions against a folder of references (or a dataset), in any format that can be read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.core.case import Case, Dataset
from segwright.core.errors import LabelError, LayoutError, SegwrightError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace, Structure
from segwright.core.report import Report, Score
from segwright.evaluation.score import Judge, LabelPair
from segwright.io.grids import onto_grid
from segwright.io.instances import object_space, predicted
from segwright.io.layouts.content import looks_like_label
from segwright.io.layouts.scan import files, stem_of, subfolders
from segwright.io.layouts.two import drawn_files
from segwright.io.load import load_image, load_label
from segwright.io.masks import binary, one_plane, settle, value_counts
from segwright.metrics import DEFAULT_METRICS

#: Files of a case by structure; a single file of values has the key "".
Parts = Mapping[str, Path]

#: References read to learn whether their values number objects.
_LOOKED_AT = 8

#: More values than this in references are no labels.
_MOST_VALUES = 1000


def evaluate_folders(
    reference: str | Path | Dataset,
    prediction: str | Path,
    *,
    space: LabelSpace | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    tolerance: float = 1.0,
    processes: int = 1,
) -> Report:
    """Score every reference case against the prediction of the same name.

    A folder holds one file of label values a case, or one subfolder a structure with one mask a case. Names are
    compared without suffix, so formats may differ. A case without prediction, or with one that cannot be read or
    lies on another grid, becomes rows of missing values that are counted and told.

    Args:
        reference: Folder of labels, or a dataset (whose groups and label meaning are used).
        prediction: Folder of labels; values mean the same as in the reference.
        space: Meaning of the values; taken from the dataset, or from the values present in the references.
        metrics: Rows of the metrics table.
        tolerance: Of surface Dice, in mm (voxels where spacing is unknown).
        processes: Cases scored at the same time (by threads).

    Raises:
        LayoutError: A folder holds no labels, or not one name agrees.
        LabelError: References hold values unlike labels.
    """
    task = match_folders(reference, prediction, space=space)
    judge = Judge(task.space, tuple(metrics), tolerance)
    return judge.report(score_jobs(task.jobs, judge, processes), title=task.title, notes=task.notes)


@dataclass(frozen=True)
class Matched:
    """References and predictions that belong together: what to score, what labels mean, and what was assumed."""

    jobs: Sequence[Job]
    space: LabelSpace
    title: str
    notes: Sequence[str]


def match_folders(
    reference: str | Path | Dataset, prediction: str | Path, *, space: LabelSpace | None = None
) -> Matched:
    """Pair every reference case with the prediction of the same name; see `evaluate_folders`."""
    notes: list[str] = []
    if isinstance(reference, Dataset):
        found = find_labels(Path(prediction), [case.id for case in reference.labelled])
        space = space or reference.labels
        jobs = [Job(c.id, c.group, found.get(c.id), dataset=reference, item=c) for c in reference.labelled]
    else:
        wanted = find_labels(Path(reference))
        found = find_labels(Path(prediction))
        space = space or infer_space(wanted, found, notes)
        jobs = [Job(case, case, found.get(case), reference=parts) for case, parts in wanted.items()]
        notes.append("Groups are unknown: each case counts as a patient of its own.")
    _refuse_strangers(jobs, found, Path(prediction))
    extra = sorted(set(found) - {job.case for job in jobs})
    if extra:
        notes.append(f"{len(extra)} predictions have no reference and were left out: {', '.join(extra[:5])}.")
    return Matched(jobs, space, Path(prediction).name, notes)


@dataclass(frozen=True)
class Job:
    """A case to load and score; holds paths, no arrays."""

    case: str
    group: str
    prediction: Parts | None
    reference: Parts | None = None
    dataset: Dataset | None = None
    item: Case | None = None

    def load(self, space: LabelSpace) -> LabelPair:
        """Both labels on the reference's grid, or the reason why there are none."""
        if not self.prediction:
            return LabelPair(self.case, self.group, error="no prediction of this name")
        try:
            labels, geometry = self._reference(space)
            predicted, _ = read_labels(self.prediction, space, like=geometry)
        except SegwrightError as error:
            return LabelPair(self.case, self.group, error=str(error))
        return LabelPair(self.case, self.group, geometry.spacing, labels, predicted)

    def _reference(self, space: LabelSpace) -> tuple[NDArray[Any], Geometry]:
        if self.dataset is not None and self.item is not None:
            like = load_image(self.dataset, self.item).geometry
            return load_label(self.dataset, self.item, like), like
        return read_labels(self.reference or {}, space)


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


def _refuse_drawn(place: Path) -> None:
    """Say what to do with polygons and run-length tables."""
    drawn = drawn_files(place) if place.exists() else []
    if drawn:
        raise LayoutError(
            "Polygons and run-length tables are scored after they were turned into masks.",
            came=drawn[0].name,
            where=place,
            cure=f"segwright convert {place} --images IMAGES -o masks/ --to structures, then give masks/.",
        )


def find_labels(folder: Path, cases: Collection[str] = ()) -> dict[str, Parts]:
    """Case names to label files of a folder: files in it, or else files in its subfolders, one a structure.

    A subfolder named as one of `cases` is the label of that case: a stack of sections or a DICOM series.

    Raises:
        LayoutError: No file in it can be read, or two differ in suffix only.
    """
    if not folder.is_dir():
        _refuse_drawn(folder)
        raise LayoutError("There is no such folder.", where=folder, cure="Check the path.")
    direct = files(folder)
    if direct:
        _refuse_twins(direct, folder)
        return {stem_of(path): {"": path} for path in direct}
    named = {part.name: {"": part} for part in subfolders(folder) if part.name in cases}
    if named:
        return dict(named)
    found: dict[str, dict[str, Path]] = {}
    for part in subfolders(folder):
        inside = files(part)
        _refuse_twins(inside, part)
        for path in inside:
            found.setdefault(stem_of(path), {})[part.name] = path
    if not found:
        _refuse_drawn(folder)
        raise LayoutError(
            "The folder holds no label files.",
            expected="one file a case, or one subfolder a structure with one file a case",
            where=folder,
            cure="Give the folder that holds the labels themselves.",
        )
    return dict(sorted(found.items()))


def _refuse_twins(paths: Sequence[Path], folder: Path) -> None:
    names = [stem_of(path) for path in paths]
    twins = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twins:
        raise LayoutError(
            f"Two files are named {twins[0]!r} but for their suffix.", where=folder, cure="Remove one of them."
        )


def _refuse_strangers(jobs: Sequence[Job], found: Mapping[str, Parts], folder: Path) -> None:
    if not any(job.prediction for job in jobs):
        raise LayoutError(
            "No prediction has the name of a reference case.",
            expected=", ".join(job.case for job in jobs[:3]),
            came=", ".join(list(found)[:3]),
            where=folder,
            cure="Name predictions as their references; the suffix may differ.",
        )


def read_labels(parts: Parts, space: LabelSpace, *, like: Geometry | None = None) -> tuple[NDArray[Any], Geometry]:
    """Canonical labels `(P, z, y, x)` from the files of a case, turned onto the grid `like` if it is given.

    Raises:
        ReadError, LabelError, GeometryError: A file cannot be read, means nothing, or does not fit the grid.
    """
    masks: dict[str, NDArray[Any]] = {}
    grid = like
    for structure, path in parts.items():
        volume = io.read(path)
        raw = one_plane(volume.array(), where=str(path))
        grid = grid or volume.geometry
        masks[structure] = onto_grid(raw, volume.geometry, grid, where=str(path))
    if grid is None:
        raise LabelError("The case has no label files.", cure="Add them.")
    if "" in masks:
        where = str(parts[""])
        raw = settle(masks[""], space, where=where)
        return (predicted(raw, space, where=where) if space.instances else space.from_values(raw, where=where)), grid
    strangers = sorted(set(masks) - set(space.names))
    if strangers:
        raise LabelError(
            f"Folder {strangers[0]!r} is no structure.", expected=", ".join(space.names), came=", ".join(strangers)
        )
    empty = np.zeros(grid.shape, dtype=bool)
    return space.from_masks([binary(masks[name]) if name in masks else empty for name in space.names]), grid


def infer_space(wanted: Mapping[str, Parts], found: Mapping[str, Parts], notes: list[str]) -> LabelSpace:
    """A label space out of folder names, or out of the values in the references; what was assumed goes to `notes`.

    Raises:
        LabelError: Far too many values to be labels, or none but background.
    """
    names = sorted({name for parts in wanted.values() for name in parts if name})
    if names:
        notes.append(f"Structures are the subfolders of the reference: {', '.join(names)}.")
        return LabelSpace(structures=tuple(Structure(name=name) for name in names), kind="overlapping")
    some = list(_readable(wanted, _LOOKED_AT))
    objects = (
        object_space([value_counts(raw) for raw in some]) if all(looks_like_label(a[None]) for a in some) else None
    )
    if objects is not None:
        notes.append("Values of the references number objects, so objects are scored and not values.")
        return objects
    values = _values(wanted)
    if len(values) <= 1:
        values |= _values({case: parts for case, parts in found.items() if case in wanted}, stop=2)
    if not values:
        notes.append("Neither references nor predictions hold a structure.")
        return LabelSpace(structures=(Structure(name="foreground", values=(1,)),))
    if len(values) <= 2 and values & {1, 255} == values:
        notes.append(f"Masks of one structure; the values {sorted(values)} mean the same.")
        return LabelSpace(structures=(Structure(name="foreground", values=tuple(sorted(values))),))
    if not values or len(values) > _MOST_VALUES:
        raise LabelError(
            "The reference does not look like labels.",
            expected=f"1 to {_MOST_VALUES} values beside 0",
            came=f"{len(values)} values",
            cure="Give the folder of labels, or say what the values mean with a dataset.yaml.",
        )
    notes.append(f"Structures are the values found in the reference: {', '.join(map(str, sorted(values)))}.")
    return LabelSpace(structures=tuple(Structure(name=str(v), values=(v,)) for v in sorted(values)))


def _values(cases: Mapping[str, Parts], *, stop: int = _MOST_VALUES) -> set[int]:
    """Non-zero values in files that can be read; those that cannot become errors of their case later."""
    values: set[int] = set()
    for raw in _readable(cases):
        values.update(int(value) for value in np.unique(raw) if value)
        if len(values) > stop:
            break
    return values


def _readable(cases: Mapping[str, Parts], most: int | None = None) -> Iterator[NDArray[Any]]:
    """Values `(z, y, x)` of the files of all cases, or of some, that can be read."""
    for parts in list(cases.values())[:most]:
        for path in parts.values():
            try:
                yield one_plane(io.read(path).array(), where=str(path))
            except SegwrightError:
                continue
