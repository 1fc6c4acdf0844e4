"""Rules for look-alike structures in a row: whether to name them by their order, and what must then be left alone."""

from __future__ import annotations

from segwright.core.errors import PlanError
from segwright.core.labels import LabelSpace
from segwright.core.plan import RowPlan
from segwright.core.recipe import PartChoice, Recipe
from segwright.planning.fingerprint import Fingerprint
from segwright.planning.rules import objects
from segwright.targets import target_info

#: Augmentations that put parts of one case into another, and so a vertebra where none of its order belongs.
MIXING = {"cutmix"}


def target(recipe: Recipe, facts: Fingerprint) -> tuple[str, str]:
    """Row of the targets table, and why.

    Raises:
        PlanError: The recipe asks for an order of fewer than two structures.
    """
    if facts.labels.instances or recipe.target:
        return objects.target(recipe, facts.labels)
    by_order, why = _ordered(recipe, facts)
    if by_order:
        return "chain", why
    if facts.labels.exclusive:
        return "classes", f"one structure a voxel; {why}"
    order = facts.order
    if order is not None and order.drawn_only and recipe.loss is None:
        drawn = (
            f"structures share {order.shared * 100:.1f} % of their voxels, none more than {order.covered * 100:.0f} % "
            "of its own, as drawn outlines that touch do"
        )
        return "shares", f"{drawn}, so they are learnt against each other; {why}"
    return "regions", f"structures may share voxels; {why}"


def _ordered(recipe: Recipe, facts: Fingerprint) -> tuple[bool, str]:
    order = facts.order
    if recipe.ordered and len(facts.labels.structures) < 2:
        hint = "Leave 'ordered' out: a single structure needs no order."
        raise PlanError("There are no structures to order.", got=str(list(facts.labels.names)), hint=hint)
    if recipe.ordered is not None:
        return recipe.ordered, f"ordered={str(recipe.ordered).lower()} is asked for in the recipe"
    if order is None:
        return False, "too few structures in a case to form a row"
    if order.doubt:
        return False, f"no row of look-alikes ({order.doubt})"
    return True, (
        f"look-alikes in a row: in {order.in_row * 100:.0f} % of {order.cases} cases they follow one another along "
        f"{'zyx'[order.axis]}, neighbours of like size; each instance gets one label, and labels rise along the row"
    )


def axis(recipe: Recipe, facts: Fingerprint) -> int | None:
    """The axis (0 z, 1 y, 2 x) along which structures are named by their order; `None` if they are not."""
    if facts.order is None or not _ordered(recipe, facts)[0]:
        return None
    return facts.order.axis


def row(recipe: Recipe, facts: Fingerprint, *, cropped: bool) -> tuple[RowPlan | None, str]:
    """What labelled scans say of a row, and why."""
    if facts.order is None or not _ordered(recipe, facts)[0]:
        return None, ""
    found, why = facts.order.usual, facts.order.why_usual
    if found is not None and cropped:
        found, why = found.model_copy(update={"places": ()}), "scans are cut to their content, which moves places"
    return found, why


def channels(name: str, labels: LabelSpace) -> int:
    """Network outputs that a target needs."""
    return len(labels.structures) + target_info(name).beside


def unmirrored(axes: tuple[int, ...], reason: str, recipe: Recipe, facts: Fingerprint) -> tuple[tuple[int, ...], str]:
    """Axes to mirror, without the one along which order names the structures."""
    if not _ordered(recipe, facts)[0] or facts.order is None or facts.order.axis not in axes:
        return axes, reason
    kept = tuple(axis for axis in axes if axis != facts.order.axis)
    return kept, f"{reason}; not {'zyx'[facts.order.axis]}, along which the order of structures names them"


def listed(recipe: Recipe, target: str) -> tuple[PartChoice, ...]:
    """The augmentation steps that a recipe lists, without those that mix cases where order names structures."""
    return unmixed(target, recipe.augment if isinstance(recipe.augment, tuple) else ())


def unmixed(target: str, steps: tuple[PartChoice, ...]) -> tuple[PartChoice, ...]:
    """Augmentation steps without those that mix cases, where order names structures."""
    return tuple(step for step in steps if not target_info(target).ordered or step.name not in MIXING)
