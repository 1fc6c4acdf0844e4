"""An ordered list of steps with thresholds, saved with the model and run on every prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from segwright.core.document import Document, Part
from segwright.core.errors import UnknownNameError, UsageError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.postprocess import STEPS
from segwright.postprocess.instances.search import decode_objects
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


def apply_to_scores(chain: Chain, scores: NDArray[np.uint8], space: LabelSpace, *, geometry: Geometry) -> Labels:
    """Decode scores `(K, z, y, x)` (uint8, 255 is 1) with the chain's decoder or thresholds, then run its steps."""
    if space.instances:
        return decode_objects(chain.decoder, scores, geometry)
    labels = decode(scores, space, thresholds=chain.thresholds, foreground=chain.foreground)
    return apply(chain, labels, space, geometry=geometry)


#: Score of certainty in uint8 scores.
FULL = 255


def decode(
    scores: NDArray[np.uint8],
    space: LabelSpace,
    *,
    thresholds: Mapping[str, float] | None = None,
    foreground: float | None = None,
) -> NDArray[Any]:
    """Canonical labels `(P, z, y, x)` from scores `(K, z, y, x)`, uint8 where 255 is 1.

    Overlapping structures are those whose score reaches their threshold (0.5 unless given). Of exclusive structures
    the best one wins where it beats the background, whose score is what is left to 1; given `foreground`, the best
    structure wins wherever the structures together reach it.

    Raises:
        UsageError: Scores of other type or number than the label space needs, or a threshold of the other kind.

    Example:
        >>> space = LabelSpace(structures=[{"name": "a", "values": [1]}, {"name": "b", "values": [2]}])
        >>> scores = np.array([[[[100, 20]]], [[[50, 200]]]], np.uint8)
        >>> decode(scores, space).tolist(), decode(scores, space, foreground=0.5).tolist()
        ([[[[0, 2]]]], [[[[1, 2]]]])
    """
    if scores.dtype != np.uint8 or scores.ndim != 4 or scores.shape[0] != len(space.structures):
        raise UsageError(
            "Scores must be uint8, one plane a structure.",
            expected=f"({len(space.structures)}, z, y, x) uint8",
            got=f"{scores.shape} {scores.dtype}",
        )
    if (space.exclusive and thresholds) or (not space.exclusive and foreground is not None):
        raise UsageError(
            "That threshold does not fit the label space.",
            expected="'foreground' for exclusive structures, 'thresholds' for overlapping ones",
        )
    if space.exclusive:
        labels = np.empty((1, *scores.shape[1:]), space.dtype)
        for z in range(scores.shape[1]):  # slice by slice, so that sums of many structures stay small
            labels[0, z] = _best(scores[:, z], foreground)
        return labels
    given = thresholds or {}
    limits = np.array([given.get(name, 0.5) * FULL for name in space.names]).reshape(-1, 1, 1, 1)
    return np.stack([plane >= limit for plane, limit in zip(scores, limits, strict=True)]).astype(space.dtype)


def total_score(scores: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Sum over structures of scores `(K, ...)`, plane by plane; holds up to 257 of them."""
    total = np.zeros(scores.shape[1:], np.uint16)
    for plane in scores:
        total += plane
    return total


def _best(scores: NDArray[np.uint8], foreground: float | None) -> NDArray[np.int16]:
    """Winning structure (from 1) or 0, for scores `(K, y, x)`."""
    total = total_score(scores)
    least = 0.5 if foreground is None else foreground  # less than half can never beat the background
    y, x = np.nonzero(total >= max(1.0, least * FULL))
    labels = np.zeros(total.shape, np.int16)
    likely = scores[:, y, x]
    best = likely.argmax(axis=0)
    if foreground is None:
        beaten = likely.max(axis=0, initial=0).astype(np.int32) + total[y, x] <= FULL
        best[beaten] = -1
    labels[y, x] = best + 1
    return labels
