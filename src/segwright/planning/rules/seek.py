"""Rule for forced patches: which structures they are drawn on, where a recipe names some."""

from __future__ import annotations

from segwright.core.labels import LabelSpace
from segwright.core.recipe import Recipe


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
