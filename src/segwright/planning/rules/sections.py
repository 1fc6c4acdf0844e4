"""The rule for stacks of sections: whether training imitates spoiled ones."""

from __future__ import annotations

from segwright.core.recipe import Recipe
from segwright.planning.fingerprint import Fingerprint
from segwright.planning.limits import limits_of


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
