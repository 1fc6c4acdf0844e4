"""Shares out the time budget of a whole fit: what has passed counts, what follows training is kept back as measured."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec

from segwright.core.deadline import Deadline
from segwright.core.errors import BudgetError
from segwright.core.events import Event, Listen, Progress, Stage
from segwright.core.plan import Plan
from segwright.core.recipe import Recipe
from segwright.core.words import amount, duration
from segwright.ops.windows import window_starts
from segwright.planning.fingerprint import Fingerprint, prepared_shape
from segwright.planning.limits import Limits
from segwright.planning.pace import budget_seconds
from segwright.planning.views import with_mirror
from segwright.quality.signals import EARLIER_SHARE

Given = ParamSpec("Given")

if TYPE_CHECKING:
    import torch

    from segwright.api.rehearsal import Rehearsal
    from segwright.train.measure import Measurement

#: Share of the budget that may have passed when a stage before training begins, and when it is foreseen to end; its end
#: is foreseen from its pace once it took `PACE` of the budget.
LATEST = {"inspect": 0.4, "plan": 0.5, "speed": 0.6, "prepare": 0.7, "rehearse": 0.7}
PACE = 0.05
#: Steps of the smallest sensible run: a network trained for fewer is hardly out of its start.
LEAST_STEPS = 30
#: Steps a network below which fewer folds are trained instead of all of them badly.
FEW_STEPS = Limits().few_steps
#: Shares of the budget: at most for the search of post-processing, and kept back for what cannot be foreseen.
SEARCH, SLACK = 0.15, 0.05
#: Share above which the prediction of validation cases goes without mirrored copies, one axis after another.
PREDICTING = 0.25
#: Seconds for the page and the model folder on a quiet machine, beside the pictures of so many cases.
CLOSING, DRAWN = 6.0, 12
#: Share of its seconds that a network gets at least, however late it is.
LEAST_SHARE = 0.2
#: A budget that is proposed has so much room above what is foreseen.
ROOM = 1.15


@dataclass(frozen=True)
class Work:
    """What follows training.

    Attributes:
        cases: Validation cases of each fold, or of each round of folds trained at once.
        predict: Seconds to predict one of them, its networks included.
        search: Seconds to try post-processing on one.
        judge: Seconds to score one.
        draw: Seconds to draw one.
        closing: Seconds for all the rest.
    """

    cases: tuple[int, ...]
    predict: float = 0.0
    search: float = 0.0
    judge: float = 0.0
    draw: float = 0.0
    closing: float = CLOSING

    @classmethod
    def of(cls, plan: Plan, facts: Fingerprint, cases: Sequence[int], *, measured: Measurement, one: Rehearsal) -> Work:
        """The work that a plan leaves for so many cases a fold, from what a step and one case took."""
        networks = plan.train.members * network_seconds(plan, facts, measured)
        quiet = measured.table.get(str(measured.chosen)) or measured.step_seconds
        busy = max(1.0, measured.step_seconds / quiet)
        return cls(tuple(cases), networks + one.predict, one.search, one.judge, one.draw, CLOSING * busy)

    def seconds(self, folds: int, *, most: float) -> float:
        """All that follows the training of the first so many folds, with at most so much for the search."""
        cases = sum(self.cases[:folds])
        return cases * self.predict + min(cases * self.search, most) + self.verdict(folds)

    def verdict(self, folds: int) -> float:
        """What follows the search."""
        cases = sum(self.cases[:folds])
        return cases * self.judge + min(cases, DRAWN) * self.draw + self.closing


def network_seconds(plan: Plan, facts: Fingerprint, measured: Measurement) -> float:
    """Seconds of one network on a large case: mirrored copies of its windows, and of one more for what goes on around;
    beside them the passes of earlier weights.

    What was measured is the forward pass of a patch; larger windows take longer in proportion.
    """
    size, overlap = plan.window.size, plan.window.overlap
    lengths = zip(prepared_shape(facts, plan.prepare), size, strict=True)
    windows = math.prod(len(window_starts(round(length), edge, overlap)) for length, edge in lengths)
    window = measured.forward_seconds * math.prod(size) / math.prod(plan.sample.patch)
    passes = (1 + windows) * 2 ** len(plan.window.mirror)
    return (passes + 1 + EARLIER_SHARE * passes) * window


@dataclass(frozen=True)
class Allotment:
    """How training shares what is left.

    Attributes:
        seconds: A network; `None` where steps are counted.
        folds: Folds (or rounds of them) that are trained, of those wanted.
        reason: In words, for the plan.
        warning: What a person should know at once; empty if all is as asked.
    """

    seconds: float | None
    folds: int
    reason: str = ""
    warning: str = ""


@dataclass(frozen=True)
class Budget:
    """Seconds of a fit.

    Attributes:
        total: That the whole command may take; `None` where steps are counted.
        started: Seconds of the clock when it began.
        clock: Seconds now.
    """

    total: float | None
    started: float
    clock: Callable[[], float] = time.perf_counter

    @classmethod
    def of(cls, recipe: Recipe, started: float, device: torch.device, *, known: bool = False) -> Budget:
        """The recipe's minutes since `started` (a `time.perf_counter` value); a run that is known keeps its plan."""
        counted = recipe.steps is not None or known
        return cls(None if counted else budget_seconds(recipe, gpu=device.type != "cpu"), started)

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.started

    def watching(self, listen: Listen) -> Listen:
        """`listen`, and an error as soon as what comes before training is foreseen to leave too little for the rest.

        Raises:
            BudgetError: From the function returned.
        """
        began: dict[str, float] = {}

        def hear(event: Event) -> None:
            listen(event)
            if self.total is None or not isinstance(event, Stage | Progress) or event.name not in LATEST:
                return
            name = event.name
            now = self.spent
            began.setdefault(name, now)
            known = now - began[name] > PACE * self.total  # a pace tells little at first
            self._refuse_late(name, now + (event.remaining or 0.0 if known and isinstance(event, Progress) else 0.0))

        return hear

    def in_time(self, name: str, work: Callable[Given, float]) -> Callable[Given, float]:
        """`work`, and an error instead where a stage has come too late to begin it; for stages that tell nothing.

        Raises:
            BudgetError: From the function returned.
        """

        def do(*args: Given.args, **options: Given.kwargs) -> float:
            if self.total is not None:
                self._refuse_late(name, self.spent)
            return work(*args, **options)

        return do

    def _refuse_late(self, name: str, end: float) -> None:
        assert self.total is not None
        if end <= LATEST[name] * self.total:
            return
        work = "reading the files" if name == "inspect" else "what comes before training"
        raise BudgetError(
            f"The time budget is too short: on this machine, {work} takes {duration(end)} or more of it.",
            expected=f"at most {LATEST[name] * 100:.0f} % of {duration(self.total)}",
            got=duration(end),
            hint=f"Give minutes={asked(ROOM * end / LATEST[name])} or more, or fewer or smaller scans.",
        )

    def affordable(self, plan: Plan, work: Callable[[Plan], Work], *, free: bool = True) -> tuple[tuple[int, ...], str]:
        """Axes of mirrored copies that predictions can be averaged over in the time there is, and why fewer if so.

        Args:
            plan: With all that it would mirror.
            work: What follows the training of a plan.
            free: Nobody has asked for these copies.
        """
        axes = plan.window.mirror
        if self.total is None or not free:
            return axes, ""
        while axes and self._predicting(work(with_mirror(plan, axes))) > PREDICTING * self.total:
            axes = axes[1:]
        if axes == plan.window.mirror:
            return axes, ""
        before, after = (self._predicting(work(with_mirror(plan, some))) for some in (plan.window.mirror, axes))
        return axes, (
            f"{duration(before)} of the {duration(self.total)} there are would go into mirrored copies of validation "
            f"cases, {duration(after)} without"
        )

    @staticmethod
    def _predicting(work: Work) -> float:
        return sum(work.cases) * work.predict

    def allot(self, plan: Plan, measured: Measurement, work: Work, *, at_once: int = 1) -> Allotment:
        """Seconds a network, and how many folds: all of those wanted, or as many as get a useful number of steps.

        Raises:
            BudgetError: Not even one fold would get the steps of the smallest sensible run.
        """
        if self.total is None:
            return Allotment(None, len(work.cases))
        spent, step, members = self.spent, measured.step_seconds, plan.train.members
        wanted = len(work.cases)
        for folds in range(wanted, 0, -1):
            share = (self.total - spent - self._kept(work, folds)) / (folds * members)
            if share >= (FEW_STEPS if folds > 1 else LEAST_STEPS) * step:
                break
        else:
            raise self._too_short(spent, work, step * members)
        each = "fold" if at_once == 1 else f"round of {at_once} folds at once"
        each = amount(folds, each) + (f" with {members} networks each" if members > 1 else "")
        kept, cases = self._kept(work, folds), sum(work.cases[:folds])
        reason = (
            f"{self.total - spent:.0f} s are left of the budget; {kept:.0f} s are kept for predicting and scoring "
            f"{amount(cases, 'validation case')}, post-processing and the report, as one case took, the rest is shared "
            f"by {each}: about {share / step:.0f} steps at {step:.3f} s"
        )
        return Allotment(round(share, 1), folds, reason, self._fewer(spent, work, folds, step * members))

    def of_network(self, work: Work | None, plan: Plan, done: int) -> float | None:
        """Seconds of each network of the folds after those done: earlier work may have taken longer than foreseen."""
        if self.total is None or work is None or plan.train.seconds is None:
            return None
        waiting = work.cases[done:]
        kept = self._kept(work, len(work.cases)) - sum(work.cases[:done]) * work.predict
        share = (self.total - self.spent - kept) / (len(waiting) * plan.train.members)
        return min(plan.train.seconds, max(share, LEAST_SHARE * plan.train.seconds))

    def search_until(self, work: Work | None) -> Deadline:
        """When the search of post-processing must be over."""
        if self.total is None or work is None:
            return Deadline()
        return Deadline(self.started + self.total * (1 - SLACK / 2) - work.verdict(len(work.cases)), self.clock)

    def _kept(self, work: Work, folds: int) -> float:
        assert self.total is not None
        return work.seconds(folds, most=SEARCH * self.total) + SLACK * self.total

    def _needed(self, spent: float, work: Work, folds: int, training: float) -> float:
        """A budget that would do: what has passed and the work, with the shares that grow with the budget itself."""
        cases = sum(work.cases[:folds])
        fixed = spent + training + cases * work.predict + work.verdict(folds)
        return ROOM * min(fixed / (1 - SEARCH - SLACK), (fixed + cases * work.search) / (1 - SLACK))

    def _too_short(self, spent: float, work: Work, step: float) -> BudgetError:
        assert self.total is not None
        needed = self._needed(spent, work, 1, LEAST_STEPS * step)
        whole = self._needed(spent, work, len(work.cases), FEW_STEPS * len(work.cases) * step)
        after = work.seconds(1, most=SEARCH * self.total)
        more = f"; minutes={asked(whole)} hold all {len(work.cases)} folds" if len(work.cases) > 1 else ""
        return BudgetError(
            "The time budget is too short for the smallest sensible run on this machine.",
            expected=f"{LEAST_STEPS} steps of training of one fold",
            got=(
                f"{duration(spent)} of {duration(self.total)} went into reading, planning and preparing; "
                f"validation and report of one fold take about {duration(after)}, a step {step:.2g} s"
            ),
            hint=f"Give minutes={asked(needed)} or more{more}. What is prepared is kept for the next try.",
        )

    def _fewer(self, spent: float, work: Work, folds: int, step: float) -> str:
        wanted = len(work.cases)
        if folds == wanted:
            return ""
        whole = self._needed(spent, work, wanted, FEW_STEPS * wanted * step)
        return (
            f"The budget holds {folds} of the {wanted} folds on this machine, and the others wait: the same command "
            f"with --resume trains them, and {asked(whole)} minutes would have held all"
        )


def asked(seconds: float) -> int:
    """Minutes to ask for, rounded up.

    Example:
        >>> asked(42), asked(200), asked(4000)
        (1, 4, 70)
    """
    minutes = math.ceil(seconds / 60)
    return minutes if minutes < 20 else 5 * math.ceil(minutes / 5)
