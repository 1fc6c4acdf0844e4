"""What a prediction that is the same for every scan would score: a model that does no better has learnt nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.labels import LabelSpace
from segwright.core.report import Floor
from segwright.evaluation.interval import mean_interval

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
