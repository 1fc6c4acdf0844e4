"""The whole spatial path of one scan: prepare, windows, restore, decode, without scores at full size."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segwright.core.plan import Plan, RowPlan
from segwright.ops.distance import step_lengths
from segwright.prediction.tta import Forward
from segwright.prediction.window import Slab, predict_slabs
from segwright.prepare.pipeline import Prepared
from segwright.prepare.restore import Decode, Keep, ScoreRestorer

#: Scores `(C, z, y, x)` of a whole scan and the lengths of its voxels, to scores and what was decided on the way.
Lengths = tuple[float, float, float]
Settle = Callable[[NDArray[np.float32], Lengths, RowPlan | None], tuple[NDArray[np.float32], dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Streamed:
    """What a scan became.

    Attributes:
        labels: Canonical labels `(P, z, y, x)` on the scan's own grid.
        scores: Structure scores uint8 `(K, z, y, x)` on that grid, or `None`.
        repaired: Voxels that were NaN or infinite and were replaced.
        told: What `settle` decided.
    """

    labels: NDArray[Any]
    scores: NDArray[np.uint8] | None
    repaired: int
    told: dict[str, Any] = field(default_factory=dict)


def segment_prepared(
    prepared: Prepared,
    forward: Forward,
    *,
    plan: Plan,
    decode: Decode,
    settle: Settle | None = None,
    keep: Keep | None = None,
) -> Streamed:
    """Segment a prepared scan of any size on its own grid.

    Args:
        prepared: From `prepare_image`, or from the cache.
        forward: Windows `(B, C, z, y, x)` to scores `(B, K, z, y, x)`, mirrored copies and members included.
        plan: Its `window`, `labels`, `net` and `row` are read.
        decode: Scores `(K, dz, y, x)` to canonical labels `(P, dz, y, x)`.
        settle: Applied to the scores of the whole prepared scan before they are restored, where a target needs to
            see all of it at once; without it, scores of the whole scan never exist.
        keep: Which scores to return as well, `target.structure_scores` or all; none by default.
    """
    restorer = ScoreRestorer(prepared.trail, plan.labels, decode, keep=keep)
    told: dict[str, Any] = {}
    with torch.inference_mode():
        slabs: Iterable[Slab] = predict_slabs(
            prepared.array, forward, window=plan.window, context=plan.net.context, divisor=plan.net.divisor
        )
        if settle is not None:
            target = prepared.trail.target
            whole = np.concatenate([scores for _, _, scores in slabs], axis=1)
            settled, told = settle(whole, step_lengths(target.shape, target.spacing)[0], plan.row)
            slabs = [(0, settled.shape[1], settled)]
        for z0, z1, scores in slabs:
            restorer.feed(z0, z1, scores)
    return Streamed(restorer.finish(), restorer.scores, prepared.repaired, told)
