"""Rules for images larger than a step affords: a coarse look at the surroundings, and thrift with memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from segwright.core.errors import PlanError
from segwright.core.plan import NetSpec, Triple
from segwright.core.recipe import Recipe
from segwright.nets.catalogue import net_info
from segwright.planning.limits import limits_of

Bytes = Callable[[NetSpec, Triple, int], int]


def surround(recipe: Recipe, patch: Triple, extent: Sequence[float], slab: int) -> tuple[tuple[Triple, int], str]:
    """Voxels a side that are seen at lower resolution, and by how much lower.

    The coarse field has as many voxels as the tile, so that it costs at most as much.

    Raises:
        PlanError: Asked for where context slices are taken already.
    """
    if recipe.surround and recipe.surround > 1 and slab > 1:
        raise PlanError(
            "A network that sees neighbouring slices takes no surround.",
            got=f"slab={slab}, surround={recipe.surround}",
            where="surround",
            hint="Use slab=1 or slab=0, or leave surround open.",
        )
    limits = limits_of(recipe)
    tight = [axis for axis in range(3) if patch[axis] < limits.narrow_tile * extent[axis]]
    if recipe.surround:
        factor, reason = recipe.surround, "asked for in the recipe"
    elif slab != 1 or not tight:
        factor, reason = 1, "patches show enough of a scan"
    else:
        factor = 4 if max(extent[axis] / patch[axis] for axis in tight) > limits.far_surroundings else 2
        edges = " x ".join(f"{n:.0f}" for n in extent[1:])
        reason = (
            f"tiles of {patch[1]} x {patch[2]} out of {edges} pixels could not tell alike structures apart, so each "
            f"also sees {factor} times its edges, {factor} times coarser"
        )
    sides = [_side(n, factor) if axis in tight else 0 for axis, n in enumerate(patch)]
    if factor == 1 or not any(sides):
        return ((0, 0, 0), 1), reason if factor == 1 else "patches show whole scans already"
    return ((sides[0], sides[1], sides[2]), factor), reason


def _side(length: int, factor: int) -> int:
    """Half of what is seen beyond a tile, rounded up to a multiple of the reduction."""
    return math.ceil(length * (factor - 1) / 2 / factor) * factor


def zooms(recipe: Recipe, surrounded: bool) -> tuple[tuple[float, int], ...]:
    """Coarser beginnings, checked.

    Raises:
        PlanError: Shares that do not rise from 0 to below 1, factors below 2, or a surround of fixed size beside them.
    """
    shares = [share for share, _ in recipe.zooms]
    if any(a >= b for a, b in pairwise([0.0, *shares, 1.0])) or any(factor < 2 for _, factor in recipe.zooms):
        hint = "Write e.g. zooms=[[0.5,2]]: until half of the budget, images at half their size."
        raise PlanError("Zooms have rising shares below 1 and factors from 2.", got=str(recipe.zooms), hint=hint)
    if recipe.zooms and surrounded:
        hint = "Set surround=1, or leave zooms away."
        raise PlanError("Zooms change the size of what surrounds a tile.", got="zooms and a surround", hint=hint)
    return recipe.zooms


def thrift(net: NetSpec, patch: Triple, batch: int, *, budget: float, needs: Bytes) -> tuple[NetSpec, int, int, str]:
    """Network, batch and accumulated batches that fit the memory, cheapest sacrifice first.

    Halving the batch while accumulating twice as many costs no time; recomputing activations costs a third of it.
    """
    accumulate, given = 1, []
    while needs(net, patch, batch) > budget:
        if batch > 2:
            batch, accumulate = -(-batch // 2), accumulate * 2
        elif not net.checkpointing and net_info(net.name).recomputes:
            net = net.model_copy(update={"checkpointing": True})
            given.append("activations are recomputed")
        elif batch > 1:
            batch, accumulate = 1, accumulate * 2
            net = net.model_copy(update={"norm": "group"})
        else:
            break
    if accumulate > 1:
        given.append(f"gradients of {accumulate} batches of {batch} are summed")
    if not given:
        return net, batch, 1, "a step fits in memory as it is"
    return net, batch, accumulate, f"{' and '.join(given)}, so that a step takes at most {budget / 2**30:.1f} GB"
