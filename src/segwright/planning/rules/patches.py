"""Rules for what patches show, and for sizes that grow during training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from segwright.core.errors import PlanError, UnknownNameError
from segwright.core.labels import LabelSpace
from segwright.core.plan import CropPlan, Triple
from segwright.core.recipe import Recipe
from segwright.planning.fingerprint import Fingerprint
from segwright.planning.limits import limits_of
from segwright.planning.rules import network

Stages = tuple[tuple[float, Triple], ...]
Room = Callable[[Triple], float]


def source(recipe: Recipe, extent: Sequence[float], slab: int) -> Triple:
    """The last size that a recipe grows to, no larger than the scans, and flat for slices.

    Raises:
        PlanError: The shares do not rise from 0 to 1.
    """
    shares = [share for share, _ in recipe.growth]
    if any(a >= b for a, b in pairwise([0.0, *shares])) or shares[-1] != 1:
        hint = "Write e.g. growth=[[0.6,[32,64,64]],[1,[48,96,96]]]: 60 % of the budget on the smaller size."
        raise PlanError("Shares of growth rise from 0 to 1.", got=str(shares), where="growth", hint=hint)
    step = limits_of(recipe).patch_step
    z, y, x = (
        min(length, network.up(whole, step if whole >= 2 * step else 1))
        for length, whole in zip(recipe.growth[-1][1], extent, strict=True)
    )
    return (1 if slab else z, y, x)


def patch(recipe: Recipe, size: Triple, steps: network.Steps, *, most: float, room: Room) -> tuple[Triple, str]:
    """The size trained on last: that of the source if it fits, else smaller and near cubic in mm.

    Args:
        recipe: With a growth.
        size: From `source`.
        steps: Relative spacing.
        most: Voxels that a step affords.
        room: Share of the memory for a step that a patch would take; above 1 it does not fit.
    """
    told = ", then ".join(" x ".join(map(str, each)) for _, each in recipe.growth) + " at the source of the recipe"
    least = limits_of(recipe).least_patch
    chosen, short = network.shrunk(size, steps, most), "a step affords"
    while (taken := room(chosen)) > 1 and math.prod(chosen) > least:
        fewer = min(math.prod(chosen) / taken, 0.95 * math.prod(chosen))
        chosen, short = network.shrunk(chosen, steps, max(fewer, least)), "fit in memory"
    if chosen == recipe.growth[-1][1]:
        return chosen, told
    if chosen == size:
        return chosen, f"{told}; no larger than the scans"
    return chosen, f"{told}; shrunk to the {math.prod(chosen) / 1e3:.0f} thousand voxels that {short}"


def stages(recipe: Recipe, last: Triple) -> Stages:
    """Sizes before the last, which keep their proportion to it; those of the recipe where it names them.

    Example:
        >>> grows = Recipe(growth=((0.5, (8, 64, 64)), (1, (16, 128, 128))))
        >>> stages(grows, (4, 64, 32))
        ((0.5, (2, 32, 16)),)
    """
    if recipe.stages or not recipe.growth:
        return recipe.stages
    *before, (_, end) = recipe.growth
    made = []
    for share, size in before:
        z, y, x = (max(1, round(n * now / then)) for n, now, then in zip(size, last, end, strict=True))
        made.append((share, (z, y, x)))
    return tuple(made)


def crops(recipe: Recipe, labels: LabelSpace) -> CropPlan | None:
    """The recipe's crops for the structures of a dataset.

    Raises:
        UnknownNameError: A structure that the dataset does not have; the nearest is named.
    """
    wish = recipe.crops
    if wish is None:
        return None
    for name in wish.structures:
        if name not in labels.names:
            raise UnknownNameError.among("structure", name, labels.names)
    found = tuple(labels.names.index(name) for name in wish.structures)
    return CropPlan(structures=found, margin=wish.margin, share=wish.share)


def sought(recipe: Recipe, labels: LabelSpace) -> tuple[tuple[int, ...], str]:
    """Numbers of the structures that patches are forced onto, empty for all alike, and why.

    A recipe lists the names that a structure goes by, as `tumour` and `lesion`; those that the data have count.
    """
    if not recipe.seek:
        return (), "all structures alike"
    wanted = {name.lower() for name in recipe.seek}
    found = tuple(index for index, name in enumerate(labels.names) if name.lower() in wanted)
    if found:
        return found, f"asked for in the recipe: {', '.join(labels.names[index] for index in found)}"
    asked = " or ".join(recipe.seek)
    if len(labels.names) == 1:
        return (), f"{labels.names[0]} is the only structure, so it is what the recipe calls {asked}"
    return (), f"no structure is called {asked}, so all alike; name yours with seek=[{labels.names[-1]}]"


def faults(recipe: Recipe, facts: Fingerprint, level: str, samples: float) -> tuple[bool, str]:
    """Whether sections are spoiled on purpose, and why; the reason is empty where nobody would expect it.

    Args:
        level: Strength of the other augmentation.
        samples: Patches that a fold will see.
    """
    if level == "off":
        return False, "sections are not spoiled either" if recipe.section_faults else ""
    if recipe.section_faults is not None:
        told = "spoiled sections are imitated, as asked for in the recipe"
        return recipe.section_faults, told if recipe.section_faults else ""
    if facts.modality != "em" or facts.dims != 3 or facts.anisotropy <= limits_of(recipe).thick_slices:
        return False, ""
    if samples < limits_of(recipe).short_run:
        return False, "spoiled sections are not imitated: a short run learns the usual ones first"
    return True, (
        f"spoiled sections are imitated: voxels {facts.anisotropy:.1f} times longer across come from sections that "
        "were cut and taken one by one, and some of those are missing, shifted, smeared or noisy"
    )
