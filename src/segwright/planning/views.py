"""A run's plan as one fold, or one network of a fold, sees it: derived from the plan, which stays as it is."""

from __future__ import annotations

from collections.abc import Sequence

from segwright.core.inspection import CaseFacts
from segwright.core.plan import Plan
from segwright.core.seed import derive_seed
from segwright.planning.fingerprint import presence_and_share, turn
from segwright.planning.limits import Limits
from segwright.planning.places import row_facts
from segwright.planning.rules.training import share_logits


def fold_plan(plan: Plan, facts: Sequence[CaseFacts]) -> Plan:
    """The plan with start scores and usual places of a fold's training cases alone.

    The model that is made of all folds keeps those of all cases. Numbers of the network's form, the choice of a loss
    and the intensity range of CT are those of the whole run: `benchmarks/folds.py` shows by how little the latter
    differ.

    Args:
        plan: Of the run.
        facts: Of the cases that the fold learns from.
    """
    if plan.train.start and facts:
        presence, share = presence_and_share(facts, plan.labels.names)
        limits = Limits.of(plan.asked.get("limits", {}))
        shares = [share[name] * presence[name] / len(facts) for name in plan.labels.names]
        train = plan.train.model_copy(update={"start": share_logits(plan.target, shares, limits)})
        plan = plan.model_copy(update={"train": train})
    if plan.row is not None:
        turns = [turn(fact, plan.prepare.orientation) for fact in facts]
        row, _ = row_facts(facts, plan.labels.names, plan.row.axis, turns)
        plan = plan.model_copy(update={"row": row})
    return plan


def member_plan(plan: Plan, member: int) -> Plan:
    """The plan of one of a fold's networks: the same but for what is random; the first has the run's own seed."""
    return plan.model_copy(update={"seed": derive_seed(plan.seed, "member", member)}) if member else plan


def with_mirror(plan: Plan, axes: tuple[int, ...]) -> Plan:
    """A plan that predicts with mirrored copies along other axes, to see what it costs."""
    return plan.model_copy(update={"window": plan.window.model_copy(update={"mirror": axes})})
