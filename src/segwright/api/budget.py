"""Shares out what is left of the time budget once data are prepared and the machine is measured."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segwright.core.plan import Plan
from segwright.core.recipe import Recipe
from segwright.core.words import amount
from segwright.ops.window import window_starts
from segwright.planning.extent import prepared_shape
from segwright.planning.fingerprint import Fingerprint
from segwright.planning.pace import budget_seconds

if TYPE_CHECKING:
    import torch

    from segwright.train.measure import Measurement

#: Seconds a validation case costs beside the network: reading, restoring, scoring, drawing.
CASE_OVERHEAD = 0.12
#: Seconds for post-processing search and the report, and the share kept back for what cannot be foreseen.
CLOSING, SLACK = 6.0, 0.03
#: Steps a fold trains at least, even if the budget is used up before training begins.
LEAST_STEPS = 10


@dataclass(frozen=True)
class Work:
    """What has to be predicted after training.

    Attributes:
        cases: Validation cases of each fold.
        windows: That cover one of them.
    """

    cases: tuple[int, ...]
    windows: int

    @classmethod
    def of(cls, plan: Plan, facts: Fingerprint, cases: Sequence[int]) -> Work:
        """The work that a plan leaves for so many cases a fold, by the size of large ones."""
        window = plan.window
        lengths = zip(prepared_shape(facts, plan.prepare), window.size, strict=True)
        counts = [len(window_starts(round(length), size, window.overlap)) for length, size in lengths]
        return cls(tuple(cases), math.prod(counts))


@dataclass(frozen=True)
class Budget:
    """Seconds left for training and everything after it; `None` where the run counts steps."""

    seconds: float | None

    @classmethod
    def of(cls, recipe: Recipe, started: float, device: torch.device) -> Budget:
        """What is left of the recipe's minutes since `started` (a `time.perf_counter` value)."""
        if recipe.steps is not None:
            return cls(None)
        return cls(budget_seconds(recipe, gpu=device.type != "cpu") - (time.perf_counter() - started))

    def allot(self, plan: Plan, measured: Measurement, work: Work, *, at_once: int = 1) -> Plan:
        """The plan with its seconds a network: what is left, less prediction of validation cases and the closing work.

        Where folds are trained `at_once`, the work lists the longest of each time.
        """
        if self.seconds is None:
            return plan
        networks, folds, cases = plan.train.members, len(work.cases), sum(work.cases)
        case = networks * _case_seconds(plan, measured, work.windows) + CASE_OVERHEAD
        reserve = cases * case + CLOSING + SLACK * self.seconds
        share = max(self.seconds - reserve, 0.3 * self.seconds) / max(folds * networks, 1)
        least = max(LEAST_STEPS * measured.step_seconds, 0.1)
        seconds = max(share, least)
        each = amount(folds, "fold" if at_once == 1 else f"round of {at_once} folds at once")
        each += f" with {networks} networks each" if networks > 1 else ""
        reason = (
            f"{self.seconds:.0f} s are left of the budget; {reserve:.0f} s are kept for predicting "
            f"{amount(cases, 'validation case')} and the report, the rest is shared by {each}"
        )
        if share < least:
            reason = (
                f"the budget is too short: {self.seconds:.0f} s are left of it, and each of "
                f"{amount(folds * networks, 'network')} needs {least:.1f} s for {LEAST_STEPS} steps"
            )
        train = plan.train.model_copy(update={"seconds": round(seconds, 1)})
        steps = f"{seconds / measured.step_seconds:.0f} steps at {measured.step_seconds:.3f} s"
        return plan.model_copy(
            update={"train": train, "why": {**plan.why, "train.seconds": f"{reason}: about {steps}"}}
        )


def _case_seconds(plan: Plan, measured: Measurement, windows: int) -> float:
    """Network time of a validation case: mirrored copies of its windows, and of one more for what goes on around them.

    What was measured is the forward pass of a patch; larger windows take longer in proportion.
    """
    window = measured.forward_seconds * math.prod(plan.window.size) / math.prod(plan.sample.patch)
    return (1 + windows) * window * 2 ** len(plan.window.mirror)
