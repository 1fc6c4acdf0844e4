"""Rule for enlarged crops: names of structures become numbers, and unknown ones are refused."""

from __future__ import annotations

from segwright.core.errors import UnknownNameError
from segwright.core.labels import LabelSpace
from segwright.core.plan import CropPlan
from segwright.core.recipe import Recipe


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
