"""What a target must promise, so that the pipeline never asks which kind of task it runs."""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeVar

from numpy.typing import NDArray
from torch import Tensor

from segwright.core.labels import LabelSpace

Scores = TypeVar("Scores", Tensor, NDArray[Any])


class Target(Protocol):
    """A codec between canonical labels and network channels.

    Attributes:
        space: The structures, K of them.
        channels: Output channels C the network needs.
        default_loss: Row of the losses table.
        restore_order: Whether `scores` (then decoded) or `labels` are resampled back to the source's grid.
    """

    space: LabelSpace
    channels: int
    default_loss: str
    restore_order: Literal["scores", "labels"]

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
