"""Objects of a scan: decoded on the grid that their scores lie on, then brought onto the scan's own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.geometry import Geometry
from segwright.core.plan import Plan
from segwright.core.trail import Trail
from segwright.ops.instances import in_order
from segwright.postprocess.chain import Chain, ChainStep, apply_to_scores
from segwright.prepare.restore import restore_labels
from segwright.targets import target_info


def usual_chain(target: str) -> Chain:
    """Post-processing that only turns a target's scores into objects, by its usual decoder; none for structures.

    Example:
        >>> print(usual_chain("flow"))
        follow_flow()
    """
    rows = target_info(target).decoders
    return Chain(decoder=ChainStep(name=rows[0])) if rows else Chain()


def objects_at_scale(plan: Plan) -> bool:
    """Whether objects are decoded before the way back: decoders count voxels, as they were in training.

    Plans of earlier versions chose their decoder's numbers on the scans' own grids.
    """
    return plan.labels.instances and plan.prepare.kept is not None


def find_objects(chain: Chain, scores: NDArray[np.uint8], plan: Plan, place: Geometry | Trail) -> NDArray[Any]:
    """Canonical instance labels `(1, z, y, x)` on a scan's own grid.

    Args:
        chain: Its decoder makes objects of the scores.
        scores: All channels of the target `(C, z, y, x)`, 255 is 1.
        plan: Of the model.
        place: Grid of the scan where the scores lie on that, or the way from it to the grid they lie on.
    """
    grid = place.target if isinstance(place, Trail) else place
    ids = apply_to_scores(chain, scores, plan.labels, geometry=grid, orientation=plan.prepare.orientation)
    return restore_labels(in_order(ids), place, plan.labels) if isinstance(place, Trail) else ids
