"""An ordered list of steps with thresholds, saved with the model and run on every prediction."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from segwright.core.document import Document, Part
from segwright.core.errors import UnknownNameError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.postprocess import STEPS
from segwright.postprocess.decode import decode
from segwright.postprocess.instances.decoders import decode_objects
from segwright.postprocess.steps import Labels, Step


class ChainStep(Part):
    """One step with its parameters.

    Attributes:
        name: Row of the steps table.
        structures: Those it changes; empty means all.
        params: As the step takes them.
    """

    name: str
    structures: tuple[str, ...] = ()
    params: dict[str, Any] = Field(default_factory=dict)

    def __str__(self) -> str:
        params = ", ".join(f"{key}={value}" for key, value in self.params.items())
        whom = f" of {', '.join(self.structures)}" if self.structures else ""
        return f"{self.name}({params}){whom}"


class Chain(Document):
    """What happens to scores and labels after prediction; an empty chain changes nothing.

    Attributes:
        thresholds: Score at which an overlapping structure is present; 0.5 unless named.
        foreground: Summed score at which exclusive structures beat the background; `None` lets the best score win.
        steps: In the order in which they run.
        decoder: Row of the decoders table that makes objects of scores, with its numbers; for instances only.

    Example:
        >>> print(Chain(thresholds={"lung": 0.4}, steps=(ChainStep(name="keep_largest", structures=("lung",)),)))
        threshold 0.4 for lung; keep_largest() of lung
    """

    filename: ClassVar[str] = "chain.json"
    thresholds: dict[str, float] = Field(default_factory=dict)
    foreground: float | None = None
    steps: tuple[ChainStep, ...] = ()
    decoder: ChainStep | None = None

    def __str__(self) -> str:
        parts = [] if self.decoder is None else [str(self.decoder)]
        parts += [f"threshold {value:g} for {name}" for name, value in self.thresholds.items()]
        if self.foreground is not None:
            parts.append(f"foreground threshold {self.foreground:g}")
        return "; ".join([*parts, *map(str, self.steps)]) or "nothing"

    @property
    def needs_scores(self) -> bool:
        """Whether labels alone are not enough to run it."""
        return bool(self.thresholds) or self.foreground is not None or self.decoder is not None

    def check(self, space: LabelSpace) -> None:
        """Refuse a chain that names unknown steps, parameters or structures.

        Raises:
            UnknownNameError: With the nearest name.
        """
        named = [*self.thresholds, *(name for step in self.steps for name in step.structures)]
        for name in named:
            if name not in space.names:
                raise UnknownNameError.among("structure", name, space.names)
        for step in self.steps:
            load_step(step.name).check(step.params)


def load_step(name: str) -> Step:
    """The step of a row.

    Raises:
        UnknownNameError: No row has that name.
    """
    row: Step = STEPS.load(name)
    return row


def apply(chain: Chain, labels: Labels, space: LabelSpace, *, geometry: Geometry) -> Labels:
    """Run the steps of a chain on canonical labels `(P, z, y, x)`; thresholds need scores, see `apply_to_scores`."""
    for step in chain.steps:
        labels = load_step(step.name)(labels, space, geometry=geometry, structures=step.structures, **step.params)
    return labels


def apply_to_scores(
    chain: Chain, scores: NDArray[np.uint8], space: LabelSpace, *, geometry: Geometry, orientation: str | None = None
) -> Labels:
    """Decode scores `(K, z, y, x)` (uint8, 255 is 1) with the chain's decoder or thresholds, then run its steps.

    Args:
        chain: What to do.
        scores: On the scan's own axes.
        space: Meaning of the labels.
        geometry: Grid of the scores.
        orientation: Axis codes on which the network saw the scan, for objects; `None` where it was not turned.
    """
    if space.instances:
        return decode_objects(chain.decoder, scores, geometry, orientation)
    labels = decode(scores, space, thresholds=chain.thresholds, foreground=chain.foreground)
    return apply(chain, labels, space, geometry=geometry)
