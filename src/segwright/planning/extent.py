"""How large scans are once prepared, and how much there is to learn from."""

from __future__ import annotations

import math

from segwright.core.plan import PreparePlan, Triple
from segwright.planning.fingerprint import Fingerprint


def prepared_shape(facts: Fingerprint, prepare: PreparePlan) -> tuple[float, float, float]:
    """Large (95th percentile) shape after preparation."""
    if prepare.fit is not None and None in (prepare.spacing or (None, None))[1:]:
        return 1.0, float(prepare.fit[0]), float(prepare.fit[1])
    z, y, x = (_length(facts, prepare, axis) for axis in range(3))
    return z, y, x


def _length(facts: Fingerprint, prepare: PreparePlan, axis: int) -> float:
    """Voxels along an axis: those of the scans, or their extent in voxels of the planned size."""
    own, voxels = facts.spacing[axis], facts.shape_large[axis]
    edge = prepare.edge(axis, own)
    if own is None or edge is None or edge == own:
        return voxels
    return (facts.extent_large[axis] or voxels * own) / edge


def prepared_steps(facts: Fingerprint, prepare: PreparePlan) -> tuple[float, float, float]:
    """Voxel edges after preparation relative to the finest; 1 where unknown."""
    mm = [prepare.edge(axis, own) or 1.0 for axis, own in enumerate(facts.spacing)]
    return mm[0] / min(mm), mm[1] / min(mm), mm[2] / min(mm)


def patches_held(facts: Fingerprint, prepare: PreparePlan, patch: Triple, folds: int) -> float:
    """Patches that fill the training cases of one of so many folds; of all cases where there are none."""
    cases = facts.cases * (folds - 1) / folds if folds else facts.cases
    return cases * max(1.0, math.prod(prepared_shape(facts, prepare)) / math.prod(patch))
