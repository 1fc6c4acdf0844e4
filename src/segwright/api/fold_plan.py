"""The plan of one fold: what it takes from labels is measured on the cases that the fold learns from."""

from __future__ import annotations

from segwright.api.run import Run
from segwright.core.inspection import CaseFacts
from segwright.core.plan import Plan
from segwright.planning.fingerprint import presence_and_share, turn
from segwright.planning.places import row_facts
from segwright.planning.rules.training import share_logits


def fold_plan(run: Run, fold: int) -> Plan:
    """The run's plan with start scores and usual places of the fold's training cases alone.

    The model that is made of all folds keeps those of all cases. Numbers of the network's form, the choice of a loss
    and the intensity range of CT are those of the whole run: `benchmarks/folds.py` shows by how little the latter
    differ.
    """
    plan = run.plan
    if plan.row is None and not plan.train.start:
        return plan
    learnt = set(run.split.folds[fold].train)
    facts = [fact for fact in run.inspection.facts if fact.case in learnt]
    return _with_row(_with_start(plan, facts), facts)


def _with_start(plan: Plan, facts: list[CaseFacts]) -> Plan:
    """Start scores at the shares that structures have in these cases."""
    if not plan.train.start or not facts:
        return plan
    presence, share = presence_and_share(facts, plan.labels.names)
    shares = [share[name] * presence[name] / len(facts) for name in plan.labels.names]
    train = plan.train.model_copy(update={"start": share_logits(plan.target, shares)})
    return plan.model_copy(update={"train": train})


def _with_row(plan: Plan, facts: list[CaseFacts]) -> Plan:
    """Usual places in these cases."""
    if plan.row is None:
        return plan
    turns = [turn(fact, plan.prepare.orientation) for fact in facts]
    row, _ = row_facts(facts, plan.labels.names, plan.row.axis, turns)
    return plan.model_copy(update={"row": row})
