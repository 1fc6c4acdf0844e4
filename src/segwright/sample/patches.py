"""Training batches as a pure function of the step number, so that a resumed run sees what an unbroken one saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segwright.core.box import Box
from segwright.core.errors import GeometryError, RecipeError, UsageError
from segwright.core.plan import CropPlan, Triple
from segwright.core.recipe import PartChoice
from segwright.core.seed import derive
from segwright.sample import POLICIES
from segwright.sample.case import SampleCase
from segwright.sample.policies import Policy, crop_box, enlarged, widened

#: Image value outside a scan: the mean, as images are normalised before they are cut. Prediction pads alike.
PAD_IMAGE = 0.0
#: Label outside a scan: background, so that the network learns that nothing lies beyond the border.
PAD_LABEL = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Patches of one step.

    Attributes:
        image: float32 `(B, C, z, y, x)`.
        label: Canonical integers `(B, P, z, y, x)`.
        cases: Case id of each patch.
        spacing: mm a voxel, float32 `(B, 3)`, NaN where unknown; stays on the CPU.
    """

    image: Tensor
    label: Tensor
    cases: tuple[str, ...]
    spacing: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """Image and label on another device; pinned batches are copied without waiting."""
        image = self.image.to(device, non_blocking=True)
        return replace(self, image=image, label=self.label.to(device, non_blocking=True))

    def pin(self) -> Batch:
        """Image and label in page-locked memory, for fast copies to a GPU."""
        return replace(self, image=self.image.pin_memory(), label=self.label.pin_memory())


@dataclass(frozen=True)
class Patches:
    """An endless series of batches; `at(step)` depends on `seed`, `fold` and `step` and on nothing else.

    Cases are visited in passes: each case once a pass in a new order (the `balanced` policy repeats cases with rare
    structures). Batches run on over the end of a pass. Parts of a patch outside the scan hold `PAD_IMAGE` and
    `PAD_LABEL`; a scan smaller than the patch lies in its middle.

    Attributes:
        cases: Training cases of the fold.
        patch: `(z, y, x)` voxels the network predicts.
        context: Voxels a side that the network sees beyond them (slices of a 2.5-D network); image and label grow
            alike, so that augmentation moves both together.
        policy: Row of the policies table (name or choice of a plan), or a policy of your own.
        foreground: Share of patches that hold a structure for certain.
        seek: Structures (by number) that the policy sees; all where empty.
        batch: Patches a step.
        seed: The run's seed.
        fold: Number of the fold.
        margin: Further voxels a side, for a spatial augmentation that crops them away again.
        crops: Enlarged views of some structures in place of a share of the patches.

    Raises:
        UsageError: No case, numbers out of range, no such policy, or parameters for one.
        GeometryError: Cases differ in channels.
    """

    cases: Sequence[SampleCase]
    patch: Triple
    context: Triple = (0, 0, 0)
    policy: str | PartChoice | Policy = "foreground"
    foreground: float = 0.33
    batch: int = 2
    seed: int = 0
    fold: int = 0
    margin: Triple = (0, 0, 0)
    crops: CropPlan | None = None
    seek: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _ = self._policy  # a misspelt policy stops the run before it starts
        if not self.cases:
            raise UsageError("There is no case to sample from.", hint="Give the fold at least one training case.")
        if self.batch < 1 or min(self.patch) < 1 or not 0 <= self.foreground <= 1:
            got = f"patch {self.patch}, batch {self.batch}, foreground {self.foreground}"
            raise UsageError(
                "Patch and batch must be at least 1, foreground a share from 0 to 1.",
                got=got,
                hint="Correct the sample section of the plan.",
            )
        first = self.cases[0]
        for case in self.cases:
            planes = (case.image.shape[0], case.label.shape[0])
            if planes != (first.image.shape[0], first.label.shape[0]):
                raise GeometryError(
                    "Cases differ in their number of channels or label planes.",
                    expected=f"{first.image.shape[0]} channels, {first.label.shape[0]} planes as in {first.id}",
                    got=f"{planes[0]} channels, {planes[1]} planes",
                    where=case.id,
                    hint="Prepare the case again.",
                )

    @cached_property
    def _policy(self) -> Policy:
        if isinstance(self.policy, Policy):
            return self.policy
        choice = PartChoice(name=self.policy) if isinstance(self.policy, str) else self.policy
        policy = POLICIES.load(choice.name)
        if choice.params:
            raise RecipeError(
                f"Sampling policy {choice.name!r} takes no parameters.",
                got=", ".join(choice.params),
                where="sample.policy",
                hint="Remove them; the share of forced patches is sample.foreground.",
            )
        return cast(Policy, policy)

    @cached_property
    def _pass(self) -> Callable[[int], tuple[int, ...]]:
        """Order of cases in a pass, remembered for the latest passes."""
        return lru_cache(maxsize=4)(self._order)

    @property
    def border(self) -> Triple:
        """Voxels a side by which what is read exceeds the patch."""
        z, y, x = (c + m for c, m in zip(self.context, self.margin, strict=True))
        return (z, y, x)

    def _order(self, number: int) -> tuple[int, ...]:
        return self._policy.order(self._seen, derive(self.seed, "order", self.fold, number))

    def draws(self, step: int) -> tuple[tuple[SampleCase, Box], ...]:
        """Case and box (without context) of each patch of a step, without reading a voxel."""
        chosen = []
        for slot in range(self.batch):
            number, place = divmod(step * self.batch + slot, len(self.cases))
            index = self._pass(number)[place]
            rng = derive(self.seed, "patch", self.fold, step, slot)
            share = self.foreground
            if self._policy.counted:
                share = self._due(step * self.batch + slot)
                if share and not self._seen[index].present and self._holders:
                    index = self._holders[int(rng.integers(len(self._holders)))]
            case = self.cases[index]
            crop = self._crop(case, step, slot)
            chosen.append((case, crop or self._policy(self._seen[index], rng, patch=self.patch, foreground=share)))
        return tuple(chosen)

    def _crop(self, case: SampleCase, step: int, slot: int) -> Box | None:
        """The box of an enlarged view, if this patch is to be one."""
        if self.crops is None:
            return None
        rng = derive(self.seed, "crop", self.fold, step, slot)
        return crop_box(case, self.crops, self.patch, rng) if rng.random() < self.crops.share else None

    def _due(self, number: int) -> float:
        """1 if the patch of that number is one of those that hold a structure, else 0."""
        return float(int((number + 1) * self.foreground + 1e-9) - int(number * self.foreground + 1e-9))

    @cached_property
    def _seen(self) -> Sequence[SampleCase]:
        """The cases as the policy sees them."""
        return [case.only(self.seek) for case in self.cases] if self.seek else self.cases

    @cached_property
    def _holders(self) -> tuple[int, ...]:
        """Cases with a structure."""
        return tuple(index for index, case in enumerate(self._seen) if case.present)

    def at(self, step: int) -> Batch:
        """The batch of a step (from 0)."""
        drawn = [(case, widened(box, self.patch, self.border)) for case, box in self.draws(step)]
        size = tuple(n + 2 * b for n, b in zip(self.patch, self.border, strict=True))
        images = [cut(case.image, box, PAD_IMAGE, np.dtype(np.float32)) for case, box in drawn]
        labels = [cut(case.label, box, PAD_LABEL, np.dtype(case.label.dtype)) for case, box in drawn]
        image = np.stack([enlarged(each, size, label=False) for each in images])
        label = np.stack([enlarged(each, size, label=True) for each in labels])
        spacing = [
            [np.nan if mm is None else mm * n / p for mm, n, p in zip(case.spacing, box.shape, size, strict=True)]
            for case, box in drawn
        ]
        return Batch(
            torch.from_numpy(image),
            torch.from_numpy(label),
            tuple(case.id for case, _ in drawn),
            torch.tensor(spacing, dtype=torch.float32),
        )


def cut(array: Any, box: Box, fill: float, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Copy a box out of an array `(C, z, y, x)`; voxels outside get `fill`.

    Example:
        >>> cut(np.ones((1, 1, 1, 2)), Box((0, 0, 1), (1, 1, 4)), 0.0, np.dtype(float)).tolist()
        [[[[1.0, 0.0, 0.0]]]]
    """
    shape = tuple(int(n) for n in array.shape)
    patch = np.full((shape[0], *box.shape), fill, dtype=dtype)
    inside = box.clip(shape[1:])
    there = inside.shift([-start for start in box.start])
    if all(inside.shape):
        patch[(slice(None), *there.slices)] = array[(slice(0, shape[0]), *inside.slices)]
    return patch
