"""Pseudo-AP: how well objects come apart on a few fixed patches, by the target's usual decoder; never a result."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from segwright.core.plan import Plan
from segwright.metrics.contingency import Contingency
from segwright.metrics.objects import mean_average_precision
from segwright.postprocess.instances import build_decoder
from segwright.targets import target_info


class PseudoObjects:
    """Collects objects of patches and scores all of them together.

    Objects are cut by the patch's faces, in the reference and in the prediction alike, and their connected parts
    count: the value steers a choice between weights of one fold, and compares with nothing else.

    Args:
        plan: Of instances; its target names the decoders.
    """

    def __init__(self, plan: Plan) -> None:
        self.decoder = build_decoder(target_info(plan.target).decoders[0])
        self.table = Contingency.empty()
        self.first = 0

    def add(self, scores: Tensor, ids: Tensor) -> None:
        """Decode patches and count what meets what.

        Args:
            scores: Activated channels `(B, C, z, y, x)`, 0 to 1.
            ids: Reference objects `(B, 1, z, y, x)`; -1 is ignored.
        """
        for one, reference in zip(scores.float().cpu().numpy(), ids.cpu().numpy().astype(np.int64), strict=True):
            found = self.decoder.decode(one).astype(np.int64)[None]
            shift = self.first  # the same number in another patch is another object
            self.table += Contingency.from_arrays(
                np.where(reference > 0, reference + shift, reference), np.where(found > 0, found + shift, 0)
            )
            self.first += int(max(reference.max(), found.max(), 0))

    def score(self) -> float | None:
        """Average precision of the objects added, mean over IoU 0.50 to 0.95; `None` without any reference object."""
        return mean_average_precision(self.table)
