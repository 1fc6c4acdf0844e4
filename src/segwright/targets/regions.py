"""Overlapping structures: one sigmoid channel each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from segwright.core.errors import PlanError
from segwright.core.labels import LabelSpace
from segwright.targets.classes import refuse_outside
from segwright.targets.protocol import Scores


class RegionsTarget:
    """Codec of overlapping labels `(B, K, z, y, x)`; see `targets.protocol.Target`.

    A voxel that is ignored for one structure is ignored for all, as in `LabelSpace.ignored`.

    Args:
        space: Overlapping structures.
        thresholds: Score above which a voxel belongs to a structure, one each; 0.5 by default.

    Example:
        >>> space = LabelSpace(structures=[{"name": "a"}, {"name": "b"}], kind="overlapping")
        >>> RegionsTarget(space).decode(np.array([0.2, 0.9]).reshape(2, 1, 1, 1)).ravel().tolist()
        [0, 1]
    """

    def __init__(self, space: LabelSpace, thresholds: Sequence[float] | None = None) -> None:
        if space.exclusive:
            raise PlanError("Target 'regions' needs overlapping structures.", got=space.kind, hint="Use 'classes'.")
        self.space = space
        self.channels = len(space.structures)
        self.thresholds = tuple(thresholds) if thresholds is not None else (0.5,) * self.channels
        if len(self.thresholds) != self.channels:
            raise PlanError("Each structure has one threshold.", expected=self.channels, got=len(self.thresholds))

    def encode(self, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Labels `(B, K, z, y, x)` to 0 or 1 in float32 and weight `(B, 1, z, y, x)`."""
        low, high = (int(bound) for bound in labels.aminmax())
        refuse_outside(low, high, 1)
        if low >= 0:
            return labels.float(), None
        weight = (labels >= 0).all(dim=1, keepdim=True).float()
        return labels.clamp_min(0).float() * weight, weight

    def activate(self, logits: Tensor) -> Tensor:
        """Sigmoid of each channel in float32."""
        return logits.float().sigmoid()

    def structure_scores(self, scores: Scores) -> Scores:
        """The scores themselves, `(K, ...)`."""
        return scores

    def decode(self, scores: NDArray[Any]) -> NDArray[np.int8]:
        """Scores `(K, z, y, x)` above their thresholds, as 0 or 1."""
        unit = 255.0 if scores.dtype == np.uint8 else 1.0
        labels = np.empty(scores.shape, dtype=np.int8)
        for plane, values, threshold in zip(labels, scores, self.thresholds, strict=True):
            np.greater(values, threshold * unit, out=plane.view(np.bool_))
        return labels
