"""Look-alike structures in a row (vertebrae): the network says which and where their cores are, the order decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segwright.core.labels import LabelSpace
from segwright.core.plan import RowPlan
from segwright.ops.components import enclosing_box
from segwright.ops.distance import distance_to
from segwright.ops.ordered_labels import Identified, identify
from segwright.targets.classes import SharesTarget
from segwright.targets.protocol import Scores

#: A core holds the voxels at least this share of the largest distance from a structure's border.
CORE_DEPTH = 0.5


class ChainTarget:
    """Codec of exclusive or overlapping labels of an ordered row; see `targets.protocol.Target`.

    Channels: the core of every structure (sigmoid), background (sigmoid), and structures (softmax among themselves;
    their scores are shares of what is not background). Voxels of several structures count for all of them in parts.
    `settle` gives each instance of a whole scan one label, with labels that rise along the row (Viterbi), as
    look-alikes cannot be told apart voxel by voxel.

    Args:
        space: Structures in their order along the row.

    Example:
        >>> target = ChainTarget(LabelSpace(structures=[{"name": "a"}, {"name": "b"}]))
        >>> onehot, weight = target.encode(torch.tensor([0, 1, 1, 1, 2]).reshape(1, 1, 1, 1, 5))
        >>> onehot[0, :, 0, 0].int().tolist()
        [[0, 1, 1, 1, 1], [1, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 1]]
    """

    def __init__(self, space: LabelSpace) -> None:
        self._shares = SharesTarget(space)
        self.space = space
        self.channels = len(space.structures) + 2

    def encode(self, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Labels `(B, P, z, y, x)` to cores, background and structures `(B, K + 2, z, y, x)`, and weight."""
        shares, weight = self._shares.encode(labels)
        cores = self._cores(self._shares.masks(labels))
        return torch.cat([cores if weight is None else cores * weight, shares], dim=1), weight

    def _cores(self, masks: Tensor) -> Tensor:
        """Voxels deep inside a structure `(B, 1, z, y, x)`."""
        planes = masks.bool().cpu().numpy()
        found = np.zeros((planes.shape[0], 1, *planes.shape[2:]), np.float32)
        for sample, row in enumerate(planes):
            for mask in row:
                _add_core(found[sample, 0], mask)
        return torch.from_numpy(found).to(masks.device)

    def activate(self, logits: Tensor) -> Tensor:
        """Scores `(B, K + 2, ...)` in float32: of cores, and of background and structures, which add up to 1."""
        alone = logits[:, :2].float().sigmoid()
        return torch.cat([alone, (1 - alone[:, 1:]) * logits[:, 2:].float().softmax(dim=1)], dim=1)

    def structure_scores(self, scores: Scores) -> Scores:
        """All channels but core and background, `(K, ...)`; a view."""
        return scores[2:]

    def settle(
        self, scores: NDArray[np.float32], lengths: tuple[float, float, float], row: RowPlan | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Scores `(K + 2, z, y, x)` of a whole scan in which every instance has one label, and what was decided.

        Args:
            scores: Mean of the members' scores.
            lengths: Edges of a voxel.
            row: How many scans show each structure, and where it usually lies.
        """
        found = identify(scores[1:], scores[0], lengths=lengths, row=row)
        background = 1.0 - found.scores.sum(axis=0, keepdims=True)
        return np.concatenate([scores[:1], background, found.scores]), {"ordered": self._told(found)}

    def _told(self, found: Identified) -> dict[str, Any]:
        """The decision in names and numbers; `margin` is how many nats the next best labelling is dearer."""
        names = self.space.names
        return {
            "found": [names[label - 1] for label in found.labels if label],
            "missing": [name for index, name in enumerate(names, 1) if index not in found.labels],
            "faint": [names[label - 1] for label in found.faint],
            "rejected": sum(not label for label in found.labels) + found.crumbs,
            "cost": round(found.cost, 3),
            "margin": round(found.margin, 3) if np.isfinite(found.margin) else None,
        }

    def decode(self, scores: NDArray[Any]) -> NDArray[Any]:
        """The structure with the largest share of a body, as canonical labels; after `settle`, one an instance."""
        return self._shares.decode(scores[1:])


def _add_core(plane: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
    """Set the core of a mask `(z, y, x)` in a plane, in place; the border of the array is no border of the mask."""
    box = enclosing_box(mask)
    if box is None:
        return
    around = box.grow((1, 1, 1)).clip(mask.shape)
    inside = mask[around.slices]
    depth = distance_to(~inside, (1.0, 1.0, 1.0))
    depth = np.where(np.isfinite(depth), depth, 1.0)
    plane[around.slices][inside & (depth >= CORE_DEPTH * depth[inside].max())] = 1.0
