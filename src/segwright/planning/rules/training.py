"""Rules for batch, rate, schedule, loss, augmentation and mirroring."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Literal

from segwright.core.errors import PlanError
from segwright.core.recipe import PartChoice, Recipe
from segwright.core.registry import Activation
from segwright.losses import loss_info
from segwright.planning.fingerprint import Fingerprint
from segwright.planning.limits import Limits, limits_of
from segwright.planning.machine import Machine
from segwright.planning.rules import order, sides
from segwright.targets import target_info

#: Stands for steps that a recipe lists itself, where a level has a name.
LISTED = "listed"


def members(recipe: Recipe, steps: float, samples: float, patches: float, *, target: str) -> tuple[int, str]:
    """Networks a fold: as many as its time can train to the point where more time no longer pays."""
    if recipe.members is not None:
        return recipe.members, "asked for in the recipe"
    if recipe.steps is not None:
        return 1, "a run of counted steps trains one network a fold"
    passes = samples / max(patches, 1.0)
    row = target_info(target).ordered
    limits = limits_of(recipe)
    most = limits.row_members_most if row else limits.members_most
    enough = limits.row_member_steps if row else limits.member_steps
    count = int(max(1, min(most, passes // limits.member_passes, steps // enough)))
    seen = f"about {steps:.0f} steps would show each voxel {passes:.0f} times to one network"
    several = "several agree on names that one would learn by heart" if row else "the mean of several gains more"
    return count, f"{seen}; " + (several if count > 1 else "one uses the time best")


def batch(recipe: Recipe, machine: Machine, patch_voxels: int) -> tuple[int, str]:
    """Patches a step: 2 large or 4 small ones on a CPU, more on a GPU while patches are small."""
    if recipe.batch is not None:
        return recipe.batch, "asked for in the recipe"
    limits = limits_of(recipe)
    if machine.has_gpu:
        count = max(2, min(limits.batch_most, limits.gpu_step_voxels // max(patch_voxels, 1)))
        return count, "as many patches as keep a GPU busy"
    count = 2 if patch_voxels > limits.small_patch else 4
    return count, f"more steps beat larger batches when time is short; {count} patches still feed batch norm"


def optimiser(recipe: Recipe) -> tuple[tuple[PartChoice, float, float], str]:
    """Optimiser, peak rate and weight decay."""
    choice = recipe.optimiser or PartChoice(name="adamw")
    limits, adamw = limits_of(recipe), choice.name == "adamw"
    lr = recipe.lr or (limits.lr_adamw if adamw else limits.lr_other)
    usual = limits.decay_adamw if adamw else limits.decay_other
    decay = recipe.weight_decay if recipe.weight_decay is not None else usual
    return (
        choice,
        lr,
        decay,
    ), "AdamW at 2e-3 learns fastest in short runs from scratch; SGD pays only in very long ones"


def start(recipe: Recipe, target: str, facts: Fingerprint) -> tuple[tuple[float, ...], str]:
    """Logits before the first step: those of how much of a scan each structure covers on average.

    A fresh sigmoid says one half everywhere, a fresh softmax the same of all. With many small structures the first
    hundreds of steps then teach only that they are rare (Lin et al. 2017, arXiv 1708.02002, start a detector so). Dice
    of 32 teeth after 150 and 450 steps: sigmoids 0.01 and 0.50, with this start 0.43 and 0.72; softmax 0.22 and 0.75,
    with it 0.62 and 0.79.
    """
    if recipe.loss is not None:
        return (), "a loss asked for may need even scores to start from, as Dice alone does"
    if not target_info(target).per_structure:
        return (), f"target {target!r} finds its level in a few steps"
    if not facts.share.keys() >= set(facts.labels.names):
        return (), "shares of structures are not known"
    shares = [facts.share[name] * facts.presence[name] / facts.cases for name in facts.labels.names]
    told = "each structure's share of a scan, so that the first steps need not teach how rare it is"
    return share_logits(target, shares, limits_of(recipe)), f"{told}; in each fold the share in its training cases"


def share_logits(target: str, shares: Sequence[float], limits: Limits) -> tuple[float, ...]:
    """Logits of a target's channels whose scores are the structures' mean shares of a scan."""
    scores = [min(max(share, limits.rarest_start), 0.5) for share in shares]
    if not target_info(target).background:
        return tuple(round(log(score / (1 - score)), 3) for score in scores)
    return tuple(round(log(score), 3) for score in (max(1 - sum(scores), 0.1), *scores))


def warmup(recipe: Recipe) -> tuple[float, str]:
    """Share of the budget with a rising rate."""
    if recipe.warmup is not None:
        return recipe.warmup, "asked for in the recipe"
    return limits_of(recipe).warmup, "a short rise keeps the first steps of AdamW from throwing the start away"


def loss(recipe: Recipe, facts: Fingerprint, target: str, slab: int) -> tuple[PartChoice, str]:
    """Dice with cross-entropy; pooled over the batch for 2-D and for targets missing from many cases.

    Raises:
        PlanError: The loss asked for is meant for the other kind of structures.
    """
    usual = target_info(target).loss
    if recipe.loss is not None:
        return fitting_loss(recipe.loss, target), "asked for in the recipe"
    if facts.labels.instances:
        params = {"activation": _activation(target)} if loss_info(usual).activation == "any" else {}
        return PartChoice(name=usual, params=params), "the usual loss of the target"
    limits = limits_of(recipe)
    missing = any(n < limits.rare_cases * facts.cases for n in facts.presence.values())
    rare = facts.rarest_share < limits.rare_share or missing
    pooled = bool(slab) or rare
    reason = "Dice with cross-entropy is the most robust compound"
    if loss_info(usual).ordered:
        reason += ", here of structures and of their cores"
    if pooled:
        reason += "; Dice is pooled over the batch because structures are missing from many patches"
    return PartChoice(name=usual, params={"batch": pooled}), reason


def fitting_loss(choice: PartChoice, target: str) -> PartChoice:
    """A loss that a person named, set to the scores of a target.

    Raises:
        PlanError: The loss is meant for another kind of target.
    """
    _refuse_strange(choice, target_info(target).loss)
    return _fitting(choice, _activation(target))


def _activation(target: str) -> Activation:
    """What a target's scores are read off."""
    return "softmax" if target_info(target).background else "sigmoid"


def _refuse_strange(choice: PartChoice, usual: str) -> None:
    """A row of structures has a loss of its own, which fits no other target."""
    if choice.name != usual and (loss_info(choice.name).ordered or loss_info(usual).ordered):
        hint = "Leave the loss open." if loss_info(usual).ordered else "Leave the loss open, or set ordered=true."
        what = f"Loss {choice.name!r} does not fit the target."
        raise PlanError(what, expected=usual, got=choice.name, where="loss", hint=hint)


def _fitting(choice: PartChoice, activation: Activation) -> PartChoice:
    """The loss with its activation set as the target's; a loss for the other kind of structures is refused."""
    for part in _parts(choice):
        own = loss_info(part.name).activation
        asked = part.params.get("activation", activation if own in {"any", None} else own)
        if asked != activation:
            raise PlanError(
                f"Loss {part.name!r} trains a {asked}, but the target's scores are read off a {activation}.",
                where="loss",
                hint=f"Use loss={'dice_ce' if activation == 'softmax' else 'dice_bce'}, or leave the loss open.",
            )
    if loss_info(choice.name).activation != "any":
        return choice
    return choice.model_copy(update={"params": {**choice.params, "activation": activation}})


def _parts(choice: PartChoice) -> list[PartChoice]:
    """A loss and those inside it."""
    inside = [choice.params[key] for key in loss_info(choice.name).parts if key in choice.params]
    return [choice, *(PartChoice.model_validate(PartChoice.parse(each)) for each in inside)]


def keep(recipe: Recipe) -> tuple[Literal["last", "best"], str]:
    """Whether the weights at the end are kept, or those of the best check on the way."""
    if recipe.keep == "last":
        return "last", "the end of the schedule owes nothing to the validation cases, so their scores are honest"
    if recipe.folds == 0:
        return "best", "asked for in the recipe; without validation cases it is the best on training patches"
    return "best", (
        "asked for in the recipe: 20 checks on 8 patches of the validation cases choose the weights, "
        "so scores of these cases are slightly too good"
    )


def foreground(recipe: Recipe, facts: Fingerprint) -> tuple[float, str]:
    """Share of patches forced onto a structure."""
    if recipe.foreground is not None:
        return recipe.foreground, "asked for in the recipe"
    limits = limits_of(recipe)
    if recipe.policy == "equal":
        return 0.5, "as many patches with a structure as without"
    if facts.rarest_share < limits.rare_share:
        return limits.foreground_rare, f"the rarest structure fills {facts.rarest_share * 100:.2f} % of a case"
    return limits.foreground, "a third of the patches is forced onto a structure, the rest keeps background honest"


def mirror(
    recipe: Recipe, facts: Fingerprint, orientation: str | None, samples: float, level: str
) -> tuple[tuple[tuple[int, ...], sides.Exchange], str]:
    """Axes that may be flipped at a strength of augmentation, and the structures that change places with each.

    Never the axis along which order names structures.
    """
    sideways = 2 if orientation is None else next(i for i, letter in enumerate(orientation) if letter in "RL")
    axes, reason = _mirror(recipe, facts, sideways, samples if level != "light" else 0)
    (axes, exchange), reason = sides.flips(axes, reason, recipe, facts, sideways)
    axes, reason = order.unmirrored(axes, reason, recipe, facts)
    return (axes, {axis: pairs for axis, pairs in exchange.items() if axis in axes}), reason


def _mirror(recipe: Recipe, facts: Fingerprint, sideways: int, samples: float) -> tuple[tuple[int, ...], str]:
    """Left and right, all axes in microscopy; none in short runs."""
    if recipe.mirror is not None:
        return tuple(sorted({"z": 0, "y": 1, "x": 2}[axis] for axis in recipe.mirror)), "asked for in the recipe"
    if facts.modality == "em":
        return (0, 1, 2) if facts.dims == 3 else (1, 2), "sections have no preferred direction"
    asked = recipe.augment in ("off", "light")
    limits = limits_of(recipe)
    enough = limits.film_patches if facts.modality == "xray" else limits.short_run
    if asked or (recipe.augment is None and samples < enough):
        return (), "a short run has no time to learn anatomy both ways round"
    return (sideways,), "left and right look alike; other directions carry identity (head to foot, front to back)"


def augmentation(recipe: Recipe, facts: Fingerprint, samples: float, patches: float) -> tuple[str, str]:
    """Strength by the samples a fold will see, in all and of each of the patches that its training cases hold."""
    if isinstance(recipe.augment, tuple):
        return LISTED, "step by step as listed in the recipe"
    if recipe.augment is not None:
        return recipe.augment, "asked for in the recipe"
    passes = samples / max(patches, 1.0)
    seen = f"about {samples:.0f} patches are seen, each voxel {passes:.0f} times"
    film = facts.modality == "xray"
    limits = limits_of(recipe)
    many = limits.film_patches if film else limits.many_patches
    often = limits.film_passes if film else limits.many_passes
    if samples >= limits.short_run or (samples >= many and passes >= often):
        return "medium", f"{seen}: with light changes only they would be learnt by heart"
    return "light", f"{seen}: a short run gains from geometry and contrast only"
