"""Rules for the target that a recipe asks for, or that tells objects apart, and what that rules out."""

from __future__ import annotations

from segwright.core.errors import PlanError
from segwright.core.labels import LabelSpace
from segwright.core.recipe import Recipe
from segwright.targets import TARGETS, suitable_targets, target_info


def target(recipe: Recipe, labels: LabelSpace) -> tuple[str, str]:
    """Row of the targets table, and why.

    Raises:
        PlanError: The recipe asks for a target that does not suit the labels.
    """
    suits = suitable_targets(labels.kind)
    if recipe.target is None:
        return suits[0], "mask and boundary suit objects of any form, touching or not"
    if recipe.target not in suits:
        what = "does not tell objects apart" if labels.instances else f"does not suit {labels.kind} structures"
        raise PlanError(
            f"Target {recipe.target!r} {what}.",
            expected=" or ".join(suits),
            got=str(recipe.target),
            where="target",
            hint=_instead(recipe.target, labels),
        )
    return recipe.target, "asked for in the recipe"


def _instead(name: str, labels: LabelSpace) -> str:
    """What to do about a target that does not suit."""
    info = target_info(name) if name in TARGETS else None
    if info is not None and info.ordered:
        return "Set ordered=true instead."
    if info is not None and not info.kinds:
        return "Let its entry point name a segwright.core.registry.TargetInfo whose kinds say what it suits."
    return "Leave the target open" + ("." if labels.instances else ", or add instances=true to tell objects apart.")
