"""When work that can be cut short between two pieces has to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Deadline:
    """Admits another piece of work while one as long as the longest so far would still end in time.

    Args:
        until: Seconds of the clock; `None` admits everything.
        clock: Seconds now.

    Example:
        >>> now = iter([0.0, 4.0, 8.0])
        >>> deadline = Deadline(until=10.0, clock=lambda: next(now))
        >>> deadline.admits(), deadline.admits(), deadline.admits()
        (True, True, False)
    """

    until: float | None = None
    clock: Callable[[], float] = time.perf_counter
    _longest: float = field(default=0.0, init=False)
    _last: float | None = field(default=None, init=False)

    def admits(self) -> bool:
        """Whether the next piece may begin; to be asked before each of them."""
        if self.until is None:
            return True
        now = self.clock()
        if self._last is not None:
            self._longest = max(self._longest, now - self._last)
        self._last = now
        return now + self._longest <= self.until
