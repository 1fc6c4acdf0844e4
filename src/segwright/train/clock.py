"""Progress of a fold from 0 to 1, by steps (exactly repeatable) or by seconds (ends on time)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Clock:
    """Counts what has been spent of a budget.

    Exactly one of `steps` and `seconds` is set. Time before a resume is carried in `spent`; time spent paused
    (validation outside the budget) is not counted. Processes that train together must agree on the rate and on the
    last step: they read one clock, whose time `shared` sends from the first of them to all.

    Example:
        >>> clock = Clock(steps=4)
        >>> clock.progress(1), clock.progress(4)
        (0.25, 1.0)
    """

    steps: int | None = None
    seconds: float | None = None
    spent: float = 0.0
    shared: Callable[[float], float] | None = None
    _since: float = field(default_factory=time.perf_counter)
    _told: float | None = None

    @property
    def elapsed(self) -> float:
        """Seconds spent on this fold, before and after a resume."""
        return self.spent + time.perf_counter() - self._since if self._told is None else self._told

    def tick(self) -> None:
        """Begin a step: a clock that is shared shows everybody the same time until the next."""
        if self.shared is not None:
            self._told = None
            self._told = self.shared(self.elapsed)

    def progress(self, step: int) -> float:
        """Share of the budget spent, within 0 and 1."""
        share = step / self.steps if self.steps else self.elapsed / (self.seconds or 1.0)
        return min(share, 1.0)

    def planned_steps(self, step: int) -> float:
        """Steps the whole budget is expected to hold."""
        return float(self.steps) if self.steps else max(step, 1) / max(self.progress(step), 1e-6)

    def remaining(self, step: int) -> float:
        """Seconds until the end, from the pace so far."""
        progress = self.progress(step)
        return self.elapsed * (1 - progress) / progress if progress > 0 else float("nan")
