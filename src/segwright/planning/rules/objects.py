"""Rules for the target that a recipe asks for, or that tells objects apart, and what that rules out."""

from __future__ import annotations

from segwright.core.errors import PlanError
from segwright.core.labels import LabelSpace
from segwright.core.plan import Plan
from segwright.core.recipe import Recipe
from segwright.targets import suitable_targets, target_info


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
        more = "" if labels.instances else ", or add instances=true to tell objects apart"
        raise PlanError(
            f"Target {recipe.target!r} {what}.",
            expected=" or ".join(suits),
            came=str(recipe.target),
            where="target",
            cure=f"Leave the target open{more}.",
        )
    return recipe.target, "asked for in the recipe"


def unmirrored(plan: Plan) -> Plan:
    """The plan without test-time mirroring along axes in which the target's channels have a direction."""
    directed = target_info(plan.target).directed
    kept = tuple(axis for axis in plan.window.mirror if axis not in directed)
    if kept == plan.window.mirror:
        return plan
    window = plan.window.model_copy(update={"mirror": kept})
    told = f"the training mirrors, but for axes in which {plan.target} scores have a direction"
    return plan.model_copy(update={"window": window, "why": {**plan.why, "window.mirror": told}})
