"""How large scans are once prepared, and how much there is to learn from."""

from __future__ import annotations

import math

from segwright.core.plan import PreparePlan, Triple
from segwright.planning.fingerprint import Fingerprint


def prepared_shape(facts: Fingerprint, prepare: PreparePlan) -> tuple[float, float, float]:
    """Large (95th percentile) shape after preparation."""
    z, y, x = facts.shape_large
    if prepare.fit is not None:
        return 1.0, float(prepare.fit[0]), float(prepare.fit[1])
    if prepare.spacing is None:
        return z, y, x
    pairs = zip((z, y, x), facts.spacing, prepare.spacing, strict=True)
    a, b, c = (n * old / new if old and new else n for n, old, new in pairs)
    return a, b, c


def prepared_steps(facts: Fingerprint, prepare: PreparePlan) -> tuple[float, float, float]:
    """Voxel edges after preparation relative to the finest; 1 where unknown."""
    chosen = prepare.spacing or (None, None, None)
    mm = [new or old or 1.0 for new, old in zip(chosen, facts.spacing, strict=True)]
    return mm[0] / min(mm), mm[1] / min(mm), mm[2] / min(mm)


def patches_held(facts: Fingerprint, prepare: PreparePlan, patch: Triple, folds: int) -> float:
    """Patches that fill the training cases of one of so many folds; of all cases where there are none."""
    cases = facts.cases * (folds - 1) / folds if folds else facts.cases
    return cases * max(1.0, math.prod(prepared_shape(facts, prepare)) / math.prod(patch))
