"""What a target must promise, so that the pipeline never asks which kind of task it runs."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray
from torch import Tensor

from segwright.core.labels import LabelSpace
from segwright.core.plan import RowPlan

Scores = TypeVar("Scores", Tensor, NDArray[Any])


class Target(Protocol):
    """A codec between canonical labels and network channels.

    Attributes:
        space: The structures, K of them.
        channels: Output channels C the network needs.
    """

    space: LabelSpace
    channels: int

    def encode(self, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Canonical labels `(B, P, z, y, x)` to a float32 target `(B, C, z, y, x)` and a weight `(B, 1, z, y, x)`.

        The weight is 0 where labels are ignored (where the target is 0 in all channels) and 1 elsewhere; `None` if
        nothing is ignored.
        """
        ...

    def activate(self, logits: Tensor) -> Tensor:
        """Logits `(B, C, ...)` to float32 scores from 0 to 1."""
        ...

    def structure_scores(self, scores: Scores) -> Scores:
        """Scores `(C, ...)` to one score a structure, `(K, ...)`."""
        ...

    def decode(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Scores `(C, z, y, x)`, floats or uint8 where 255 is 1, to a canonical label array."""
        ...


class Settling(Target, Protocol):
    """A target of ordered structures, which must see a whole scan at once before its scores mean anything."""

    def settle(
        self, scores: NDArray[Any], lengths: tuple[float, float, float], row: RowPlan | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Scores `(C, z, y, x)` of a whole prepared scan to such that can be restored and decoded slab by slab, and
        what was decided, for the prediction's provenance; voxel lengths and usual places are given."""
        ...
