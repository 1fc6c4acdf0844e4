"""Scores folders of predictions, and compares two sets of scores case by case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segwright.core.case import Dataset
from segwright.core.errors import LabelError, LayoutError, UsageError
from segwright.core.labels import LabelSpace
from segwright.core.plan import Plan
from segwright.core.report import Report, Score
from segwright.evaluation.folders import evaluate_folders
from segwright.evaluation.score import ERROR
from segwright.io.layouts.scan import files
from segwright.planning.machine import usable_cores

if TYPE_CHECKING:
    from segwright.evaluation.compare import Comparison


#: Suffixes a report can be written with.
_FORMATS = (".json", ".csv", ".html")


def evaluate(
    reference: Dataset | str | Path,
    prediction: str | Path,
    *,
    space: LabelSpace | None = None,
    tolerance: float = 1.0,
    out: str | Path | None = None,
) -> Report:
    """Score predictions case by case.

    Args:
        reference: A dataset or its folder (its groups make the intervals honest), or a folder of labels.
        prediction: Folder of labels with the same names, in any format.
        space: Meaning of label values; from the dataset, or from the values present in the references, if not given.
        tolerance: Of surface Dice, in mm.
        out: Also write the report as `.json`, `.csv` or `.html`.

    Returns:
        Scores, aggregates with bootstrap intervals, and notes on missing values.
    """
    if out is not None and Path(out).suffix not in _FORMATS:
        raise UsageError(
            "Unknown report format.", expected=", ".join(_FORMATS), came=Path(out).suffix or "no suffix", where=out
        )
    if not isinstance(reference, Dataset):
        reference = _as_dataset(Path(reference)) or reference
    report = evaluate_folders(reference, prediction, space=space, tolerance=tolerance, processes=usable_cores())
    _refuse_nothing(report.scores)
    if out is not None:
        _save(report, Path(out))
    return report


def _save(report: Report, path: Path) -> None:
    if path.suffix == ".json":
        report.save(path)
    elif path.suffix == ".csv":
        from segwright.evaluation.csv import to_csv

        to_csv(report, path)
    else:
        from segwright.report.evaluation import write_evaluation

        write_evaluation(report, path)


def _refuse_nothing(rows: Sequence[Score]) -> None:
    """A report in which no case could be scored would look like an answer."""
    if rows and all(row.note.startswith(ERROR) for row in rows):
        raise LabelError(
            "No case could be scored.",
            came=f"{rows[0].case}: {rows[0].note.removeprefix(ERROR)}",
            cure="Mend the files named, and check that both folders hold labels on the same grids.",
        )


def _as_dataset(path: Path) -> Dataset | None:
    """A folder of images and labels, a table or a `dataset.yaml` as a dataset; `None` for a folder of labels alone."""
    from segwright.io.dataset import open_dataset

    if path.is_dir() and files(path):
        return None
    try:
        dataset = open_dataset(path)
    except LayoutError:
        if path.is_dir():
            return None
        raise
    return dataset if any(case.images for case in dataset.labelled) else None


def compare(first: Report | str | Path, second: Report | str | Path) -> Comparison:
    """Paired differences of two sets of scores on the same cases, second minus first.

    Args:
        first: A report, its JSON file, or the folder of a run.
        second: Likewise.
    """
    from segwright.evaluation.compare import compare as compare_reports

    return compare_reports(_load(first), _load(second))


def _load(source: Report | str | Path) -> Report:
    if isinstance(source, Report):
        return source
    path = Path(source)
    if (path / Plan.filename).exists():
        path = path / "report" / Report.filename
    return Report.load(path)
