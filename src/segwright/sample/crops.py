"""Enlarged views of named structures: boxes from their labels, cut anew at every visit and scaled to the patch.

Competition teams store such crops beside the images once; drawn on-line they cost no space, vary from visit to visit,
and come from training cases alone, since nobody else is sampled.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segwright.core.box import Box
from segwright.core.plan import CropPlan, Triple
from segwright.ops.resample import resample
from segwright.sample.case import SampleCase


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
