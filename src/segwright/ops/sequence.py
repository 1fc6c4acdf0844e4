"""The best labelling of things in a row whose labels may only rise: which vertebra is which, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

#: Nats for each label by which a step differs from what the distance between two things suggests, above half a label;
#: with things one gap apart, leaving a label out costs 4 (values of RECIPES for spines; evidence outweighs them).
STEP_COST = 8.0
#: Nats for giving two neighbours the same label, on top of what their distance costs.
REPEAT_COST = 1.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Labelling:
    """Labels of things in their order.

    Attributes:
        labels: One a thing; 0 for those that are none of the structures, else 1 to K, never falling.
        cost: Its cost in nats, minus the logarithm of its likelihood.
        margin: By how many nats the best other labelling is dearer; infinite where there is no other.
    """

    labels: tuple[int, ...]
    cost: float
    margin: float


def best_labelling(costs: Floats, positions: Floats | None = None, absent: Floats | None = None) -> Labelling:
    """The cheapest labelling and the gap to its runner-up, by dynamic programming (Viterbi 1967).

    Any label may come first and any last, things may be none of the structures, labels may be left out. A step from
    label `k` to `m` between things `r` gaps apart costs `STEP_COST * max(0, |m - k - r| - 1/2)`, so the next label is
    free one gap further, the one after next two gaps further.

    Args:
        costs: `(N, K + 1)` minus log-probability of each label; column 0 is for being none of them.
        positions: `(N,)` places along the row in units of the usual gap, rising; 0, 1, 2 ... by default.
        absent: `(K,)` nats for a label that no thing gets; none by default.

    Example:
        >>> costs = -np.log(np.array([[0.1, 0.8, 0.1], [0.1, 0.5, 0.4]]))
        >>> best_labelling(costs).labels
        (1, 2)
    """
    count = len(costs)
    places = np.arange(count, dtype=np.float64) if positions is None else np.asarray(positions, np.float64)
    left_out = np.zeros(costs.shape[1] - 1) if absent is None else np.asarray(absent, np.float64)
    labels, cost = _cheapest(np.asarray(costs, np.float64), places, left_out)
    others = [_without(costs, places, left_out, item, label) for item, label in enumerate(labels)]
    return Labelling(labels, cost, min(others, default=np.inf) - cost)


def labelling_cost(
    labels: tuple[int, ...], costs: Floats, positions: Floats | None = None, absent: Floats | None = None
) -> float:
    """Cost in nats of any labelling; infinite if labels fall.

    Example:
        >>> labelling_cost((2, 1), np.zeros((2, 3)))
        inf
    """
    places = np.arange(len(costs), dtype=np.float64) if positions is None else positions
    total = float(sum(costs[item, label] for item, label in enumerate(labels)))
    if absent is not None:
        total += float(sum(nats for label, nats in enumerate(absent, 1) if label not in labels))
    named = [item for item, label in enumerate(labels) if label]
    for before, after in pairwise(named):
        step = np.array(labels[after] - labels[before])
        total += float(step_cost(step, np.array(places[after] - places[before])))
    return total


def step_cost(steps: NDArray[np.int64], gaps: Floats) -> Floats:
    """Nats for label steps between things that many gaps apart.

    Example:
        >>> step_cost(np.array([1, 2, 0, -1]), np.ones(1)).tolist()
        [0.0, 4.0, 5.0, inf]
    """
    cost = STEP_COST * np.maximum(0.0, np.abs(steps - gaps) - 0.5) + REPEAT_COST * (steps == 0)
    return np.where(steps < 0, np.inf, cost)


def _without(costs: Floats, places: Floats, absent: Floats, item: int, label: int) -> float:
    """Cost of the cheapest labelling that gives `item` another label."""
    other = np.array(costs, np.float64)
    other[item, label] = np.inf
    return _cheapest(other, places, absent)[1]


def _cheapest(costs: Floats, places: Floats, absent: Floats) -> tuple[tuple[int, ...], float]:
    """Labels and cost of the cheapest labelling.

    `ends[j, k]` is the least cost of everything so far if thing `j` was the last that got a label, and that was
    `k + 1`; `empty` is the cost if none got one. Labels left out before the last one given are paid for at once, those
    after it at the end.
    """
    count, names = costs.shape[0], costs.shape[1] - 1
    steps = np.arange(names)[None, :] - np.arange(names)[:, None]
    ends = np.full((count, names), np.inf)
    parents = np.full((count, names), -1, dtype=np.int64)
    below = np.concatenate([[0.0], np.cumsum(absent)])
    between = np.maximum(below[None, :-1] - below[1:, None], 0.0)
    empty = 0.0
    for item in range(count):
        start = empty + below[:-1]
        if item:
            gaps = (places[item] - places[:item])[:, None, None]
            through = (ends[:item, :, None] + step_cost(steps[None], gaps) + between).reshape(-1, names)
            chosen = through.argmin(axis=0)
            least = through[chosen, np.arange(names)]
            parents[item] = np.where(least < start, chosen, -1)
            start = np.minimum(start, least)
        ends[:item] += costs[item, 0]
        empty += float(costs[item, 0])
        ends[item] = start + costs[item, 1:]
    return _traced(ends + below[-1] - below[1:], parents, empty + below[-1])


def _traced(ends: Floats, parents: NDArray[np.int64], empty: float) -> tuple[tuple[int, ...], float]:
    """Walk back from the cheapest end."""
    labels = [0] * len(ends)
    if not ends.size or ends.min() >= empty:
        return tuple(labels), empty
    now = int(ends.argmin())
    cost = float(ends.flat[now])
    names = ends.shape[1]
    while now >= 0:
        item, name = divmod(now, names)
        labels[item] = name + 1
        now = int(parents[item, name])
    return tuple(labels), cost
