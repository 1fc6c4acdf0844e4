"""Foresees how much disk a fit takes, so that a full one is told before the hours are spent."""

from __future__ import annotations

import math
from pathlib import Path

from segwright.core.case import Split
from segwright.core.finding import Inspection
from segwright.core.geometry import Geometry
from segwright.core.plan import Plan
from segwright.planning.memory import parameter_count
from segwright.prepare.pipeline import target_shape

#: Copies of a network that a fold keeps: net, average and two moments to resume from, the weights of its end and of
#: its best, and those in the model folder.
COPIES = 7
#: Bytes of a prepared voxel beside those of its channels: canonical labels.
LABEL_BYTES = 2
#: Networks whose parameters follow from a formula.
COUNTED = ("unet", "resenc")


def fit_bytes(plan: Plan, inspection: Inspection, split: Split) -> float:
    """Bytes that prepared cases, checkpoints and out-of-fold scores take."""
    structures = len(plan.labels.structures)
    total = 0.0
    judged = {case for fold in split.folds for case in fold.validation}
    for fact in inspection.facts:
        geometry = Geometry.from_spacing(fact.shape, fact.spacing)
        prepared = math.prod(target_shape(geometry, plan.prepare))
        total += prepared * (4 * len(plan.channels) + LABEL_BYTES * plan.labels.planes)
        total += math.prod(fact.shape) * structures * (fact.case in judged)
    parameters = parameter_count(plan.net) if plan.net.name in COUNTED else 0
    return total + 4.0 * COPIES * parameters * len(split.folds)


def needed_by(folder: Path) -> float | None:
    """Bytes that the run in a folder takes, once it is planned."""
    try:
        parts = Plan.load(folder / Plan.filename), Inspection.load(folder / Inspection.filename)
        return fit_bytes(*parts, Split.load(folder / Split.filename))
    except Exception:  # not planned yet, or the disk was full just then
        return None
