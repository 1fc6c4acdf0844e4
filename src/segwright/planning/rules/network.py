"""Rules for patch, levels, kernels and widths, and for images larger than a step affords."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

from segwright.core.errors import PlanError
from segwright.core.plan import NetSpec, Triple
from segwright.core.recipe import Recipe
from segwright.core.registry import NetInfo
from segwright.nets.catalogue import net_info
from segwright.planning.limits import Limits, limits_of
from segwright.planning.machine import Machine

Steps = tuple[float, float, float]
Shape = tuple[tuple[Triple, ...], tuple[Triple, ...]]


def levels(extent: Sequence[int], steps: Steps, slab: int, most: int, limits: Limits) -> Shape:
    """Strides and kernels a level for an input of `extent` voxels with relative spacing `steps`.

    Axes with much coarser spacing are left alone until the others have caught up (anisotropic kernels); a 2-D
    network never touches z.
    """
    size, now = [float(n) for n in extent], list(steps)
    strides: list[Triple] = [(1, 1, 1)]
    kernels = [_kernel(now, slab, size, limits.coarse_axis)]
    while len(strides) < most:
        pool = [
            2
            if size[axis] / 2 >= limits.deepest
            and now[axis] < limits.coarse_axis * min(now[1:])
            and not (axis == 0 and slab)
            else 1
            for axis in range(3)
        ]
        if max(pool) == 1:
            break
        size = [n / s for n, s in zip(size, pool, strict=True)]
        now = [step * s for step, s in zip(now, pool, strict=True)]
        strides.append((pool[0], pool[1], pool[2]))
        kernels.append(_kernel(now, slab, size, limits.coarse_axis))
    return tuple(strides), tuple(kernels)


def _kernel(now: Sequence[float], slab: int, size: Sequence[float], coarse: float) -> Triple:
    flat = bool(slab) or now[0] >= coarse * min(now[1:]) or size[0] < 2
    return (1 if flat else 3, 3, 3)


def patch(
    recipe: Recipe, large: Sequence[float], steps: Steps, *, slab: int, machine: Machine, row: int | None = None
) -> tuple[Triple, str]:
    """As large as a step affords, never larger than the scans, as cubic in mm as they allow.

    The axis `row`, along which structures are named by their order, is kept whole.
    """
    if recipe.patch is not None:
        return recipe.patch, "asked for in the recipe"
    limits = limits_of(recipe)
    step, most = limits.patch_step, most_voxels(limits, machine)
    if slab:
        y, x = (up(large[axis], 2 * step) for axis in (1, 2))
        return _shrink((1, y, x), steps, most, "whole images", row=row)
    size = tuple(up(large[axis], step if large[axis] >= 2 * step else 1) for axis in range(3))
    return _shrink((size[0], size[1], size[2]), steps, most, "whole volumes", row=row)


def most_voxels(limits: Limits, machine: Machine) -> int:
    """Voxels that a patch may have."""
    return limits.voxels_gpu if machine.has_gpu else limits.voxels_cpu


def _shrink(size: Triple, steps: Steps, budget: int, whole: str, *, row: int | None) -> tuple[Triple, str]:
    if math.prod(size) <= budget:
        return size, f"{whole} fit ({math.prod(size) / 1e3:.0f} thousand voxels)"
    now = shrunk(size, steps, budget, row=row)
    reason = f"largest patch within {budget / 1e3:.0f} thousand voxels, near cubic in mm"
    kept = f", but whole along {'zyx'[row]}, for order names structures there" if row is not None else ""
    return now, reason + kept


def shrunk(size: Triple, steps: Steps, most: float, *, row: int | None = None) -> Triple:
    """`size` brought to at most `most` voxels, longest edges in mm first; `row` is kept whole."""
    now = list(size)
    while math.prod(now) > most:
        extent = [n * step if n > 16 else 0.0 for n, step in zip(now, steps, strict=True)]
        if row is not None and any(extent[other] > 0 for other in range(3) if other != row):
            extent[row] = 0.0
        axis = extent.index(max(extent))
        now[axis] -= 16 if now[axis] > 64 else 8
    return now[0], now[1], now[2]


def window(patch: Triple, extent: Sequence[float], divisor: Triple, room: float) -> tuple[Triple, str]:
    """The patch, or `room` times that where patches hold whole scans, so that the largest scan is still seen at once.

    Smaller scans cost nothing extra: a window is never larger than its scan.
    """
    if any(p < n for p, n in zip(patch, extent, strict=True)):
        return patch, "as in training"
    z, y, x = (n if n == 1 else up(room * n, d) for n, d in zip(patch, divisor, strict=True))
    return (z, y, x), f"training sees whole scans; {room:g} times that takes the largest scan in one piece"


def up(value: float, step: int) -> int:
    """The next multiple of `step`, at least one."""
    return max(step, math.ceil(value / step) * step)


def _widths(base: int, count: int, cap: int) -> tuple[int, ...]:
    """Doubling from `base`, capped."""
    return tuple(min(base * 2**level, max(cap, base)) for level in range(count))


def norm(recipe: Recipe, batch: int, slab: int, machine: Machine) -> tuple[Literal["instance", "batch", "group"], str]:
    """Batch norm where batches are large enough on a CPU, instance norm on a GPU, group norm otherwise."""
    if recipe.norm is not None:
        return recipe.norm, "asked for in the recipe"
    if machine.has_gpu:
        return "instance", "usual choice for small batches on a GPU"
    if batch >= 2:
        return "batch", f"cheapest on a CPU, and {batch} large patches hold enough voxels for its statistics"
    return "group", "a batch of one patch has no statistics of its own for batch norm"


def spec(recipe: Recipe, shape: Shape, *, base: int, slab: int, machine: Machine) -> NetSpec:
    """A network of that shape; channels are filled in by the planner."""
    strides, kernels = shape
    count = len(strides)
    name = recipe.net.name if recipe.net else "unet"
    residual = name == "resenc"
    limits = limits_of(recipe)
    return NetSpec(
        name=name,
        in_channels=1,
        out_channels=1,
        slab=slab,
        widths=_widths(base, count, limits.width_most_gpu if machine.has_gpu else limits.width_most_cpu),
        strides=strides,
        kernels=kernels,
        encoder_blocks=tuple([1, 3, 4, 6, 6, 6, 6, 6][level] for level in range(count)) if residual else (2,) * count,
        decoder_blocks=(1,) * (count - 1),
        deep_supervision=bool(recipe.deep_supervision)
        if recipe.deep_supervision is not None
        else machine.has_gpu and count > limits.supervised_levels,
        checkpointing=recipe.checkpointing,
        params=recipe.net.params if recipe.net else {},
    )


def published(recipe: Recipe, known: NetInfo, slab: int) -> tuple[NetSpec, str]:
    """The levels, kernels and blocks of a network's source, for data of either dimension.

    `width` scales all widths, `levels` leaves the coarsest out. Widths that begin with one channel are those of dense
    stacks, which follow from the network's own parameters, and stay.

    Raises:
        PlanError: The network is not built for this dimension, or has fewer levels than asked for.
    """
    source = known.setting
    count, most = recipe.levels or len(source.widths), len(source.widths)
    if count > most:
        hint = f"Ask for levels={most} or fewer, or for another net."
        raise PlanError(f"Network {source.name!r} has {most} levels.", got=f"levels={count}", where="net", hint=hint)
    _check_dimension(known, slab)
    scale = recipe.width / source.widths[0] if recipe.width and source.widths[0] > 1 else 1.0
    spec = source.model_copy(
        update={
            "name": recipe.net.name if recipe.net else source.name,
            "slab": slab,
            "widths": tuple(max(1, round(width * scale)) for width in source.widths[:count]),
            "strides": tuple(_turned(stride, source.slab, slab) for stride in source.strides[:count]),
            "kernels": tuple(_turned(kernel, source.slab, slab) for kernel in source.kernels[:count]),
            "encoder_blocks": source.encoder_blocks[:count],
            "decoder_blocks": source.decoder_blocks[: count - 1],
            "checkpointing": recipe.checkpointing,
            "params": recipe.net.params if recipe.net else {},
        }
    )
    if recipe.deep_supervision is not None:
        spec = spec.model_copy(update={"deep_supervision": recipe.deep_supervision})
    return spec, "asked for in the recipe" if scale != 1 else "as in the network's source; width= scales them"


def _check_dimension(known: NetInfo, slab: int) -> None:
    wanted = 2 if slab else 3
    if wanted not in known.dims:
        hint = "Set slab=1 to predict slice by slice, or choose another net." if wanted == 3 else "Choose another net."
        raise PlanError(
            f"Network {known.setting.name!r} is not built for {wanted} dimensions.",
            expected=" or ".join(f"{dims}-D" for dims in known.dims),
            got=f"slab={slab}",
            where="net",
            hint=hint,
        )


def _turned(edges: Triple, source: int, slab: int) -> Triple:
    """A stride or kernel of a source with that slab, for another: flat for slices, a cube where depth is new."""
    _, y, x = edges
    if slab:
        return (1, y, x)
    return (y, y, x) if source else edges


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
