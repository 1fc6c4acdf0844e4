"""Where patches are drawn from: over the image, at structures, or from crops around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segwright.core.box import Box
from segwright.core.plan import CropPlan, Triple
from segwright.ops.resample import resample
from segwright.sample.case import SampleCase

#: Places tried for a patch without any structure.
TRIES = 20


def shuffled(cases: Sequence[SampleCase], rng: np.random.Generator) -> tuple[int, ...]:
    """Every case once, in random order."""
    return tuple(rng.permutation(len(cases)).tolist())


@dataclass(frozen=True, slots=True)
class Policy:
    """A row of the table: call it for a box; ask it for the order of one pass.

    Attributes:
        place: `(case, rng, patch, foreground) -> Box`.
        order: `(cases, rng) -> indices`, as many as there are cases; a policy may repeat some and leave out others.
        counted: Patches with a structure are counted out instead of drawn, so that any stretch of patches holds the
            declared share of them to within one; their cases are then drawn among those that have a structure.

    Example:
        >>> case = SampleCase(np.zeros((1, 1, 4, 9)), np.zeros((1, 1, 4, 9), np.int16))
        >>> uniform(case, np.random.default_rng(0), patch=(1, 6, 9), foreground=0.0)
        Box(start=(0, -1, 0), stop=(1, 5, 9))
    """

    place: Callable[[SampleCase, np.random.Generator, Triple, float], Box]
    order: Callable[[Sequence[SampleCase], np.random.Generator], tuple[int, ...]] = shuffled
    counted: bool = False

    def __call__(self, case: SampleCase, rng: np.random.Generator, *, patch: Triple, foreground: float) -> Box:
        """A box of `patch` voxels. It leaves the image only on axes where the patch is longer, and is centred there.

        Args:
            case: Where to cut.
            rng: Source of randomness.
            patch: `(z, y, x)` in voxels.
            foreground: Share of boxes that must hold a voxel of a structure; `uniform` pays no heed to it.
        """
        return self.place(case, rng, patch, foreground)


def _box(start: Sequence[int], shape: Triple, patch: Triple) -> Box:
    """Move a box inside the image; centre it on axes where it is too long."""
    inside = [
        min(max(int(a), 0), n - p) if p <= n else -((p - n) // 2) for a, n, p in zip(start, shape, patch, strict=True)
    ]
    return Box(tuple(inside), tuple(a + p for a, p in zip(inside, patch, strict=True)))


def _anywhere(case: SampleCase, rng: np.random.Generator, patch: Triple, foreground: float = 0.0) -> Box:
    """Every position inside the image is equally likely."""
    start = [int(rng.integers(0, max(n - p, 0) + 1)) for n, p in zip(case.shape, patch, strict=True)]
    return _box(start, case.shape, patch)


def _on_structure(case: SampleCase, rng: np.random.Generator, patch: Triple, foreground: float) -> Box:
    """With the given share around a spot of a structure drawn evenly among those present, else anywhere."""
    forced = rng.random() < foreground
    if not forced or not case.present:
        return _anywhere(case, rng, patch)
    spots = case.spots[case.present[int(rng.integers(len(case.present)))]]
    spot = spots[int(rng.integers(len(spots)))]
    # The spot falls in the middle half of the patch: not always the centre, and never without surroundings.
    start = [int(s) - p // 4 - int(rng.integers(0, max(p // 2, 1))) for s, p in zip(spot, patch, strict=True)]
    return _box(start, case.shape, patch)


def _with_or_without(case: SampleCase, rng: np.random.Generator, patch: Triple, foreground: float) -> Box:
    """Around a spot of a structure, or where the label shows none; where no such place is found, the emptiest tried."""
    if rng.random() < foreground:
        return _on_structure(case, rng, patch, 1.0)
    tried: list[tuple[int, Box]] = []
    for _ in range(TRIES):
        box = _anywhere(case, rng, patch)
        inside = box.clip(case.shape).slices
        held = int((np.asarray(case.label[(slice(None), *inside)]) > 0).sum())
        if held == 0:
            return box
        tried.append((held, box))
    return min(tried, key=lambda pair: pair[0])[1]


def _rare_more_often(cases: Sequence[SampleCase], rng: np.random.Generator) -> tuple[int, ...]:
    """One pass in which half of all visits go evenly to cases and half evenly to structures.

    Systematic resampling keeps the number of visits of each case within one of its expectation.
    """
    holders: dict[int, list[int]] = {}
    for index, case in enumerate(cases):
        for structure in case.present:
            holders.setdefault(structure, []).append(index)
    if not holders:
        return shuffled(cases, rng)
    weight = np.full(len(cases), 0.5 / len(cases))
    for having in holders.values():
        weight[having] += 0.5 / (len(holders) * len(having))
    marks = (np.arange(len(cases)) + rng.random()) / len(cases)
    order = rng.permutation(len(cases))
    visits = order[np.searchsorted(np.cumsum(weight[order]), marks, side="right").clip(max=len(cases) - 1)]
    return tuple(rng.permutation(visits).tolist())


uniform = Policy(_anywhere)
foreground = Policy(_on_structure)
balanced = Policy(_on_structure, _rare_more_often)
equal = Policy(_with_or_without, counted=True)


def crop_box(case: SampleCase, plan: CropPlan, patch: Triple, rng: np.random.Generator) -> Box | None:
    """A box around the plan's structures in a case, with the aspect of `patch`; `None` where the case has none.

    It is at least as large as its structures with their margin, moved a little at random, and never larger than the
    patch: crops enlarge. Axes that the scan does not fill (single slices) keep the patch's length.

    Example:
        >>> spots = {0: np.array([[0, 10, 10], [0, 19, 19]])}
        >>> case = SampleCase(np.zeros((1, 1, 64, 64)), np.zeros((1, 1, 64, 64), np.int16), spots)
        >>> crop_box(case, CropPlan(structures=(0,), margin=0.0), (1, 40, 40), np.random.default_rng(0)).shape
        (1, 10, 10)
    """
    found = [case.spots[index] for index in plan.structures if index in case.present]
    if not found:
        return None
    spots = np.concatenate(found)
    low, high = spots.min(axis=0), spots.max(axis=0) + 1
    wanted = (high - low) * (1 + 2 * plan.margin)
    free = [axis for axis in range(3) if patch[axis] > 1]
    scale = min(1.0, max(float(wanted[axis]) / patch[axis] for axis in free))
    size = [max(1, round(n * scale)) if axis in free else n for axis, n in enumerate(patch)]
    play = plan.margin / 2 * (high - low)
    middle = (low + high) / 2 + rng.uniform(-1, 1, 3) * play
    start = [round(float(m) - n / 2) for m, n in zip(middle, size, strict=True)]
    start = [
        min(max(a, 0), length - n) if n <= length else -((n - length) // 2)
        for a, n, length in zip(start, size, case.shape, strict=True)
    ]
    return Box(tuple(start), tuple(a + n for a, n in zip(start, size, strict=True)))


def widened(box: Box, patch: Triple, border: Triple) -> Box:
    """The box with the border of a patch, scaled as the patch is."""
    return box.grow([round(b * n / p) for b, n, p in zip(border, box.shape, patch, strict=True)])


def enlarged(array: NDArray[np.generic], shape: tuple[int, ...], *, label: bool) -> NDArray[np.generic]:
    """A cut `(C, z, y, x)` scaled to `shape`: images linearly, labels by the nearest voxel."""
    scaled: NDArray[np.generic] = resample(array, shape, order=0 if label else 1)
    return scaled
