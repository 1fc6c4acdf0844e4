"""From values of cases to what a reader wants: means with honest intervals, and how many values are missing."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from segwright.core.disk import atomic_path
from segwright.core.document import Part
from segwright.core.errors import UsageError
from segwright.core.report import Aggregate, Report, Score
from segwright.core.words import amount
from segwright.evaluation.interval import Bounds, mean_bounds
from segwright.metrics.pair import NOTES
from segwright.metrics.table import load_metric

MEAN = "mean"


def aggregate(scores: Iterable[Score]) -> tuple[Aggregate, ...]:
    """Summarise every structure and metric over cases.

    The interval is that of the mean for other groups (patients) of the same kind, all cases of a group together and
    within the metric's range, see `evaluation/interval.py`; fewer than two groups have none. Undefined values enter
    nothing and are counted.

    Args:
        scores: Rows of a report.

    Example:
        >>> rows = [Score(case=c, group=c, structure="a", metric="dice", value=v) for c, v in (("x", 0.8), ("y", 0.9))]
        >>> round(aggregate(rows)[0].mean, 3), aggregate(rows)[0].groups
        (0.85, 2)
    """
    rows = list(scores)
    keys = list(dict.fromkeys((row.structure, row.metric) for row in rows))
    groups = {name: i for i, name in enumerate(dict.fromkeys(row.group for row in rows))}
    column = {key: i for i, key in enumerate(keys)}
    sums, counts = np.zeros((2, len(groups), len(keys)))
    values: list[list[float]] = [[] for _ in keys]
    missing = [0] * len(keys)
    for row in rows:
        place = column[row.structure, row.metric]
        if row.value is None:
            missing[place] += 1
            continue
        values[place].append(row.value)
        sums[groups[row.group], place] += row.value
        counts[groups[row.group], place] += 1
    low, high = mean_bounds(sums, counts, [range_of(metric) for _, metric in keys])
    return tuple(
        _summary(key, values[i], (float(low[i]), float(high[i])), int((counts[:, i] > 0).sum()), missing[i])
        for i, key in enumerate(keys)
    )


def range_of(metric: str) -> Bounds:
    """Least and greatest value of a metric."""
    found = load_metric(metric)
    return found.low, found.high


def _summary(
    key: tuple[str, str], values: Sequence[float], interval: tuple[float, float], groups: int, missing: int
) -> Aggregate:
    known = np.array(values, dtype=np.float64)
    enough = groups > 1
    return Aggregate(
        structure=key[0],
        metric=key[1],
        mean=float(known.mean()) if len(known) else None,
        median=float(np.median(known)) if len(known) else None,
        low=interval[0] if enough else None,
        high=interval[1] if enough else None,
        std=float(known.std(ddof=1)) if len(known) > 1 else None,
        cases=len(known),
        groups=groups,
        missing=missing,
    )


def structure_means(scores: Sequence[Score], structures: Sequence[str]) -> list[Score]:
    """For each case and metric the mean over `structures`, as rows of the structure `mean`.

    Structures that are absent from both masks are left out; a value undefined for any other reason is left out as
    well and told in the note. Volumes (mm³) have no mean over structures. Regions do not enter.
    """
    cells: dict[tuple[str, str], list[Score]] = {}
    for row in scores:
        if row.structure in structures and load_metric(row.metric).unit != "mm³":
            cells.setdefault((row.case, row.metric), []).append(row)
    return [_case_mean(rows) for rows in cells.values()]


def _case_mean(rows: Sequence[Score]) -> Score:
    known = [row.value for row in rows if row.value is not None]
    undefined = [row.note for row in rows if row.value is None and row.note != NOTES[0]]
    if not known:
        note = undefined[0] if undefined else "no structure present"
    elif undefined:
        note = f"{len(undefined)} of {amount(len(rows), 'structure')} undefined ({', '.join(sorted(set(undefined)))})"
    else:
        note = ""
    mean = float(np.mean(known)) if known else None
    return rows[0].model_copy(update={"structure": MEAN, "value": mean, "note": note})


def to_csv(table: Report | Sequence[Part], path: str | Path) -> Path:
    """Write rows as CSV (UTF-8, comma, one header line); undefined values are empty cells.

    Args:
        table: A report, of which the scores are written, or rows of one kind: scores, aggregates, differences.
        path: Target; appears only when whole.
    """
    rows = list(table.scores if isinstance(table, Report) else table)
    if not rows:
        raise UsageError("There are no rows to write.", where=path)
    path = Path(path)
    with atomic_path(path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(type(rows[0]).model_fields))
        writer.writeheader()
        writer.writerows(row.model_dump() for row in rows)
    return path
