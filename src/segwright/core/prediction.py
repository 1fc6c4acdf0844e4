"""The answer for one case, on the grid of its source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.core.volume import Volume


@dataclass(frozen=True, slots=True)
class Prediction:
    """Labels (and scores, where kept) of a case.

    Attributes:
        case: Case id.
        labels: Canonical label array `(P, z, y, x)` on the source's own grid.
        space: Meaning of the labels.
        source: The first image of the case, whose grid and header the result takes.
        scores: Structure scores `(K, z, y, x)`, uint8 where 255 is 1; `None` unless asked for.
        provenance: Model hash, members, flips, version.
    """

    case: str
    labels: NDArray[Any]
    space: LabelSpace
    source: Volume
    scores: NDArray[Any] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def geometry(self) -> Geometry:
        """The source's grid."""
        return self.source.geometry
