"""The rules of planning, in the order in which they are asked; `RULES` at the end is the whole of it."""

from __future__ import annotations

from itertools import pairwise

from segwright.core.errors import PlanError
from segwright.core.recipe import PartChoice
from segwright.core.words import amount
from segwright.metrics.pair import usual_tolerance
from segwright.planning import memory, sizing
from segwright.planning.fingerprint import prepared_shape
from segwright.planning.pipeline import Context, Decision, Decisions, Rule
from segwright.planning.rules import network, order, patches, sides, space, training
from segwright.planning.rules.patches import crops, faults, sought
from segwright.targets import target_info


def identity(ctx: Context) -> Decisions:
    """What is taken from the data and the recipe as it is."""
    recipe, facts = ctx.recipe, ctx.facts
    taken = {
        "recipe": recipe.name,
        "channels": facts.channels,
        "upright": facts.upright,
        "modality": facts.modality,
        "labels": facts.labels,
        "postprocess": recipe.postprocess,
        "tolerance": recipe.tolerance or usual_tolerance(facts.spacing),
        "seed": recipe.seed,
        "prepare.voxel": facts.voxel,
    }
    return tuple(Decision(name, value) for name, value in taken.items())


def target(ctx: Context) -> Decisions:
    """What the network learns, and for rows what is known of their places is decided below."""
    return Decision("target", *order.target(ctx.recipe, ctx.facts))


def preparation(ctx: Context) -> Decisions:
    """Orientation, physical scale, size, border and intensities."""
    recipe, facts, machine = ctx.recipe, ctx.facts, ctx.machine
    scale, why = space.scale(recipe, facts, machine)
    turned = "slices first, growing to the patient's superior, anterior and right"
    return (
        Decision("prepare.orientation", facts.orientation, turned),
        Decision("prepare.crop", *space.crop(facts, ctx.limits)),
        Decision("prepare.spacing", scale.spacing, why),
        Decision("prepare.kept", scale.kept),
        Decision("prepare.fit", *space.fit(recipe, facts, machine)),
        Decision("prepare.normalise", *space.normalise(recipe, facts)),
    )


def row(ctx: Context) -> Decisions:
    """Where structures that are named by their order usually lie."""
    found, why = order.row(ctx.recipe, ctx.facts, cropped=ctx["prepare.crop"])
    return Decision("row", found, why)


def folds(ctx: Context) -> Decisions:
    """As many as asked for, if there are groups for them."""
    asked, groups = ctx.recipe.folds, ctx.facts.groups
    count = min(asked, groups)
    count = count if count > 1 else 0
    short = f"only {amount(groups, 'group')} to keep apart"
    one = "one fold would validate on what it trains on, so all cases train and none validates"
    return Decision("folds", count, "asked for in the recipe" if count == asked else short if asked > 1 else one)


def slab(ctx: Context) -> Decisions:
    """Whether the network sees slices, slabs or volumes."""
    return Decision("net.slab", *space.slab(ctx.recipe, ctx.facts, ctx.machine))


def augmentation(ctx: Context) -> Decisions:
    """Random changes, and the axes that may be flipped."""
    recipe, facts, samples = ctx.recipe, ctx.facts, sizing.samples(ctx)
    level, why = training.augmentation(recipe, facts, samples, sizing.held(ctx))
    (mirror, exchange), flips = training.mirror(recipe, facts, ctx["prepare.orientation"], samples, level)
    spoiled = False
    if level != training.LISTED:
        spoiled, reason = faults(recipe, facts, level, samples)
        why += f"; {reason}" if reason else ""
    doubt = f"Mirroring is {flips[flips.index('doubtful along') :]}" if "doubtful along" in flips else ""
    return (
        Decision("augment.steps", _augment(ctx, level, spoiled=spoiled), why),
        Decision("augment.mirror", mirror, flips, doubt),
        Decision("exchange", exchange, sides.measured(facts)),
    )


def _augment(ctx: Context, level: str, *, spoiled: bool) -> tuple[PartChoice, ...]:
    if level == training.LISTED:
        return order.listed(ctx.recipe, ctx["target"])
    return order.unmixed(
        ctx["target"],
        ctx.augmentations(
            level,
            dims=2 if ctx.net.slab else 3,
            anisotropic=space.in_plane(ctx.facts, ctx.patch, ctx.limits),
            modality=ctx.facts.modality,
            sections=ctx.patch[0] + 2 * ctx.net.context[0] if spoiled else 0,
        ),
    )


def sampling(ctx: Context) -> Decisions:
    """Which patches are shown, of which sizes."""
    recipe, facts = ctx.recipe, ctx.facts
    stages, why = _stages(ctx)
    return (
        Decision("sample.policy", PartChoice(name=recipe.policy or "foreground")),
        Decision("sample.foreground", *training.foreground(recipe, facts)),
        Decision("sample.seek", *sought(recipe, facts.labels)),
        Decision("sample.stages", stages, why),
        Decision("sample.zooms", network.zooms(recipe, any(ctx.net.surround))),
        Decision("sample.crops", crops(recipe, facts.labels)),
    )


def _stages(ctx: Context) -> tuple[patches.Stages, str]:
    """Patches before the last one, rounded up to what the network takes.

    Raises:
        PlanError: Their shares do not rise from 0 to below 1.
    """
    stages = patches.stages(ctx.recipe, ctx.patch)
    if any(a >= b for a, b in pairwise([0.0, *(share for share, _ in stages), 1.0])):
        hint = "Write e.g. stages=[[0.6,[32,64,64]]]: until 60 % of the budget, patches of that size."
        got = str([share for share, _ in stages])
        raise PlanError("Shares of stages rise from 0 to below 1.", got=got, where="stages", hint=hint)
    why = "asked for in the recipe" if ctx.recipe.stages else "in proportion, as at their source"
    rounded = tuple((share, sizing.divisible(size, ctx.net.strides, ctx.net.slab)) for share, size in stages)
    return rounded, why if stages else ""


def schedule(ctx: Context) -> Decisions:
    """How a network is trained."""
    recipe, facts, name = ctx.recipe, ctx.facts, ctx["target"]
    (choice, lr, decay), why = training.optimiser(recipe)
    return (
        Decision("train.devices", ctx.machine.devices),
        Decision("train.loss", *training.loss(recipe, facts, name, ctx["net.slab"])),
        Decision("train.optimiser", choice, why),
        Decision("train.lr", lr),
        Decision("train.weight_decay", decay),
        Decision(
            "train.schedule", recipe.schedule or PartChoice(name="cosine", params={"floor": ctx.limits.cosine_floor})
        ),
        Decision("train.warmup", *training.warmup(recipe)),
        Decision("train.ema", ctx.limits.ema if recipe.ema else 0.0),
        Decision("train.keep", *training.keep(recipe)),
        Decision("train.precision", recipe.precision),
        Decision("train.compile", recipe.compile),
        Decision("train.start", *training.start(recipe, name, facts)),
        Decision("train.freeze", recipe.freeze, "asked for in the recipe" if recipe.freeze else ""),
    )


def time(ctx: Context) -> Decisions:
    """Steps, or seconds by share of the time budget; a fit measures what the rest takes, and shares out anew."""
    if ctx.recipe.steps is not None:
        told = "asked for in the recipe; such a run can be repeated exactly"
        return Decision("train.seconds", None), Decision("train.steps", ctx.recipe.steps, told)
    shared = (
        f"{ctx.limits.training_share * 100:.0f} % of the time budget, shared by {amount(ctx.folds_trained, 'fold')}"
    )
    seconds = sizing.seconds(ctx, ctx["train.members"])
    return Decision("train.seconds", seconds, shared), Decision("train.steps", None)


def window(ctx: Context) -> Decisions:
    """How scans are predicted."""
    recipe, divisor = ctx.recipe, ctx.net.divisor
    extent = prepared_shape(ctx.facts, ctx.prepare)
    size, why = network.window(ctx.patch, extent, divisor, ctx.limits.window_room)
    while (
        memory.scan_bytes(ctx.net, size, extent) > ctx.limits.scan_memory * ctx.machine.memory and size[0] > divisor[0]
    ):
        size = (size[0] - divisor[0], size[1], size[2])
        why = "as in training, but lower: scores of a window's slices must fit in memory"
    blended = "windows that overlap, blended with Gaussian weights, leave no seams"
    if recipe.blend == "slices":
        blended = "slices of windows that overlap count alike, as asked for in the recipe"
    return (
        Decision("window.size", size, why),
        Decision("window.overlap", ctx.limits.overlap if recipe.overlap is None else recipe.overlap, blended),
        Decision("window.blend", recipe.blend or "gaussian"),
        Decision("window.mirror", *_mirrored(ctx)),
    )


def _mirrored(ctx: Context) -> tuple[tuple[int, ...], str]:
    """The training mirrors, but for axes in which the target's channels have a direction."""
    if ctx.recipe.tta is False:
        return (), "switched off in the recipe"
    directed, trained = target_info(ctx["target"]).directed, ctx["augment.mirror"]
    kept = tuple(axis for axis in trained if axis not in directed)
    if kept == trained:
        return kept, "the training mirrors, averaged at prediction"
    return kept, f"the training mirrors, but for axes in which {ctx['target']} scores have a direction"


def restoration(ctx: Context) -> Decisions:
    """Whether spoiled sections are mended first (a fit tells which)."""
    asked, deep = ctx.recipe.restore_sections, ctx.facts.dims == 3
    if not asked:
        return Decision("restore_sections", value=False)
    if deep:
        return Decision("restore_sections", value=True, reason="asked for in the recipe")
    why = "single planes have no neighbours"
    return Decision("restore_sections", value=False, reason=why, warning=f"No sections are restored: {why}")


def speed(ctx: Context) -> Decisions:
    """Precision, memory layout and norm, as they were fastest on this machine; what was fixed before stays."""
    found = ctx.measured
    if found is None:
        return ()
    failed = "their bfloat16 results failed the self-test on this processor" if found.float32_layers else ""
    norm = () if found.norm == ctx["net.norm"] else (Decision("net.norm", found.norm, found.why),)
    fixed = ctx.decided.get("train.channels_last")
    layout = Decision("train.channels_last", found.channels_last, "measured together with precision")
    precision = () if ctx["train.precision"] == found.precision else (found.precision,)
    return (
        *(Decision("train.precision", one, found.why) for one in precision),
        *((layout,) if fixed is None or fixed.value is None else ()),
        Decision("train.float32_layers", found.float32_layers, failed),
        *norm,
    )


def start(ctx: Context) -> Decisions:
    """The weights that folds start from."""
    found = ctx.measured
    return () if found is None or found.init is None else Decision("train.init", found.init, found.taken)


def allotment(ctx: Context) -> Decisions:
    """Seconds of each network, as what follows training leaves them."""
    found = ctx.allotted
    return Decision("train.seconds", found.seconds, found.reason, found.warning) if found.reason else ()


def copies(ctx: Context) -> Decisions:
    """Fewer mirrored copies where they would take the time that training needs."""
    axes, reason = ctx.allotted.mirror
    return Decision("window.mirror", axes, reason) if reason else ()


def mended(ctx: Context) -> Decisions:
    """Which sections were restored."""
    told = ctx.allotted.mended
    return Decision("restore_sections", value=True, reason=told) if told else ()


#: Every rule, in order.
RULES: tuple[Rule, ...] = (
    Rule(identity),
    Rule(target),
    Rule(preparation),
    Rule(row),
    Rule(folds),
    Rule(slab),
    Rule(sizing.patch),
    Rule(sizing.members),
    Rule(sizing.net),
    Rule(augmentation),
    Rule(sampling),
    Rule(schedule),
    Rule(time),
    Rule(window),
    Rule(restoration),
    Rule(speed, "measured"),
    Rule(start, "measured"),
    Rule(allotment, "budget"),
    Rule(copies, "budget"),
    Rule(mended, "budget"),
)
