"""Rules for instances: what a network learns so that objects can be told apart, and what that rules out."""

from __future__ import annotations

from segwright.core.errors import PlanError
from segwright.core.labels import LabelSpace
from segwright.core.plan import Plan
from segwright.core.recipe import Recipe

#: Targets of instances and the loss each usually takes.
LOSS = {
    "boundary": "weighted_bce",
    "boundary_seed": "weighted_bce",
    "affinities": "weighted_bce",
    "distance": "binary_cross_entropy",
    "flow": "binary_cross_entropy",
}
#: Targets of structures and the loss each usually takes, by the kind of labels.
STRUCTURES = {
    "exclusive": {"classes": "dice_ce"},
    "overlapping": {"regions": "dice_bce", "shares": "dice_ce"},
}
#: Their channels beside one a structure.
BESIDE = {"boundary": 1, "boundary_seed": 1, "affinities": 4, "distance": 1, "flow": 3}
#: Axes along which their channels have a direction, so that mirrored copies cannot be averaged.
DIRECTED = {"boundary": (0,), "affinities": (0, 1, 2), "distance": (0,), "flow": (0, 1, 2)}


def target(recipe: Recipe, labels: LabelSpace) -> tuple[tuple[str, str], str]:
    """Rows of the targets and losses tables, and why.

    Raises:
        PlanError: The recipe asks for a target that does not suit the labels.
    """
    if not labels.instances:
        suits = STRUCTURES[labels.kind]
        if recipe.target not in suits:
            raise PlanError(
                f"Target {recipe.target!r} does not suit {labels.kind} structures.",
                expected=" or ".join(suits),
                came=str(recipe.target),
                where="target",
                cure="Leave the target open, or add instances=true to tell objects apart.",
            )
        return (str(recipe.target), suits[str(recipe.target)]), "asked for in the recipe"
    row = recipe.target or "boundary"
    if row not in LOSS:
        raise PlanError(
            f"Target {row!r} does not tell objects apart.",
            expected=", ".join(LOSS),
            came=row,
            where="target",
            cure="Leave the target open.",
        )
    why = "asked for in the recipe" if recipe.target else "mask and boundary suit objects of any form, touching or not"
    return (row, LOSS[row]), why


def unmirrored(plan: Plan) -> Plan:
    """The plan without test-time mirroring along axes in which the target's channels have a direction."""
    kept = tuple(axis for axis in plan.window.mirror if axis not in DIRECTED.get(plan.target, ()))
    if kept == plan.window.mirror:
        return plan
    window = plan.window.model_copy(update={"mirror": kept})
    told = f"the training mirrors, but for axes in which {plan.target} scores have a direction"
    return plan.model_copy(update={"window": window, "why": {**plan.why, "window.mirror": told}})
