"""Is a run better than another on the same cases, or than a prediction that is the same for every scan?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from segwright.core.document import Document, Part
from segwright.core.errors import DataError
from segwright.core.labels import LabelSpace
from segwright.core.report import Floor, Report, Score
from segwright.core.words import agree, amount
from segwright.evaluation.aggregate import range_of
from segwright.evaluation.interval import NO_BOUNDS, Bounds, mean_bounds, mean_interval
from segwright.metrics.table import load_metric

Key = tuple[str, str]


class Difference(Part):
    """Second minus first, for one structure and metric, over cases where both are defined.

    Attributes:
        first, second: Means over those cases.
        mean: Mean difference; `low` and `high` its 95 % interval by group, `None` below two groups.
        p: Wilcoxon signed-rank test (two-sided) on mean differences of groups; 1 where nothing differs.
        wins: Cases where the second run is better, as the metric's direction has it; `losses` where it is worse.
        only_first: Cases defined in the first run only, for example because the second missed the structure.
    """

    structure: str
    metric: str
    first: float | None
    second: float | None
    mean: float | None
    low: float | None
    high: float | None
    p: float | None
    cases: int
    groups: int
    wins: int
    losses: int
    ties: int
    only_first: int
    only_second: int


class Comparison(Document):
    """All differences of two reports, with notes."""

    filename: ClassVar[str] = "comparison.json"
    first: str = ""
    second: str = ""
    rows: tuple[Difference, ...]
    notes: tuple[str, ...] = ()

    def row(self, structure: str, metric: str) -> Difference | None:
        """The row of that structure and metric, if any."""
        return next((row for row in self.rows if (row.structure, row.metric) == (structure, metric)), None)


def compare(first: Report, second: Report, *, only_common: bool = False) -> Comparison:
    """Compare two reports case by case.

    Args:
        first: The run to beat.
        second: The run in question.
        only_common: Compare common cases where the reports differ in cases, instead of refusing.

    Raises:
        DataError: The reports have no case in common, other cases (unless `only_common`), or other groups for them.
    """
    cases, notes = _common_cases(first, second, only_common)
    groups = _groups(first, second, cases)
    tables = _table(first, cases), _table(second, cases)
    keys = [key for key in tables[0] if key in tables[1]]
    left = sorted({f"{s} {m}" for s, m in set(tables[0]) ^ set(tables[1])})
    if left:
        notes.append(f"In one report only, not compared: {', '.join(left)}.")
    rows = [_difference(key, tables[0][key], tables[1][key], groups) for key in keys]
    whose = f"{amount(len(cases), 'case')} of {amount(len(set(groups.values())), 'group')}"
    notes.append(f"{whose}; p is not corrected for many comparisons.")
    return Comparison(first=first.title, second=second.title, rows=tuple(rows), notes=tuple(notes))


def _common_cases(first: Report, second: Report, only_common: bool) -> tuple[set[str], list[str]]:
    ours, theirs = ({row.case for row in report.scores} for report in (first, second))
    common = ours & theirs
    if not common:
        raise DataError(
            "The reports have no case in common.",
            expected=f"cases such as {sorted(ours)[:3]}",
            got=f"{sorted(theirs)[:3]}",
            hint="Compare two evaluations of the same reference cases.",
        )
    if ours == theirs:
        return common, []
    text = f"{amount(len(ours - theirs), 'case')} only in the first ({_few(ours - theirs)}), "
    text += f"{len(theirs - ours)} only in the second ({_few(theirs - ours)})"
    if not only_common:
        hint = f"Evaluate both on the same cases, or compare only the {len(common)} common ones with only_common=True."
        raise DataError("The reports are of different cases.", got=text, hint=hint)
    return common, [
        f"Only the {amount(len(common), 'common case')} {agree(len(common), 'is', 'are')} compared: {text}."
    ]


def _few(names: set[str]) -> str:
    return ", ".join([*sorted(names)[:3], *(["..."] if len(names) > 3 else [])]) or "none"


def _groups(first: Report, second: Report, cases: set[str]) -> dict[str, str]:
    ours, theirs = ({row.case: row.group for row in report.scores if row.case in cases} for report in (first, second))
    differing = sorted(case for case in cases if ours[case] != theirs[case])
    if differing:
        case = differing[0]
        raise DataError(
            f"The reports put case {case!r} into different groups.",
            expected=ours[case],
            got=theirs[case],
            hint="Evaluate both with the same dataset.",
        )
    return ours


def _table(report: Report, cases: set[str]) -> dict[Key, dict[str, Score]]:
    table: dict[Key, dict[str, Score]] = {}
    for row in report.scores:
        if row.case in cases:
            table.setdefault((row.structure, row.metric), {})[row.case] = row
    return table


def _difference(key: Key, first: dict[str, Score], second: dict[str, Score], groups: dict[str, str]) -> Difference:
    pairs = [(case, first[case].value, second[case].value) for case in sorted(first) if case in second]
    known = [(case, a, b) for case, a, b in pairs if a is not None and b is not None]
    ours, theirs = (np.array([row[i] for row in known], dtype=np.float64) for i in (1, 2))
    change = theirs - ours
    sums, counts = _by_group([groups[case] for case, *_ in known], change)
    low, high = mean_bounds(sums[:, None], counts[:, None], [difference_range(key[1])])
    better = _improvement(key[1], ours, theirs)
    several = len(sums) > 1
    return Difference(
        structure=key[0],
        metric=key[1],
        first=_mean(ours),
        second=_mean(theirs),
        mean=_mean(change),
        low=float(low[0]) if several else None,
        high=float(high[0]) if several else None,
        p=signed_rank(sums / counts) if several else None,
        cases=len(known),
        groups=len(sums),
        wins=int((better > 0).sum()),
        losses=int((better < 0).sum()),
        ties=int((better == 0).sum()),
        only_first=sum(a is not None and b is None for _, a, b in pairs),
        only_second=sum(a is None and b is not None for _, a, b in pairs),
    )


def difference_range(metric: str) -> Bounds:
    """Least and greatest difference of two values of a metric; none where it has no range."""
    low, high = range_of(metric)
    return NO_BOUNDS if low is None or high is None else (low - high, high - low)


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None


def _by_group(names: Sequence[str], values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and count of the values of each group."""
    place = {name: i for i, name in enumerate(dict.fromkeys(names))}
    sums, counts = np.zeros((2, len(place)))
    for name, value in zip(names, values, strict=True):
        sums[place[name]] += value
        counts[place[name]] += 1
    return sums, counts


def _improvement(metric: str, first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positive where the second is better; rounding noise is a tie."""
    direction = load_metric(metric).direction
    gain = second - first if direction == "higher" else first - second
    if direction == "zero":
        gain = np.abs(first) - np.abs(second)
    return np.where(np.abs(gain) < 1e-12, 0.0, gain)


def signed_rank(differences: NDArray[np.float64]) -> float:
    """Two-sided p of the Wilcoxon signed-rank test, zeros left out; 1 where nothing differs.

    Example:
        >>> signed_rank(np.array([0.1, 0.2, 0.3, 0.4, 0.5]))
        0.0625
    """
    from scipy.stats import wilcoxon  # loads slowly, and only comparisons need it

    changed = differences[np.abs(differences) > 1e-12]
    return float(wilcoxon(changed).pvalue) if len(changed) else 1.0


#: Cells along each axis in which a constant mask is drawn.
CELLS = (8, 24, 24)
#: Least share of a cell, over cases, for it to be in the mask: nothing, the usual place, everything.
CUTS = (1.1, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0)
#: Below so many groups an interval cannot but be wide: there a run also passes that gains in each of them, and so much.
FEW, LEAST_GAIN = 6, 0.05

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Filled:
    """How a reference fills the cells.

    Attributes:
        case, group, fold: Of whom.
        counts: `(K, cells)` voxels of each structure.
        sizes: `(cells,)` voxels that count.
    """

    case: str
    group: str
    fold: int | None
    counts: Floats
    sizes: Floats


def filled(case: str, group: str, fold: int | None, reference: NDArray[Any], space: LabelSpace) -> Filled:
    """Counts of a reference `(P, z, y, x)`; one pass over its voxels."""
    cells = np.zeros(reference.shape[1:], np.int64)
    for axis, (wide, count) in enumerate(zip(reference.shape[1:], CELLS, strict=True)):
        place = np.arange(wide) * count // wide
        cells = cells * count + place.reshape([-1 if a == axis else 1 for a in range(3)])
    number = int(np.prod(CELLS))
    known = (reference >= 0).all(axis=0)
    counts = [
        np.bincount(cells[space.mask(reference, index) & known], minlength=number) for index in range(len(space.names))
    ]
    return Filled(
        case, group, fold, np.array(counts, np.float64), np.bincount(cells[known], minlength=number).astype(np.float64)
    )


def constant_scores(cases: Sequence[Filled]) -> dict[str, float]:
    """Dice of each case by the best constant mask, mean over structures that are there.

    For each structure it is the best of nothing, everything and the cells that most often hold it, chosen on the cases
    of other folds; of a single fold on the other half of its groups, and of a single group it is everything.

    Example:
        >>> space = LabelSpace(structures=[{"name": "a"}])
        >>> half = np.zeros((1, 8, 24, 24), np.int16)
        >>> half[:, :4] = 1
        >>> constant_scores([filled(str(i), str(i), i, half, space) for i in range(2)])
        {'0': 1.0, '1': 1.0}
    """
    groups = {name: index for index, name in enumerate(dict.fromkeys(case.group for case in cases))}
    folds = [case.fold for case in cases]
    parts = folds if len(set(folds)) > 1 else [groups[case.group] % 2 for case in cases]
    scores: dict[str, float] = {}
    for part in set(parts):
        masks = _best_masks([case for case, other in zip(cases, parts, strict=True) if other != part])
        for case in [case for case, own in zip(cases, parts, strict=True) if own == part]:
            masks = masks or [np.ones(case.sizes.shape, bool)] * len(case.counts)
            found = [value for k, mask in enumerate(masks) if (value := _dice(mask, case, k)) is not None]
            if found:
                scores[case.case] = float(np.mean(found))
    return scores


def _best_masks(cases: Sequence[Filled]) -> list[NDArray[np.bool_]]:
    """For each structure the cells that score best on some cases."""
    masks = []
    for k in range(len(cases[0].counts) if cases else 0):
        shares = np.mean([case.counts[k] / np.maximum(case.sizes, 1) for case in cases], axis=0)
        options = [shares >= cut for cut in CUTS]
        values = [
            np.mean([v for case in cases if (v := _dice(mask, case, k)) is not None] or [0.0]) for mask in options
        ]
        masks.append(options[int(np.argmax(values))])
    return masks


def _dice(mask: NDArray[np.bool_], case: Filled, k: int) -> float | None:
    """Dice of a mask of cells with structure `k` of a case; `None` where both are empty."""
    total = case.sizes[mask].sum() + case.counts[k].sum()
    return float(2 * case.counts[k][mask].sum() / total) if total else None


def floor_of(cases: Sequence[Filled], reached: Mapping[str, float]) -> Floor | None:
    """How far scores of a model lie above those of a constant prediction; `None` without a case that both are known of.

    Args:
        cases: References.
        reached: Mean Dice of each case by the model.
    """
    constant = constant_scores(cases) if cases else {}
    known = [case for case in cases if case.case in constant and case.case in reached]
    if not known:
        return None
    gains = np.array([reached[case.case] - constant[case.case] for case in known])
    groups = [case.group for case in known]
    low, high = mean_interval(gains, groups, bounds=(-1, 1))
    by_group = [gains[[g == name for g in groups]].mean() for name in dict.fromkeys(groups)]
    few = len(by_group) < FEW and min(by_group) > 0 and gains.mean() >= LEAST_GAIN
    return Floor(
        score=float(np.mean([constant[case.case] for case in known])),
        gain=float(gains.mean()),
        low=None if np.isnan(low) else low,
        high=None if np.isnan(high) else high,
        passed=bool(low > 0 or few),
    )


def told(floor: Floor) -> str:
    """The floor in a sentence."""
    bounds = "" if floor.low is None or floor.high is None else f" ({floor.low:+.3f} to {floor.high:+.3f})"
    what = (
        "One mask for every scan (for each structure the best of nothing, everything and its usual place) has a mean "
    )
    what += f"Dice of {floor.score:.3f}; this model has {floor.gain:+.3f}{bounds} beside it"
    return f"{what}." if floor.passed else f"{what}: it is not shown to have learnt anything from the scans."
