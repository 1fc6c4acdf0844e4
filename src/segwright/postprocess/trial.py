"""Single changes of a chain tried on out-of-fold cases, and whether a gain holds on cases left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segwright.core.box import Box
from segwright.core.labels import IGNORE, LabelSpace
from segwright.ops.components import enclosing_box, join_boxes, number_boxes
from segwright.postprocess.chain import Chain, ChainStep, apply, apply_to_scores, load_step
from segwright.postprocess.decode import FULL, total_score
from segwright.postprocess.steps import Labels

#: No threshold is tried below this score, so nothing outside matters.
LOWEST = 0.1

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Trial:
    """One change of a chain: a threshold of a structure, a foreground threshold, or a step at the end."""

    threshold: tuple[str, float] | None = None
    foreground: float | None = None
    step: ChainStep | None = None

    def extend(self, chain: Chain) -> Chain:
        """The chain with the change made."""
        if self.threshold is not None:
            return chain.model_copy(update={"thresholds": {**chain.thresholds, self.threshold[0]: self.threshold[1]}})
        if self.foreground is not None:
            return chain.model_copy(update={"foreground": self.foreground})
        return chain.model_copy(update={"steps": (*chain.steps, *((self.step,) if self.step else ()))})

    def __str__(self) -> str:
        if self.threshold is not None:
            return f"threshold {self.threshold[1]:g}"
        if self.foreground is not None:
            return f"foreground threshold {self.foreground:g}"
        return str(self.step)


class Values(NamedTuple):
    """Scores of a chain, and what each option adds to them.

    Attributes:
        base: `(structures, cases)`.
        gains: For each target `(options, cases)`, the mean over its structures.
    """

    base: NDArray[np.float64]
    gains: list[NDArray[np.float64]]


def run_trials(
    cases: Sequence[Any],
    space: LabelSpace,
    chain: Chain,
    targets: Sequence[tuple[tuple[str, ...], Sequence[Trial]]],
    score: Callable[..., float | None],
) -> Values:
    """Score a chain and, for each target `(structures, options)`, what every option changes; one pass over the cases.

    Args:
        cases: As `search.OutOfFold`.
        space: Meaning of the labels.
        chain: To start from.
        targets: Structures that a decision is about, and its options.
        score: For masks; `None` counts as 1 where both are empty and as 0 elsewhere.
    """
    base = np.zeros((len(space.structures), len(cases)))
    gains = [np.zeros((len(trials), len(cases))) for _, trials in targets]
    for column, case in enumerate(cases):
        scene = Scene(case, space, chain, score)
        base[:, column] = scene.base
        for table, (structures, trials) in zip(gains, targets, strict=True):
            indices = [space.names.index(name) for name in structures]
            for row, trial in enumerate(trials):
                table[row, column] = scene.gain(trial, indices)
    return Values(base, gains)


class Scene:
    """One case while options are tried on it: scores, reference, and what the chain made of the scores."""

    def __init__(self, case: Any, space: LabelSpace, chain: Chain, score: Callable[..., float | None]) -> None:
        self.space, self.chain, self.score = space, chain, score
        scores, reference = case.scores(), case.reference()
        box = enclosing_box(total_score(scores) >= LOWEST * FULL, (reference > 0).any(axis=0))
        box = (box or Box((0, 0, 0), (1, 1, 1))).grow((1, 1, 1)).clip(case.geometry.shape)
        self.geometry = case.geometry.crop(box)
        self.scores: NDArray[np.uint8] = scores[(slice(None), *box.slices)]
        self.reference: Labels = reference[(slice(None), *box.slices)]
        self.labels = apply_to_scores(chain, self.scores, space, geometry=self.geometry)
        ignored = self.reference.min(initial=0) == IGNORE
        self.counted: Mask | None = ~space.ignored(self.reference) if ignored else None
        self._crops: dict[int, Crop] = {}

    @cached_property
    def base(self) -> NDArray[np.float64]:
        """Value of each structure as the chain leaves it."""
        return np.array([self._value(self._crop(i), self._crop(i).mask) for i in range(len(self.space.structures))])

    def gain(self, trial: Trial, indices: Sequence[int]) -> float:
        """What the change adds to the mean value of some structures."""
        if trial.threshold is not None or (trial.step and load_step(trial.step.name).scope == "structure"):
            crop = self._crop(indices[0])
            mask = self._local(trial, crop)
            return 0.0 if np.array_equal(mask, crop.mask) else self._value(crop, mask) - float(self.base[indices[0]])
        labels = self._whole(trial)
        boxes: Sequence[Box | None]
        if self.space.exclusive:
            boxes = number_boxes(labels[0], len(self.space.structures))
        else:
            boxes = [enclosing_box(plane == 1) for plane in labels]
        return float(np.mean([self._whole_value(labels, i, boxes[i]) - self.base[i] for i in indices]))

    def _whole(self, trial: Trial) -> Labels:
        if trial.step is not None:
            return apply(Chain(steps=(trial.step,)), self.labels, self.space, geometry=self.geometry)
        return apply_to_scores(trial.extend(self.chain), self.scores, self.space, geometry=self.geometry)

    def _local(self, trial: Trial, crop: Crop) -> Mask:
        """The structure's mask after the change, within its box."""
        where = crop.box.slices
        if trial.threshold is not None:
            mask: Mask = self.scores[crop.structure][where] >= trial.threshold[1] * FULL
            return mask
        planes = slice(0, 1) if self.space.exclusive else slice(crop.structure, crop.structure + 1)
        labels = self.labels[(planes, *where)]
        space = self.space
        if not space.exclusive:
            space = LabelSpace(structures=(space.structures[crop.structure],), kind="overlapping")
        changed = apply(
            Chain(steps=(trial.step,) if trial.step else ()), labels, space, geometry=self.geometry.crop(crop.box)
        )
        return space.mask(changed, crop.structure if space.exclusive else 0)

    def _crop(self, index: int) -> Crop:
        """The structure in prediction and reference, with whatever a low threshold would add."""
        if index not in self._crops:
            mask, reference = self.space.mask(self.labels, index), self.space.mask(self.reference, index)
            likely = self.scores[index] >= LOWEST * FULL
            box = enclosing_box(mask, reference, likely) or Box((0, 0, 0), (1, 1, 1))
            box = box.grow((1, 1, 1)).clip(mask.shape)
            self._crops[index] = Crop(index, box, mask[box.slices], reference[box.slices])
        return self._crops[index]

    def _whole_value(self, labels: Labels, index: int, found: Box | None) -> float:
        """Value of a structure in whole labels, which may reach beyond its first box."""
        box = join_boxes(self._crop(index).box, found) or self._crop(index).box
        where = (slice(None), *box.slices)
        mask, reference = self.space.mask(labels[where], index), self.space.mask(self.reference[where], index)
        return self._value(Crop(index, box, mask, reference), mask)

    def _value(self, crop: Crop, mask: Mask) -> float:
        reference = crop.reference
        if self.counted is not None:
            counted = self.counted[crop.box.slices]
            reference, mask = reference & counted, mask & counted
        value = self.score(reference, mask, spacing=self.geometry.spacing)
        if value is None:
            return 0.0 if reference.any() or mask.any() else 1.0
        return float(value)


class Crop(NamedTuple):
    """A structure within a box that holds everything a change of it can touch."""

    structure: int
    box: Box
    mask: Mask
    reference: Mask
