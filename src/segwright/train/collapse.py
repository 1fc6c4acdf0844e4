"""Tells a network that has stopped learning from one that is only slow, once it has had time to begin."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Literal

#: Steps before which nothing is judged: the first tens of steps of a sound run find no structure either.
LEAST_STEPS = 100
#: Shares of the budget between which a member is judged: early enough for a fresh start to pay.
AFTER, UNTIL = 0.15, 0.65
#: Best pseudo-Dice of any structure below which nothing was learnt.
NOTHING = 0.02
#: Over a third of its steps the loss of a network that still learns falls at least to this share; one that rises above
#: its beginning by as much has diverged.
FALLING = 0.97

Verdict = Literal["sound", "slow", "stuck", "diverged"]


def verdict(losses: Sequence[float], progress: float, best: float) -> Verdict:
    """How a member fares by its losses so far (one a step), the share of its budget spent, and its best pseudo-Dice.

    Example:
        >>> verdict([1.0] * 99, 0.5, 0.0), verdict([1.0] * 150, 0.5, 0.0), verdict([1.0] * 150, 0.5, 0.3)
        ('sound', 'stuck', 'sound')
        >>> verdict([1 - step / 1000 for step in range(150)], 0.5, 0.0)
        'slow'
    """
    known = [loss for loss in losses if math.isfinite(loss)]
    if best >= NOTHING or len(losses) < LEAST_STEPS or not AFTER <= progress < UNTIL or len(known) < 3:
        return "sound"
    third = len(known) // 3
    first, middle, last = (statistics.fmean(known[i * third : (i + 1) * third]) for i in range(3))
    if last < middle - (1 - FALLING) * abs(middle):
        return "slow"
    return "diverged" if last > first + (1 - FALLING) * abs(first) else "stuck"
