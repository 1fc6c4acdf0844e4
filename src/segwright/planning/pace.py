"""The seconds of a fit, and of its steps: timed while there is time for that, in proportion to operations after."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from segwright.core.plan import NetSpec, Triple
from segwright.core.recipe import Recipe
from segwright.planning import memory
from segwright.planning.limits import limits_of

StepTimer = Callable[[NetSpec, Triple, int], float]


def budget_seconds(recipe: Recipe, *, gpu: bool) -> float:
    """Seconds that a whole fit may take if its steps are not counted."""
    limits = limits_of(recipe)
    return 60 * (recipe.minutes or (limits.minutes_gpu if gpu else limits.minutes_cpu))


@dataclass
class Pace:
    """Times each network once, and none that would take longer than what is left for timing.

    Args:
        time_step: Runs a training step and returns its seconds.
        seconds: That all timings together may take; the first is always made.
        clock: Seconds now.

    Example:
        >>> pace = Pace(lambda spec, patch, batch: 2.0, seconds=0.0)
        >>> one = dict(widths=(4,), strides=((1, 1, 1),), kernels=((3, 3, 3),), encoder_blocks=(1,), decoder_blocks=())
        >>> spec = NetSpec(in_channels=1, out_channels=2, **one)
        >>> pace(spec, (8, 8, 8), 1), pace(spec, (8, 8, 8), 3)
        (2.0, 6.0)
    """

    time_step: StepTimer
    seconds: float
    clock: Callable[[], float] = time.perf_counter
    spent: float = 0.0
    _known: dict[tuple[str, Triple, int], tuple[float, float, float]] = field(default_factory=dict)

    def __call__(self, spec: NetSpec, patch: Triple, batch: int) -> float:
        """Seconds of a step on `batch` patches `(z, y, x)`."""
        key = (spec.model_dump_json(), patch, batch)
        if key in self._known:
            return self._known[key][1]
        work = max(memory.step_flops(spec, patch, batch), 1.0)
        if self._known:
            near, seconds, took = min(self._known.values(), key=lambda known: abs(math.log(known[0] / work)))
            if self.spent + took * work / near > self.seconds:  # on a busy machine a timing takes longer than its steps
                return seconds * work / near
        start = self.clock()
        found = self.time_step(spec, patch, batch)
        took = self.clock() - start
        self.spent += took
        self._known[key] = (work, found, took)
        return found
