"""The whole spatial path of one scan: prepare, windows, restore, decode, without scores at full size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segwright.core.plan import Plan
from segwright.core.volume import Volume
from segwright.prediction.tta import Forward
from segwright.prediction.window import predict_slabs
from segwright.prepare.pipeline import Prepared, prepare_image
from segwright.prepare.restore import Decode, ScoreRestorer


@dataclass(frozen=True, slots=True)
class Streamed:
    """What a scan became.

    Attributes:
        labels: Canonical labels `(P, z, y, x)` on the scan's own grid.
        scores: Structure scores uint8 `(K, z, y, x)` on that grid, or `None`.
        repaired: Voxels that were NaN or infinite and were replaced.
    """

    labels: NDArray[Any]
    scores: NDArray[np.uint8] | None
    repaired: int


def segment_volume(
    volume: Volume, forward: Forward, *, plan: Plan, decode: Decode, keep_scores: bool = False
) -> Streamed:
    """Segment a scan of any size on its own grid.

    Args:
        volume: Scan with the plan's channels.
        forward: Windows `(B, C, z, y, x)` to scores `(B, K, z, y, x)`, mirrored copies and members included.
        plan: Its `prepare`, `window`, `labels` and `net` are read.
        decode: Scores `(K, dz, y, x)` to canonical labels `(P, dz, y, x)`.
        keep_scores: Also return structure scores.
    """
    return segment_prepared(
        prepare_image(volume, plan.prepare), forward, plan=plan, decode=decode, keep_scores=keep_scores
    )


def segment_prepared(
    prepared: Prepared, forward: Forward, *, plan: Plan, decode: Decode, keep_scores: bool = False
) -> Streamed:
    """`segment_volume` for a scan that is prepared already, for example one from the cache."""
    restorer = ScoreRestorer(prepared.trail, plan.labels, decode, keep_scores=keep_scores)
    with torch.inference_mode():
        for z0, z1, scores in predict_slabs(
            prepared.array, forward, window=plan.window, context=plan.net.context, divisor=plan.net.divisor
        ):
            restorer.feed(z0, z1, scores)
    return Streamed(restorer.finish(), restorer.scores, prepared.repaired)
