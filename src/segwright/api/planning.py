"""From a recipe and a dataset to a plan: parts that are named exist, data are inspected, the machine is measured."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from segwright.api import transfer
from segwright.api.instances import arranged
from segwright.core.case import Dataset
from segwright.core.errors import IntegrityError, RecipeError, UnknownNameError, UsageError
from segwright.core.events import Listen, Stage, counted, silent
from segwright.core.inspection import Inspection
from segwright.core.plan import NetSpec, Plan, Triple
from segwright.core.recipe import PartChoice, Recipe, RecipeFields
from segwright.core.registry import NetInfo, Registry
from segwright.core.words import amount
from segwright.nets import net_info
from segwright.planning.check import inspect as inspect_dataset
from segwright.planning.edited import recipe_of
from segwright.planning.fingerprint import Fingerprint, fingerprint
from segwright.planning.machine import Machine, this_machine
from segwright.planning.pace import StepTimer
from segwright.planning.pipeline import Context, advance, plan_of
from segwright.planning.planner import RULES
from segwright.planning.recipe_book import load_recipe, validated
from segwright.planning.traced import Trace

if TYPE_CHECKING:
    import torch


#: Table of each part, and the parameters that the program sets itself.
PARTS = {
    "net": ("segwright.nets:NETS", {"spec"}),
    "loss": ("segwright.losses:LOSSES", {"logits", "target", "weight"}),
    "optimiser": ("segwright.train:OPTIMISERS", {"net", "lr", "weight_decay"}),
    "schedule": ("segwright.train:SCHEDULES", set[str]()),
}


def refuse_unknown_parts(recipe: Recipe) -> None:
    """Look up every part the recipe names; only parts with parameters are imported.

    Raises:
        UnknownNameError: No table holds the name.
        RecipeError: The part takes no such parameter.

    Example:
        >>> refuse_unknown_parts(Recipe(loss="dicee"))
        Traceback (most recent call last):
        segwright.core.errors.UnknownNameError: Unknown loss 'dicee'. ...
    """
    for field, (home, fixed) in PARTS.items():
        choice: PartChoice | None = getattr(recipe, field)
        if choice is None:
            continue
        module, _, name = home.partition(":")
        table: Registry = getattr(import_module(module), name)
        if choice.name not in table:
            raise UnknownNameError.among(field, choice.name, table, where=f"recipe {recipe.name}")
        if choice.params:
            _refuse_unknown_parameters(field, choice, table, fixed)
    if isinstance(recipe.augment, tuple):
        from segwright.augment.compose import build  # which imports torch, so only where steps are listed

        for step in recipe.augment:
            build(step)


def _refuse_unknown_parameters(field: str, choice: PartChoice, table: Registry, fixed: set[str]) -> None:
    known = signature(table.load(choice.name)).parameters
    if any(one.kind is Parameter.VAR_KEYWORD for one in known.values()):
        return
    names = [name for name in known if name not in fixed]
    wrong = next((name for name in choice.params if name not in names), None)
    if wrong is not None:
        unknown = UnknownNameError.among("parameter", wrong, names)
        what = f"The {field} {choice.name!r} takes no parameter {wrong!r}."
        raise RecipeError(what, expected=unknown.expected or "no parameters", hint=unknown.hint)


def inspect(dataset: Dataset, *, listen: Listen = silent) -> Inspection:
    """One pass over all files: findings with hints, and measured facts.

    Example:
        >>> inspect(Dataset(root=".", layout="none", channels=("grey",), cases=())).facts
        ()
    """
    listen(Stage("inspect", cases=len(dataset.cases)))
    return inspect_dataset(dataset, progress=counted(listen, "inspect"))


def refuse_errors(inspection: Inspection, where: str | Path) -> None:
    """Stop at findings that would make a fit meaningless.

    Raises:
        IntegrityError: There are errors; the first are quoted.
    """
    errors = inspection.errors
    if errors:
        told = (f"{finding.where}: {finding.what}" if finding.where else finding.what for finding in errors[:3])
        first = "; ".join(text.rstrip(".") for text in told)
        raise IntegrityError(
            f"The data have {amount(len(errors), 'error')} that must be mended first.",
            got=first,
            where=where,
            hint=f"{errors[0].hint} 'segwright inspect' lists all of them.",
        )


#: Warnings about data that a fit shows.
WARNINGS_SHOWN = 5


def doubts(dataset: Dataset, inspection: Inspection) -> list[str]:
    """What is told of data before a fit: a kind of scan that was guessed otherwise, and the first warnings."""
    told = [dataset.modality_note] if dataset.modality_told != dataset.modality else []
    warnings = [finding for finding in inspection.findings if finding.level == "warning"]
    for finding in warnings[:WARNINGS_SHOWN]:
        told.append(f"Warning: {finding.where + ': ' if finding.where else ''}{finding.what}")
    if len(warnings) > WARNINGS_SHOWN:
        told.append(f"{len(warnings) - WARNINGS_SHOWN} more warnings; 'segwright inspect' lists them.")
    return told


def plan(
    dataset: Dataset,
    recipe: str | Path | Recipe = "default",
    *,
    inspection: Inspection | None = None,
    listen: Listen = silent,
    **overrides: Unpack[RecipeFields],
) -> Plan:
    """What would be done with a dataset, by formula and without training anything.

    Args:
        dataset: From `open_dataset`.
        recipe: Name, YAML file, or recipe.
        inspection: From `inspect`; made here if not given.
        listen: Progress events.
        overrides: Recipe fields.
    """
    chosen = resolve_recipe(recipe, overrides)
    source = transfer.opened(chosen)
    chosen = source.adopt(chosen)[0] if source else chosen
    told, split = arranged(dataset, chosen)
    if told is not dataset:
        dataset, inspection = told, None
    if split is not None:
        chosen = chosen.model_copy(update={"folds": len(split.folds)})
    facts = fingerprint(dataset, inspection or inspect(dataset, listen=listen))
    return make_plan(chosen, facts, machine=machine_with_gpu())


def resolve_recipe(recipe: str | Path | Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """A recipe object from a name, file or object, with overrides."""
    if isinstance(recipe, Recipe):
        chosen = validated({**recipe.model_dump(), **overrides}, where="recipe")
    else:
        chosen = load_recipe(recipe, overrides)
    refuse_unknown_parts(chosen)
    return chosen


def resolve_plan(
    plan: str | Path | Plan | None, recipe: str | Path | Recipe, overrides: Mapping[str, Any]
) -> tuple[Recipe, Plan | None]:
    """What is asked for, and the plan of a person that says so, if there is one.

    Raises:
        UsageError: A recipe or its fields were given beside a plan.
        ReadError: There is no such file.
    """
    if plan is None:
        return resolve_recipe(recipe, overrides), None
    if recipe != "default" or overrides:
        got = ", ".join([*([] if recipe == "default" else [f"recipe {recipe}"]), *overrides])
        hint = "Edit the plan instead, or leave it out."
        raise UsageError("A plan says everything, so it takes no recipe beside it.", got=got, where="plan", hint=hint)
    given = plan if isinstance(plan, Plan) else Plan.load(plan)
    chosen = recipe_of(given)
    refuse_unknown_parts(chosen)
    return chosen, given


def make_plan(
    recipe: Recipe,
    facts: Fingerprint,
    *,
    machine: Machine,
    folds_trained: int | None = None,
    timer: StepTimer | None = None,
) -> Plan:
    """The plan that rules make before anything is measured."""
    return plan_of(planned(recipe, facts, machine=machine, folds_trained=folds_trained, timer=timer))


def planned(
    recipe: Recipe,
    facts: Fingerprint,
    *,
    machine: Machine,
    folds_trained: int | None = None,
    timer: StepTimer | None = None,
) -> Context:
    """What rules decide before anything is measured, for later phases to go on with."""
    return advance(known(recipe, facts, machine, folds_trained=folds_trained, timer=timer), RULES, "before measuring")


def known(
    recipe: Recipe,
    facts: Fingerprint,
    machine: Machine,
    *,
    folds_trained: int | None = None,
    timer: StepTimer | None = None,
) -> Context:
    """What rules may look at, before any of them was asked."""
    from segwright.augment.levels import steps_for

    return Context(
        recipe=recipe,
        facts=facts,
        machine=machine.within(recipe.memory),
        folds_trained=folds_trained or max(min(recipe.folds, facts.groups), 1),
        augmentations=steps_for,
        timer=timer,
        known=published_net(recipe),
        trace=tracer(recipe),
    )


def tracer(recipe: Recipe) -> Trace | None:
    """Counts costs on a published network's own graph, and only for those loads torch; others have a formula."""
    if published_net(recipe) is None:
        return None
    from segwright.nets.forecast import trace

    return trace


def published_net(recipe: Recipe) -> NetInfo | None:
    """What is known of the recipe's network, if its levels follow from its source and not from the data.

    Raises:
        UnknownNameError: There is no such network.
    """
    found = net_info(recipe.net.name if recipe.net else "unet")
    return None if found.made_to_measure or found.spec is None else found  # a plug-in's may say nothing of itself


def machine_with_gpu(device: str = "auto") -> Machine:
    """The machine, with its GPU where one is seen and wanted; torch is loaded only to ask."""
    machine = this_machine()
    if device == "cpu" or not (Path("/dev/nvidia0").exists() or device.startswith("cuda")):
        return machine
    import torch

    if not torch.cuda.is_available():
        return machine
    return machine.model_copy(update={"gpu_memory": torch.cuda.get_device_properties(0).total_memory})


def step_timer(device: torch.device) -> StepTimer:
    """A function that times a training step on `device` by running it, as it would be if nothing else ran."""
    from segwright.train.measure import Load, step_seconds, usual_candidate

    def seconds(spec: NetSpec, patch: Triple, batch: int) -> float:
        return step_seconds(Load(spec, patch, batch, device), usual_candidate(spec, device))

    return seconds


def open_norms(recipe: Recipe, draft: Plan, device: str) -> tuple[str, ...]:
    """Normalisations that may be chosen by speed on a kind of device, the planned one first."""
    free = recipe.norm is None and device == "cpu" and draft.net.norm == "batch"
    free = free and recipe.init_from is None  # weights that are taken over belong to their norm
    free = free and published_net(recipe) is None  # those keep the norm of their source
    return ("batch", "instance") if free else (draft.net.norm,)
