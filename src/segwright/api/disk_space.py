"""Foresees how much disk a fit takes, so that a full one is told before the hours are spent."""

from __future__ import annotations

import math
from pathlib import Path

from segwright.core.case import Split
from segwright.core.geometry import Geometry
from segwright.core.inspection import Inspection
from segwright.core.model import EARLIER
from segwright.core.plan import Plan
from segwright.nets import net_info
from segwright.planning.forecast import SLOTS
from segwright.planning.memory import parameter_count
from segwright.prediction.objects import objects_at_scale
from segwright.prepare.pipeline import target_shape

#: Copies of a network that each of a fold's keeps: itself and its average, to resume from, the weights of its end and
#: of its best, and those in the model folder; in half of the bytes those of earlier, in the fold's and the model's
#: folder; beside them the numbers of its optimiser, as many a weight.
COPIES = 5 + len(EARLIER)
#: Copies of itself and its average in the checkpoint before the last, which goes when its training ends.
BEFORE = 2
#: Bytes of a prepared voxel beside those of its channels: canonical labels.
LABEL_BYTES = 2
#: Bytes a voxel and plane of a judged case's reference and of its labels, which are kept while a fit concludes.
JUDGED_BYTES = 2 * 2


def fit_bytes(plan: Plan, inspection: Inspection, split: Split) -> float:
    """Bytes that prepared cases, checkpoints and out-of-fold scores take."""
    scores = plan.net.out_channels if plan.labels.instances else len(plan.labels.structures)
    total = 0.0
    judged = {case for fold in split.folds for case in fold.validation}
    for fact in inspection.facts:
        geometry = Geometry.from_spacing(fact.shape, fact.spacing)
        prepared = math.prod(target_shape(geometry, plan.prepare))
        total += prepared * (4 * len(plan.channels) + LABEL_BYTES * plan.labels.planes)
        if fact.case in judged:
            total += math.prod(fact.shape) * (scores + JUDGED_BYTES * plan.labels.planes)
            total += prepared * scores * (objects_at_scale(plan) and prepared != math.prod(fact.shape))
    slots = SLOTS.get(plan.train.optimiser.name, 2)
    copies = (COPIES + slots) * plan.train.members * len(split.folds) + BEFORE + slots
    return total + 4.0 * copies * _parameters(plan)


def _parameters(plan: Plan) -> int:
    """Numbers in a network's weights: by formula, or counted on its own graph."""
    if net_info(plan.net.name).made_to_measure:
        return parameter_count(plan.net)
    from segwright.nets.forecast import trace

    return trace(plan.net, plan.sample.patch, 1).parameters


def needed_by(folder: Path) -> float | None:
    """Bytes that the run in a folder takes, once it is planned."""
    try:
        parts = Plan.load(folder / Plan.filename), Inspection.load(folder / Inspection.filename)
        return fit_bytes(*parts, Split.load(folder / Split.filename))
    except Exception:  # not planned yet, or the disk was full just then
        return None
