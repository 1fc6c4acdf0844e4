"""Scores one volume of objects against another, read box by box, so that neither has to fit in memory."""

from __future__ import annotations

import math
from pathlib import Path

from segwright import io
from segwright.core.errors import UsageError
from segwright.core.events import Listen, Progress, Stage
from segwright.core.report import Report
from segwright.evaluation.aggregate import to_csv
from segwright.evaluation.volumes import evaluate_volumes
from segwright.io import form_of
from segwright.io.layouts.scan import is_single

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
