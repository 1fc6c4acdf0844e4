"""Rules for what depends on one another: patch, levels, network, batch, and how many networks share the time."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from segwright.core.plan import NetSpec, Triple
from segwright.planning import traced
from segwright.planning.fingerprint import patches_held, prepared_shape, prepared_steps
from segwright.planning.pace import budget_seconds
from segwright.planning.pipeline import Context, Decision, Decisions
from segwright.planning.rules import network, order, patches, training


def patch(ctx: Context) -> Decisions:
    """What a step sees, and the levels that pool it."""
    extent, steps = prepared_shape(ctx.facts, ctx.prepare), prepared_steps(ctx.facts, ctx.prepare)
    size, why = _patch(ctx, extent, steps)
    (strides, kernels), pooled = _levels(ctx, size, steps)
    return (
        Decision("sample.patch", divisible(size, strides, ctx["net.slab"]), why),
        Decision("net.strides", strides, pooled),
        Decision("net.kernels", kernels),
    )


def _patch(ctx: Context, extent: network.Steps, steps: network.Steps) -> tuple[Triple, str]:
    """The last size trained on, and why."""
    recipe, machine, flat = ctx.recipe, ctx.machine, ctx["net.slab"]
    if not recipe.growth or recipe.patch is not None:
        along = order.axis(recipe, ctx.facts)
        return network.patch(recipe, extent, steps, slab=flat, machine=machine, row=along)
    size = patches.source(recipe, extent, flat)
    most = math.inf if machine.has_gpu and ctx.known else float(network.most_voxels(ctx.limits, machine))
    return patches.patch(recipe, size, steps, most=most, room=_room(ctx))


def _room(ctx: Context) -> patches.Room:
    """The share of memory for a step that a published network takes on a patch; others are narrowed to fit."""
    if ctx.known is None:
        return lambda size: 0.0
    spec, _ = network.published(ctx.recipe, ctx.known, ctx["net.slab"])
    spec = spec.model_copy(update=_channels(ctx))
    budget = ctx.limits.step_comfort * (ctx.machine.gpu_memory or ctx.machine.memory)

    def taken(size: Triple) -> float:
        size = divisible(size, spec.strides, spec.slab)
        batch, _ = training.batch(ctx.recipe, ctx.machine, math.prod(size))
        return ctx.costs.of_step(spec, size, batch) / budget

    return taken


def _levels(ctx: Context, size: Triple, steps: network.Steps) -> tuple[network.Shape, str]:
    """Strides and kernels, from the data or from the network's source."""
    flat = ctx["net.slab"]
    if ctx.known is not None:
        spec, _ = network.published(ctx.recipe, ctx.known, flat)
        return (spec.strides, spec.kernels), "as in the network's source"
    limits = ctx.limits
    most = ctx.recipe.levels or (limits.levels_gpu if ctx.machine.has_gpu or flat else limits.levels_cpu)
    why = f"pooled while {limits.deepest} voxels stay; coarse axes wait until spacing is even"
    return network.levels(size, steps, flat, most, limits), why


def divisible(size: Triple, strides: tuple[Triple, ...], flat: int) -> Triple:
    """A size rounded up to what the strides divide; slices stay flat."""
    total = [math.prod(stride[axis] for stride in strides) for axis in range(3)]
    if flat:
        total[0] = 1
    z, y, x = (math.ceil(n / d) * d for n, d in zip(size, total, strict=True))
    return z, y, x


def _channels(ctx: Context) -> dict[str, int]:
    """Of the image, and of what the target asks for."""
    return {"in_channels": len(ctx.facts.channels), "out_channels": order.channels(ctx["target"], ctx.facts.labels)}


class _Sized(NamedTuple):
    """A network, its batches, and why."""

    net: NetSpec
    batch: int
    accumulate: int
    why: dict[str, str]


def _sized(ctx: Context, members: int) -> _Sized:
    """The widest network whose steps fit its share of the time, reduced to the memory there is."""
    recipe, machine, size, flat = ctx.recipe, ctx.machine, ctx.patch, ctx["net.slab"]
    why = {"net.strides": ctx.decided["net.strides"].reason}
    batch, why["train.batch"] = training.batch(recipe, machine, math.prod(size))
    norm, why["net.norm"] = network.norm(recipe, batch, flat, machine)
    if ctx.known is not None and recipe.norm is None:
        norm, why["net.norm"] = ctx.known.setting.norm, "as in the network's source"
    extent = prepared_shape(ctx.facts, ctx.prepare)
    (around, factor), why["net.surround"] = network.surround(recipe, size, extent, flat)
    net, why["net.widths"] = _widest(ctx, {"surround": around, "reduction": factor}, batch, members)
    net, accumulate = net.model_copy(update={**_channels(ctx), "norm": norm}), recipe.accumulate
    if recipe.batch is None:
        there = ctx.limits.step_comfort * (machine.gpu_memory or machine.memory)
        net, batch, times, why["train.accumulate"] = network.thrift(
            net, size, batch, budget=there, needs=ctx.costs.of_step
        )
        accumulate *= times
    return _Sized(net, batch, accumulate, why)


def _widest(ctx: Context, around: dict[str, Any], batch: int, members: int) -> tuple[NetSpec, str]:
    """The widest base whose steps fit the time, or the widths of the network's source."""
    recipe, flat, shape = ctx.recipe, ctx["net.slab"], (ctx["net.strides"], ctx["net.kernels"])
    if ctx.known is not None:
        published, why = network.published(recipe, ctx.known, flat)
        return published.model_copy(update=around), why
    if recipe.width:
        asked = network.spec(recipe, shape, base=recipe.width, slab=flat, machine=ctx.machine)
        return asked.model_copy(update=around), "asked for in the recipe"
    chosen, why = None, ""
    for base, enough in ctx.limits.widths.items():  # from narrow to wide, for steps of wide ones take long
        spec = network.spec(recipe, shape, base=base, slab=flat, machine=ctx.machine).model_copy(update=around)
        steps = _steps(ctx, spec, batch, members)
        if chosen is not None and steps < enough:
            break
        chosen, why = spec, f"widest whose steps fit: about {steps:.0f} a fold, {enough} wanted for {base}"
    assert chosen is not None
    return chosen, why


def seconds(ctx: Context, members: int) -> float:
    """Training seconds a network."""
    budget = budget_seconds(ctx.recipe, gpu=ctx.machine.has_gpu)
    return budget * ctx.limits.training_share / max(ctx.folds_trained, 1) / members


def _steps(ctx: Context, spec: NetSpec, batch: int, members: int) -> float:
    """Steps that a network makes in its time."""
    if ctx.recipe.steps:
        return float(ctx.recipe.steps)
    return seconds(ctx, members) / ctx.step_seconds(spec, ctx.patch, batch)


def members(ctx: Context) -> Decisions:
    """Networks a fold, counted on the network that would have all of its time."""
    first = ctx.recipe.members or 1
    sized = _sized(ctx, first)
    steps = _steps(ctx, sized.net, sized.batch, first)
    seen = steps * sized.batch * ctx.machine.devices
    return Decision("train.members", *training.members(ctx.recipe, steps, seen, held(ctx), target=ctx["target"]))


def net(ctx: Context) -> Decisions:
    """The network for its share of the time, and its batches."""
    count = ctx["train.members"]
    spec, batch, accumulate, why = _sized(ctx, count)
    told = "" if ctx.recipe.steps else _few_steps(ctx, spec, batch, _steps(ctx, spec, batch, count))
    open_fields = {name: value for name, value in dict(spec).items() if name not in {"strides", "kernels", "slab"}}
    return (
        *(
            Decision(f"net.{name}", value, why.get(f"net.{name}", ""), told if name == "widths" else "")
            for name, value in open_fields.items()
        ),
        Decision("train.batch", batch, why["train.batch"]),
        Decision("train.accumulate", accumulate, why.get("train.accumulate", "")),
    )


def _few_steps(ctx: Context, spec: NetSpec, batch: int, steps: float) -> str:
    """That few steps of a published network fit the time, and what would hold more."""
    if ctx.trace is None or steps >= ctx.limits.few_steps:
        return ""
    trace, size = ctx.trace, ctx.patch
    work = trace(spec, size, batch).flops * steps
    hint = traced.narrower(spec, lambda one: work / trace(one, size, batch).flops >= ctx.limits.few_steps)
    return f"Only about {steps:.0f} steps fit a fold; for {ctx.limits.few_steps} ask for {hint}"


def held(ctx: Context) -> float:
    """Patches that fill the training cases of a fold."""
    return patches_held(ctx.facts, ctx.prepare, ctx.patch, ctx["folds"])


def samples(ctx: Context) -> float:
    """Patches that a network sees."""
    batch: int = ctx["train.batch"]
    return _steps(ctx, ctx.net, batch, ctx["train.members"]) * batch * ctx.machine.devices
