"""Rules for orientation, spacing, working size and cropping."""

from __future__ import annotations

import math
from typing import NamedTuple

from segwright.core.errors import PlanError
from segwright.core.plan import Edges, Normalisation, Triple
from segwright.core.recipe import Recipe
from segwright.planning.fingerprint import Fingerprint
from segwright.planning.limits import Limits, limits_of
from segwright.planning.machine import Machine
from segwright.planning.rules import network, order

Spacing = tuple[float | None, float | None, float | None]
Kept = tuple[Edges | None, Edges | None, Edges | None]


class Scale(NamedTuple):
    """Voxel edges that scans are brought to, and ranges of edges that are kept; see `PreparePlan`."""

    spacing: Spacing | None = None
    kept: Kept | None = None


def slab(recipe: Recipe, facts: Fingerprint, machine: Machine) -> tuple[int, str]:
    """1 for single planes, 5 for very thick slices or rows that lie in the slices, 0 (3-D) otherwise.

    Raises:
        PlanError: Depth is asked for where every case is a single plane.
    """
    if recipe.slab is not None:
        if facts.dims == 2 and recipe.slab != 1:
            raise PlanError(
                "Every case is a single plane, but the recipe asks for depth.",
                expected="slab=1",
                got=f"slab={recipe.slab}",
                where="slab",
                hint="Set slab=1, or choose a recipe for single images.",
            )
        return recipe.slab, "asked for in the recipe"
    if facts.dims == 2:
        return 1, "every case is a single plane"
    limits = limits_of(recipe)
    deep = limits.slab_slices
    if facts.anisotropy > limits.very_thick_slices:
        return (
            deep,
            f"slices are {facts.anisotropy:.1f} times thicker than pixels: {deep} slices in, the centre one out",
        )
    row = order.axis(recipe, facts)
    if row in {1, 2} and math.prod(facts.shape_large) > network.most_voxels(limits, machine):
        return deep, "whole planes hold the whole row, whose order names the structures; patches in depth would not"
    return 0, f"volumes with a spacing ratio of {facts.anisotropy:.1f}"


def scale(recipe: Recipe, facts: Fingerprint, machine: Machine) -> tuple[Scale, str]:
    """The physical scale the network works at; none where spacing is unknown or each scan shall keep its own."""
    if recipe.spacing == "native":
        return Scale(), "asked for in the recipe: each scan keeps its voxels, whatever their size"
    if recipe.spacing is not None:
        return Scale(recipe.spacing), "asked for in the recipe"
    if all(step is None for step in facts.spacing):
        instead = ", and the working size stands in for a physical scale" if facts.dims == 2 else ""
        return Scale(), f"spacing is unknown, so pixels are kept{instead}"
    found, why = _of_planes(recipe, facts, machine) if facts.dims == 2 else _of_volumes(facts, limits_of(recipe))
    if facts.unspaced:
        why += f"; {facts.unspaced} of {facts.cases} scans state no spacing and are taken as they lie"
    return found, why


def _of_planes(recipe: Recipe, facts: Fingerprint, machine: Machine) -> tuple[Scale, str]:
    """Pixels of one size in mm, such that a large film is a working size."""
    _, y, x = facts.spacing
    if y is None or x is None:
        return Scale(), "spacing is known along one axis only, so pixels are kept"
    shrink, why = _shrinkage(recipe, facts, machine)
    agree = limits_of(recipe).scans_agree
    if shrink == 1 and facts.spacing_spread < agree:
        return Scale(facts.spacing, _near(facts.spacing, agree)), _agreed(facts)
    if shrink == 1:
        return Scale(facts.spacing), "median of the films; others are brought to it"
    return Scale(
        (None, float(f"{y * shrink:.7g}"), float(f"{x * shrink:.7g}"))
    ), f"{why}; every film gets pixels of this size"


def _shrinkage(recipe: Recipe, facts: Fingerprint, machine: Machine) -> tuple[float, str]:
    """How much coarser than the films' median pixels are to be, and why."""
    lengths = zip(facts.extent_large[1:], facts.spacing[1:], facts.shape_large[1:], strict=True)
    height, width = (extent / step if extent and step else length for extent, step, length in lengths)
    if recipe.size is not None:
        return max(1.0, height / recipe.size[0], width / recipe.size[1]), "the working size asked for in the recipe"
    budget, more = _pixels(recipe, facts, machine)
    why = f"a large film of {height:.0f} x {width:.0f} pixels becomes about {budget / 1e3:.0f} thousand{more}"
    return max(1.0, math.sqrt(height * width / budget)), why


def _of_volumes(facts: Fingerprint, limits: Limits) -> tuple[Scale, str]:
    z, y, x = facts.spacing
    if facts.spacing_spread < limits.scans_agree:
        return Scale(facts.spacing, _near(facts.spacing, limits.scans_agree)), _agreed(facts)
    if facts.anisotropy > limits.very_thick_slices:
        seen = facts.spacing_range[0] or (z and (z, z))
        kept = _around(seen, limits.scans_agree) if seen else None
        why = "median in plane; thick slices are kept as they were acquired"
        return Scale((None, y, x), (kept, None, None)), f"{why}, {kept[0]:.3g} to {kept[1]:.3g} mm" if kept else why
    if facts.anisotropy > limits.thick_slices:
        return Scale((facts.fine_spacing[0], y, x)), "median in plane, 10th percentile across the thick slices"
    return Scale(facts.spacing), "median of the scans"


def _agreed(facts: Fingerprint) -> str:
    return (
        f"all scans agree within {facts.spacing_spread * 100:.1f} %, so they are learnt from as they are; "
        "a scan of another voxel size is brought to theirs"
    )


def _near(spacing: Spacing, agree: float) -> Kept:
    """Voxel edges that count as agreeing with a spacing."""
    z, y, x = (None if step is None else _around((step, step), agree) for step in spacing)
    return z, y, x


def _around(seen: Edges, agree: float) -> Edges:
    return float(f"{seen[0] * (1 - agree):.7g}"), float(f"{seen[1] * (1 + agree):.7g}")


def fit(recipe: Recipe, facts: Fingerprint, machine: Machine) -> tuple[tuple[int, int] | None, str]:
    """Working size `(y, x)` for planes without spacing: the median aspect, with as many pixels as a step affords."""
    if facts.dims == 3:
        return None, "volumes are resampled by spacing"
    if recipe.size is not None:
        return recipe.size, "asked for in the recipe"
    budget, why = _pixels(recipe, facts, machine)
    _, height, width = facts.shape_median
    scale = math.sqrt(budget / (height * width))
    if scale >= 1:
        return (int(facts.shape_large[1]), int(facts.shape_large[2])), "images are small enough to be taken whole"
    size = (_round(height * scale, 32), _round(width * scale, 32))
    return size, f"median image {height:.0f} x {width:.0f} shrunk to about {budget / 1e3:.0f} thousand pixels{why}"


def _pixels(recipe: Recipe, facts: Fingerprint, machine: Machine) -> tuple[float, str]:
    """Pixels of a whole image, and why they are fewer than usual."""
    limits = limits_of(recipe)
    most = limits.pixels_gpu if machine.has_gpu else limits.pixels_cpu
    if machine.has_gpu or order.axis(recipe, facts) is None or not facts.share:
        return most, ""
    wanted = limits.row_pixels / max(min(facts.share.values()), 1e-6)
    if wanted >= most:
        return most, ""
    return (
        wanted,
        f", which leave about {limits.row_pixels} to the smallest of a row: names are learnt by steps, not by detail",
    )


def _round(value: float, step: int) -> int:
    return max(step, round(value / step) * step)


def crop(facts: Fingerprint, limits: Limits) -> tuple[bool, str]:
    """Whether to cut the empty border away first."""
    if facts.content_share < limits.crop_below:
        return True, f"only {facts.content_share * 100:.0f} % of the grid lies inside the non-zero box"
    return False, "scans fill their grid"


def normalise(recipe: Recipe, facts: Fingerprint) -> tuple[tuple[Normalisation, ...], str]:
    """CT keeps its physical scale over the whole dataset; everything else is standardised case by case.

    Rows of bones in radiographs also get their local contrast: on 60 spine films it raised the Dice of six named
    vertebrae in each of three folds (0.52 to 0.67, 0.30 to 0.32, 0.48 to 0.55), and that of 17 unnamed ones from 0.736
    to 0.761 in one; lungs, heart and clavicles were as before without it (0.920 and 0.919).
    """
    bones = facts.modality == "xray" and order.axis(recipe, facts) is not None
    if recipe.normalise == "local" or (recipe.normalise is None and bones):
        reason = "asked for in the recipe" if recipe.normalise else "bones in a row, dark and bright regions are evened"
        return (Normalisation(scheme="local"),) * len(facts.channels), reason
    if recipe.normalise is None and facts.modality == "ct" and facts.foreground:
        rows = tuple(
            Normalisation(scheme="fixed", low=low, high=high, mean=mean, std=max(std, 1e-6))
            for mean, std, low, high in facts.foreground
        )
        return rows, "CT: clip to the 0.5-99.5 percentile of labelled voxels, standardise with their mean and std"
    nonzero = facts.zero_share > limits_of(recipe).zero_background and facts.dims == 3
    row = Normalisation(scheme="case", nonzero=nonzero)
    reason = "intensities have no common scale: each case is clipped and standardised on its own"
    if nonzero:
        reason += f", over non-zero voxels ({facts.zero_share * 100:.0f} % are exactly 0)"
    return (row,) * len(facts.channels), reason


def in_plane(facts: Fingerprint, patch: Triple, limits: Limits) -> bool:
    """Whether patches are turned in plane only: between thick slices, and where a tilt would move them out of sight."""
    z, y, x = (n * (step or 1.0) for n, step in zip(patch, facts.spacing, strict=True))
    return facts.anisotropy > limits.thick_slices or z < limits.thin_patch * max(y, x)
