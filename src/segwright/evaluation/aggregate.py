"""From values of cases to what a reader wants: means with honest intervals, and how many values are missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from segwright.core.report import Aggregate, Score
from segwright.core.seed import derive
from segwright.metrics.edges import NOTES
from segwright.metrics.table import load_metric

RESAMPLES = 2000
MEAN = "mean"


def aggregate(scores: Iterable[Score], *, seed: int = 0, resamples: int = RESAMPLES) -> tuple[Aggregate, ...]:
    """Summarise every structure and metric over cases.

    The interval is the 2.5 to 97.5 % range of the mean when groups (patients) are drawn with replacement, all cases
    of a group together (percentile bootstrap); fewer than two groups have none. Undefined values enter nothing and
    are counted.

    Args:
        scores: Rows of a report.
        seed: Of the resampling; the same rows and seed give the same interval.
        resamples: How often groups are drawn.

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
    low, high = bootstrap_means(sums, counts, seed=seed, resamples=resamples)
    return tuple(
        _summary(key, values[i], (float(low[i]), float(high[i])), int((counts[:, i] > 0).sum()), missing[i])
        for i, key in enumerate(keys)
    )


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


def bootstrap_means(
    sums: NDArray[np.float64], counts: NDArray[np.float64], *, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds of the 95 % bootstrap interval of the mean for many columns at once.

    Args:
        sums: `(groups, columns)`: sum of the values of each group.
        counts: `(groups, columns)`: how many values that is.
        seed: Of the resampling.
        resamples: Number of draws.

    Returns:
        Lower and upper bounds, one a column; NaN for a column without values.
    """
    size, columns = sums.shape
    if not size or not columns:
        return np.full(columns, np.nan), np.full(columns, np.nan)
    draws = derive(seed, "bootstrap").multinomial(size, np.full(size, 1 / size), size=resamples).astype(np.float64)
    number = draws @ counts
    means = np.divide(draws @ sums, number, out=np.full(number.shape, np.nan), where=number > 0)
    bounds = np.full((2, columns), np.nan)
    some = counts.sum(axis=0) > 0
    if some.any():
        bounds[:, some] = np.nanpercentile(means[:, some], [2.5, 97.5], axis=0)
    return bounds[0], bounds[1]


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
        note = f"{len(undefined)} of {len(rows)} structures undefined ({', '.join(sorted(set(undefined)))})"
    else:
        note = ""
    mean = float(np.mean(known)) if known else None
    return rows[0].model_copy(update={"structure": MEAN, "value": mean, "note": note})
