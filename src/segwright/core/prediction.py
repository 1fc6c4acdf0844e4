"""The answer for one case, on the grid of its source, and the list of a call's answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from numpy.typing import NDArray
from pydantic import Field

from segwright.core.document import Document
from segwright.core.geometry import Geometry
from segwright.core.identity import Made
from segwright.core.labels import LabelSpace
from segwright.core.volume import Volume


@dataclass(frozen=True, slots=True, repr=False)
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

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.labels.shape[1:]))
        return f"{type(self).__name__}({self.case!r}, {len(self.space.names)} structures on {shape} voxels)"

    @property
    def geometry(self) -> Geometry:
        """The source's grid."""
        return self.source.geometry


class Predicted(Made):
    """One case: the files written, or why there are none.

    Attributes:
        image: Where its first image lies, by which the answer finds its reference whatever either is called.
        seconds: Time taken.
        outside: In what the scan is unlike those that the model learnt from.
        provenance: Model hash, members, flips, version.
    """

    image: str = ""
    seconds: float = 0.0
    outside: tuple[str, ...] = ()
    provenance: dict[str, Any] = Field(default_factory=dict)


class Predictions(Document):
    """All cases of a call; written as `predictions.json` beside the results."""

    filename: ClassVar[str] = "predictions.json"
    cases: tuple[Predicted, ...]

    @property
    def failed(self) -> tuple[Predicted, ...]:
        """Cases without a result."""
        return tuple(case for case in self.cases if case.error)

    @property
    def unlike(self) -> tuple[Predicted, ...]:
        """Cases with a result that are unlike the scans of training."""
        return tuple(case for case in self.cases if case.outside and not case.error)
