"""The answer for one case, on the grid of its source, and the list of a call's answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from numpy.typing import NDArray
from pydantic import Field

from segwright.core.document import Document, Part
from segwright.core.geometry import Geometry
from segwright.core.identity import Made
from segwright.core.labels import LabelSpace
from segwright.core.trail import Trail
from segwright.core.volume import Volume


class StructureQuality(Part):
    """What can be expected of the mask of one structure.

    Attributes:
        volume: Of the mask; `None` where the scan does not say how large its voxels are.
        signal: Agreement of copies of the answer, 0 to 1; `None` if nothing was found.
        expected_dice: Dice to expect with a reference; `None` where too few cases tell.
        lower: Dice exceeds this with the level's probability.
        volume_low, volume_high: The true volume lies between these with that probability.
        patients: That this rests on.
    """

    volume: float | None = 0.0
    signal: float | None = None
    expected_dice: float | None = None
    lower: float | None = None
    volume_low: float | None = None
    volume_high: float | None = None
    patients: int = 0


class Quality(Part):
    """What can be expected of a prediction, learnt from cases that the networks had not seen.

    Attributes:
        flagged: A person should look at it before it is used.
        reasons: Why, in words.
        expected_dice: Mean over structures.
        level: Probability of bounds and intervals.
        unit: Of volumes: `ml`, `mm2` or `voxels`.
        structures: By name.
    """

    flagged: bool
    reasons: tuple[str, ...] = ()
    expected_dice: float | None = None
    level: float = 0.9
    unit: str = "voxels"
    structures: dict[str, StructureQuality] = Field(default_factory=dict)

    def also(self, reasons: Sequence[str]) -> Quality:
        """The same with further reasons to look, the first to be read."""
        return self.model_copy(update={"flagged": self.flagged or bool(reasons), "reasons": (*reasons, *self.reasons)})


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
        quality: What can be expected of it; `None` where that is not known.
        trail: Way from the source's grid to that of the scores, where they lie on another: objects are decoded on the
            grid that the network works on.
    """

    case: str
    labels: NDArray[Any]
    space: LabelSpace
    source: Volume
    scores: NDArray[Any] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    quality: Quality | None = None
    trail: Trail | None = None

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
        quality: What can be expected of it; `None` where the model does not know.
        provenance: Model hash, members, flips, version.
    """

    image: str = ""
    seconds: float = 0.0
    outside: tuple[str, ...] = ()
    quality: Quality | None = None
    provenance: dict[str, Any] = Field(default_factory=dict)

    @property
    def flagged(self) -> bool:
        """Whether a person should look at it before it is used."""
        return not self.error and bool(self.outside or (self.quality and self.quality.flagged))

    @property
    def expected(self) -> float:
        """Dice to expect on average over structures; 1 where it is not known, so that others come first."""
        return 1.0 if self.quality is None or self.quality.expected_dice is None else self.quality.expected_dice

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why a person should look at it, beside in what the scan is unlike those of training."""
        return tuple(reason for reason in self.quality.reasons if reason not in self.outside) if self.quality else ()


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
