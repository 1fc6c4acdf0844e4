"""Scores folders of predictions, and compares two sets of scores case by case."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

import segwright
from segwright import io
from segwright.core.case import Dataset
from segwright.core.errors import LabelError, LayoutError, UsageError
from segwright.core.events import Listen, Progress, Stage, counted, silent, tracked
from segwright.core.labels import LabelSpace, Structure
from segwright.core.plan import Plan
from segwright.core.report import Report, Score
from segwright.evaluation.aggregate import MEAN, to_csv
from segwright.evaluation.folders import NOT_PREDICTED, Job, Matched, match_folders, score_jobs
from segwright.evaluation.score import ERROR, Judge, LabelPair
from segwright.evaluation.volumes import evaluate_volumes
from segwright.io import form_of
from segwright.io.instances import as_instances
from segwright.io.layouts.scan import files, is_single
from segwright.io.load import load_image
from segwright.planning.machine import usable_cores
from segwright.report.content import WorstCase

if TYPE_CHECKING:
    from segwright.evaluation.compare import Comparison


#: Suffixes a report can be written with.
_FORMATS = (".json", ".csv", ".html")
#: Worst cases drawn on a page.
DRAWN = 12


def evaluate(  # noqa: PLR0913  # the flags of a command
    reference: Dataset | str | Path,
    prediction: str | Path,
    *,
    space: LabelSpace | Literal["instances"] | None = None,
    metrics: Sequence[str] = (),
    tolerance: float | None = None,
    out: str | Path | None = None,
    listen: Listen = silent,
) -> Report:
    """Score predictions case by case; of two single volumes, score the objects they number.

    Args:
        reference: A dataset or its folder (its groups make the intervals honest), labels alone in any form (masks,
            polygons, a run-length table), or one volume.
        prediction: Labels of the same cases in any form, found by the names of cases or images; or one volume of ids.
        space: Meaning of label values; from the dataset, or from the values present in the references, if not given;
            `"instances"` if they number objects, which is found out by itself where they can mean nothing else.
        metrics: Rows of the metrics tables; the usual ones, and those of other packages, if none is given.
        tolerance: Of surface Dice, in mm; 1, or two pixels where these are below 0.05 mm, if not given.
        out: Also write the report as `.json`, `.csv` or `.html`.
        listen: Progress events.

    Returns:
        Scores, aggregates with intervals, and notes on missing values.
    """
    if out is not None and Path(out).suffix not in _FORMATS:
        raise UsageError(
            "Unknown report format.", expected=", ".join(_FORMATS), got=Path(out).suffix or "no suffix", where=out
        )
    volumes = are_volumes(reference, prediction)
    if volumes and ((space is None and not metrics) or not fit_in_memory(Path(str(reference)))):
        if metrics:
            hint = "Leave the metrics out: those of objects are counted block by block."
            raise UsageError(
                "Metrics cannot be chosen of a volume that does not fit in memory.", where=str(reference), hint=hint
            )
        return score_volumes(Path(str(reference)), Path(prediction), out=out, listen=listen)
    if not volumes and not isinstance(reference, Dataset):
        reference = _as_dataset(Path(reference)) or reference
    if space == "instances" and isinstance(reference, Dataset):
        reference, space = as_instances(reference, True), None
    elif space == "instances":
        space = LabelSpace(structures=(Structure(name="object"),), kind="instances")
    task = match_folders(reference, prediction, space=space)
    listen(Stage("evaluate", cases=len(task.jobs)))
    judge = Judge(task.space, tuple(metrics), tolerance)
    rows = score_jobs(task.jobs, judge, usable_cores(), progress=counted(listen, "evaluate"))
    report = judge.report(rows, title=task.title, notes=task.told())
    _refuse_nothing(report.scores)
    if out is not None:
        _save(report, task, Path(out), listen)
    return report


def _save(report: Report, task: Matched, path: Path, listen: Listen) -> None:
    if path.suffix == ".json":
        report.save(path)
    elif path.suffix == ".csv":
        from segwright.evaluation.aggregate import to_csv

        to_csv(report, path)
    else:
        from segwright.api.report_context import typed_command
        from segwright.report.html import write_evaluation

        listen(Stage("report"))
        worst = _worst(report, task, listen)
        receipt = {"command": typed_command(), "segwright": segwright.__version__}
        write_evaluation(report, path, labels=task.space, worst=worst, receipt=receipt)


def _worst(report: Report, task: Matched, listen: Listen) -> Iterator[WorstCase]:
    """The cases with the lowest mean Dice, one in memory at a time; on black where there is no image."""
    means = {row.case: row.value for row in report.scores if row.structure == MEAN and row.metric == "dice"}
    scores: dict[str, dict[str, float | None]] = {}
    for row in report.scores:
        if row.metric == "dice":
            scores.setdefault(row.case, {})[row.structure] = row.value
    scored = [job for job in task.jobs if means.get(job.case) is not None]
    for job in tracked(sorted(scored, key=lambda job: means[job.case] or 0.0)[:DRAWN], listen, "report"):
        pair = job.load(task.space)
        if pair.reference is not None and pair.prediction is not None:
            yield _drawn(job, pair, scores[job.case])


def _drawn(job: Job, pair: LabelPair, scores: dict[str, float | None]) -> WorstCase:
    assert pair.reference is not None and pair.prediction is not None
    image, orientation = np.zeros(pair.reference.shape[1:], np.uint8), ""
    if job.dataset is not None and job.item is not None and job.item.images and job.dataset.layout != "labels":
        volume = load_image(job.dataset, job.item)
        image, orientation = volume.array()[0], volume.geometry.orientation if all(volume.geometry.known) else ""
    return WorstCase(
        case=job.case,
        group=job.group,
        fold=None,
        scores=scores,
        image=image,
        reference=pair.reference,
        prediction=pair.prediction,
        spacing=pair.spacing,
        orientation=orientation,
    )


def _refuse_nothing(rows: Sequence[Score]) -> None:
    """A report in which none, or only the lesser part, of the predictions could be scored would look like an answer."""
    failed = {row.case: row.note for row in rows if row.note.startswith(ERROR)}
    found = {row.case for row in rows if row.note != ERROR + NOT_PREDICTED}
    broken = {case: note for case, note in failed.items() if case in found}
    if rows and 2 * len(broken) > len(found):
        case, note = next(iter(broken.items()))
        raise LabelError(
            "No case could be scored."
            if broken.keys() == found
            else f"{len(broken)} of {len(found)} predictions could not be scored.",
            got=f"{case}: {note.removeprefix(ERROR)}",
            hint="Mend the files named, and check that both folders hold labels on the same grids.",
        )


def _as_dataset(path: Path) -> Dataset | None:
    """A folder of images and labels, a table or a `dataset.yaml` as a dataset; `None` for a folder of labels alone.

    Files side by side are labels alone unless some are the images of others.
    """
    from segwright.io.dataset import open_dataset

    try:
        dataset = open_dataset(path)
    except LayoutError:
        if path.is_dir():
            return None
        raise
    images = {dataset.path(source) for case in dataset.labelled for source in case.images}
    beside = set(files(path)) if path.is_dir() else set()
    return dataset if images & beside or (images and not beside) else None


def compare(first: Report | str | Path, second: Report | str | Path, *, only_common: bool = False) -> Comparison:
    """Paired differences of two sets of scores on the same cases, second minus first.

    Args:
        first: A report, its JSON file, or the folder of a run.
        second: Likewise.
        only_common: Compare the cases that both hold, instead of refusing reports of different cases.
    """
    from segwright.evaluation.compare import compare as compare_reports

    return compare_reports(_load(first), _load(second), only_common=only_common)


def _load(source: Report | str | Path) -> Report:
    if isinstance(source, Report):
        return source
    path = Path(source)
    if (path / Plan.filename).exists():
        path = path / "report" / Report.filename
    return Report.load(path)


#: Voxels of a label that is held whole.
HELD = 1 << 28


def are_volumes(reference: object, prediction: str | Path) -> bool:
    """Whether both are single label volumes rather than folders of cases."""
    if not isinstance(reference, str | Path):
        return False
    paths = [Path(reference), Path(prediction)]
    return all(path.exists() and is_single(path) and not _of_cases(path) for path in paths)


def _of_cases(path: Path) -> bool:
    """Whether a file speaks of cases: a table, a dataset, or labels that name their structures."""
    return path.suffix.lower() in {".csv", ".tsv", ".yaml", ".yml"} or form_of(path) is not None


def fit_in_memory(reference: Path) -> bool:
    """Whether a label file is small enough to be held whole, with the pieces of its mask."""
    return reference.is_file() and math.prod(io.read(reference).geometry.shape) <= HELD


def score_volumes(reference: Path, prediction: Path, *, out: str | Path | None, listen: Listen) -> Report:
    """Object scores of two volumes; written as `.json` or `.csv` where asked.

    Raises:
        UsageError: A page was asked for.
    """
    if out is not None and Path(out).suffix not in {".json", ".csv"}:
        raise UsageError("Scores of objects are written as numbers.", expected=".json or .csv", got=Path(out).suffix)
    listen(Stage("Counting overlaps"))

    def told(done: int, total: int) -> None:
        listen(Progress("overlaps", done, total))

    report = evaluate_volumes(reference, prediction, told=told)
    if out is not None:
        report.save(out) if Path(out).suffix == ".json" else to_csv(report, Path(out))
    return report
