"""Rules for batch, rate, schedule, loss, augmentation and mirroring."""

from __future__ import annotations

from segwright.core.labels import LabelSpace
from segwright.core.recipe import PartChoice, Recipe
from segwright.planning.fingerprint import Fingerprint
from segwright.planning.machine import Machine

#: Patches seen below which a run counts as short and only the cheap augmentations are used.
SHORT_RUN = 12_000


def batch(recipe: Recipe, machine: Machine, patch_voxels: int) -> tuple[int, str]:
    """Patches a step: 2 large or 4 small ones on a CPU, more on a GPU while patches are small."""
    if recipe.batch is not None:
        return recipe.batch, "asked for in the recipe"
    if machine.has_gpu:
        count = max(2, min(16, 2_000_000 // max(patch_voxels, 1)))
        return count, "as many patches as keep a GPU busy"
    count = 2 if patch_voxels > 50_000 else 4
    return count, f"more steps beat larger batches when time is short; {count} patches still feed batch norm"


def optimiser(recipe: Recipe) -> tuple[tuple[PartChoice, float, float], str]:
    """Optimiser, peak rate and weight decay."""
    choice = recipe.optimiser or PartChoice(name="adamw")
    lr = recipe.lr or (2e-3 if choice.name == "adamw" else 1e-2)
    decay = recipe.weight_decay if recipe.weight_decay is not None else (1e-2 if choice.name == "adamw" else 3e-5)
    return (
        choice,
        lr,
        decay,
    ), "AdamW at 2e-3 learns fastest in short runs from scratch; SGD pays only in very long ones"


def loss(recipe: Recipe, facts: Fingerprint, default: str, slab: int) -> tuple[PartChoice, str]:
    """Dice with cross-entropy; pooled over the batch for 2-D and for targets missing from many cases."""
    if recipe.loss is not None:
        return recipe.loss, "asked for in the recipe"
    rare = facts.rarest_share < 0.01 or any(n < 0.8 * facts.cases for n in facts.presence.values())
    pooled = bool(slab) or rare
    reason = "Dice with cross-entropy is the most robust compound"
    if pooled:
        reason += "; Dice is pooled over the batch because structures are missing from many patches"
    return PartChoice(name=default, params={"batch": pooled}), reason


def foreground(recipe: Recipe, facts: Fingerprint) -> tuple[float, str]:
    """Share of patches forced onto a structure."""
    if recipe.foreground is not None:
        return recipe.foreground, "asked for in the recipe"
    if facts.rarest_share < 0.01:
        return 0.5, f"the rarest structure fills {facts.rarest_share * 100:.2f} % of a case"
    return 0.33, "a third of the patches is forced onto a structure, the rest keeps background honest"


def mirror(recipe: Recipe, facts: Fingerprint, orientation: str | None, level: str) -> tuple[tuple[int, ...], str]:
    """Axes that may be flipped: left-right where no structure has a side, all in microscopy; none in short runs."""
    if recipe.mirror is not None:
        return tuple(sorted({"z": 0, "y": 1, "x": 2}[axis] for axis in recipe.mirror)), "asked for in the recipe"
    if facts.modality == "em":
        return (0, 1, 2) if facts.dims == 3 else (1, 2), "sections have no preferred direction"
    if level in {"off", "light"}:
        return (), "a short run has no time to learn anatomy both ways round"
    return _sideways(facts.labels, orientation)


def _sideways(labels: LabelSpace, orientation: str | None) -> tuple[tuple[int, ...], str]:
    if labels.has_sides:
        pair = next(i for i in range(len(labels.structures)) if labels.partner(i) is not None)
        return (), f"mirroring would swap {labels.names[pair]!r} and {labels.names[labels.partner(pair) or 0]!r}"
    axis = 2 if orientation is None else next(i for i, letter in enumerate(orientation) if letter in "RL")
    return (axis,), "left and right are alike; other directions carry identity (head to foot, front to back)"


def augmentation(recipe: Recipe, samples: float) -> tuple[str, str]:
    """Strength by the patches a fold will see."""
    if recipe.augment is not None:
        return recipe.augment, "asked for in the recipe"
    if samples < SHORT_RUN:
        return "light", f"about {samples:.0f} patches are seen: a short run gains from geometry and contrast only"
    return "medium", f"about {samples:.0f} patches are seen: time to profit from stronger changes"
