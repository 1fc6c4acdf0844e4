"""Rules for what patches show: enlarged crops, structures that are sought, and sections that are spoiled on purpose."""

from __future__ import annotations

from segwright.core.errors import UnknownNameError
from segwright.core.labels import LabelSpace
from segwright.core.plan import CropPlan
from segwright.core.recipe import Recipe
from segwright.planning.fingerprint import Fingerprint
from segwright.planning.limits import limits_of


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
