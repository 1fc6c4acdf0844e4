"""A plan that a person edited: checked against the data, then taken as it stands in place of the rules' decisions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from segwright.core.errors import PlanError
from segwright.core.plan import Plan
from segwright.core.recipe import Recipe
from segwright.losses import LOSSES
from segwright.planning.fingerprint import Fingerprint
from segwright.planning.pipeline import ABOUT, SECTIONS, Context, Decision, fields
from segwright.planning.rules import order, training
from segwright.targets import TARGETS, suitable_targets

#: Fields of a plan that a recipe has as well, so that a run's recipe says the same.
SHARED = ("folds", "seed", "postprocess", "restore_sections")


def recipe_of(plan: Plan) -> Recipe:
    """What was asked for when a plan was made, with what its file says now."""
    return Recipe.from_data({**plan.asked, "name": plan.recipe, **{name: getattr(plan, name) for name in SHARED}})


def changed(plan: Plan) -> dict[str, str]:
    """Fields that differ from what the planner made, and what it had made of them, as JSON.

    Empty for plans of versions that did not keep what they made.
    """
    now = dict(fields(plan))
    return {name: was for name, was in plan.made.items() if name in now and now[name] != was}


def taken(plan: Plan, context: Context) -> Context:
    """A context in which every field is decided as a plan says, with a reason of its own where a person changed it.

    Raises:
        PlanError: The plan does not fit the data, or contradicts itself; the first field that does is named.
    """
    for field, what, expected, got in _faults(plan, context.facts):
        raise PlanError(
            f"The plan {what}.",
            expected=str(expected),
            got=str(got),
            where=field,
            hint=f"Correct {field!r} in the plan, or make a new one with 'segwright plan DATA -o plan.json'.",
        )
    was = changed(plan)
    decided: dict[str, Decision] = {}
    for name, value in _values(plan):
        why = plan.why.get(name, "")
        if name in was:
            why = f"changed by hand; planned was {was[name]}" + (f" ({why})" if why else "")
        decided[name] = Decision(name, value, why)
    return replace(context, decided=decided)


def _values(plan: Plan) -> Iterator[tuple[str, Any]]:
    """Every field by its dotted name; what a plan says of itself is made anew, but for what the planner once made."""
    for name, value in dict(plan).items():
        if name in SECTIONS:
            yield from ((f"{name}.{key}", inner) for key, inner in dict(value).items())
        elif name not in ABOUT or name == "made":
            yield name, value


Fault = tuple[str, str, Any, Any]


def _faults(plan: Plan, facts: Fingerprint) -> Iterator[Fault]:
    """Field, what is wrong with it, what was expected and what it says."""
    yield from _of_data(plan, facts)
    yield from _of_levels(plan)
    yield from _of_sizes(plan, facts)
    yield from _of_training(plan)


def _of_data(plan: Plan, facts: Fingerprint) -> Iterator[Fault]:
    """What must be as it is in the data."""
    if plan.channels != facts.channels:
        yield "channels", "is for other channels than the data have", list(facts.channels), list(plan.channels)
    if plan.labels != facts.labels:
        ours, theirs = (f"{', '.join(one.names)} ({one.kind})" for one in (facts.labels, plan.labels))
        what = "is for other structures than the data have"
        yield "labels", what, ours, theirs if theirs != ours else "other label values"
    for name in ("upright", "modality"):
        there, here = getattr(facts, name), getattr(plan, name)
        if there != here:
            yield name, f"has another {name} than the data", there, here
    if plan.prepare.orientation != facts.orientation:
        told = facts.orientation or "none, for single planes"
        yield "prepare.orientation", "turns scans otherwise than the data are read", told, plan.prepare.orientation
    if len(plan.prepare.normalise) != len(facts.channels):
        got = len(plan.prepare.normalise)
        yield "prepare.normalise", "does not say how to scale each channel", len(facts.channels), got
    yield from _of_target(plan, facts)


def _of_target(plan: Plan, facts: Fingerprint) -> Iterator[Fault]:
    """Folds, and channels as the target asks."""
    if not 0 <= plan.folds <= facts.groups or plan.folds == 1:
        yield "folds", "asks for folds that the data do not allow", f"0, or 2 to {facts.groups}", plan.folds
    if plan.target not in TARGETS or plan.target not in (*suitable_targets(facts.labels.kind), "chain"):
        yield "target", "has a target that does not suit the labels", suitable_targets(facts.labels.kind), plan.target
        return
    channels = {"in_channels": len(facts.channels), "out_channels": order.channels(plan.target, facts.labels)}
    for name, count in channels.items():
        if getattr(plan.net, name) != count:
            yield f"net.{name}", "has a network for another number of channels", count, getattr(plan.net, name)


def _of_levels(plan: Plan) -> Iterator[Fault]:
    """Lists of a network, which hold one entry a level."""
    net = plan.net
    for name in ("strides", "kernels", "encoder_blocks"):
        count = len(getattr(net, name))
        if count != len(net.widths):
            yield f"net.{name}", "does not say this for each level", f"{len(net.widths)} entries, as in widths", count
    if len(net.decoder_blocks) != len(net.widths) - 1:
        expected = f"{len(net.widths) - 1} entries, one fewer than widths"
        yield "net.decoder_blocks", "does not say this for each level but the last", expected, len(net.decoder_blocks)
    if net.slab and net.slab % 2 == 0:
        yield "net.slab", "has no centre slice to predict", "0, 1 or another odd number", net.slab


def _of_sizes(plan: Plan, facts: Fingerprint) -> Iterator[Fault]:
    """Patches and windows, which the network must be able to halve."""
    net, sample = plan.net, plan.sample
    if facts.dims == 2 and net.slab != 1:
        yield "net.slab", "asks for depth where every case is a single plane", 1, net.slab
    sizes = {"sample.patch": sample.patch, "window.size": plan.window.size}
    sizes |= {f"sample.stages.{number}": size for number, (_, size) in enumerate(sample.stages)}
    for name, size in sizes.items():
        if any(n % d for n, d in zip(size, net.divisor, strict=True)):
            expected = "multiples of " + " x ".join(map(str, net.divisor))
            yield name, "has a size that the network's strides do not divide", expected, list(size)
    if net.slab and sample.patch[0] != 1:
        yield "sample.patch", "has deep patches for a network of slices", "1 along z", sample.patch[0]
    count = len(facts.labels.structures)
    crops = sample.crops.structures if sample.crops else ()
    for name, found in (("sample.seek", sample.seek), ("sample.crops", crops)):
        if any(not 0 <= index < count for index in found):
            yield name, "names structures that there are not", f"numbers from 0 to {count - 1}", list(found)
    for name, axes in (("augment.mirror", plan.augment.mirror), ("window.mirror", plan.window.mirror)):
        if any(axis not in (0, 1, 2) for axis in axes):
            yield name, "flips axes that there are not", "0 (z), 1 (y) or 2 (x)", list(axes)


def _of_training(plan: Plan) -> Iterator[Fault]:
    """How it is trained."""
    train = plan.train
    if (train.seconds is None) == (train.steps is None):
        got = f"seconds={train.seconds}, steps={train.steps}"
        yield "train.steps", "must end training after seconds or after steps", "one of them, the other null", got
    if train.start and len(train.start) != plan.net.out_channels:
        yield "train.start", "does not say where each channel starts", plan.net.out_channels, len(train.start)
    if train.init is not None:
        what, hint = "names weights in the folder of another run", "null; init_from= of the recipe takes weights over"
        yield "train.init", what, hint, train.init.source
    if train.loss.name not in LOSSES:
        yield "train.loss", "names a loss that there is not", ", ".join(sorted(LOSSES)), train.loss.name
        return
    fitting = training.fitting_loss(train.loss, plan.target)
    if fitting != train.loss and "activation" in train.loss.params:
        yield "train.loss", "has a loss for other scores", fitting.params["activation"], train.loss.params["activation"]
