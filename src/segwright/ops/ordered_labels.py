"""Which instance of a row is which: the best labelling whose labels may only rise, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from segwright.core.plan import RowPlan
from segwright.ops.instances import flood
from segwright.ops.row_instances import PIECES, along, part_bodies

#: Nats for each label by which a step differs from what the distance between two things suggests, above half a label;
#: with things one gap apart, leaving a label out costs 4 (a convention for spines; evidence outweighs them).
STEP_COST = 8.0
#: Nats for giving two neighbours the same label, on top of what their distance costs.
REPEAT_COST = 1.0
#: Things a label that take part; of more, those that gain least by a label are none of the structures from the start.
#: Pieces of one thing are at most so many: larger than `bodies.CRUMB`, and together below `bodies.PIECES`.
MOST_A_LABEL = 11

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
    """The cheapest labelling and the gap to its runner-up, by one pass forward (Viterbi 1967) and one back.

    The pass back tells for each thing and label the cheapest labelling that has this label there, so that all
    runners-up are known at once. Takes time with the square of things, and of labels.

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
    table = np.asarray(costs, np.float64)
    count, names = table.shape[0], table.shape[1] - 1
    places = np.arange(count, dtype=np.float64) if positions is None else np.asarray(positions, np.float64)
    left_out = np.zeros(names) if absent is None else np.asarray(absent, np.float64)
    extra = table[:, 1:] - table[:, :1]  # what a label costs beyond being none
    taking = _taking_part(extra)
    row = _Row.of(extra[taking], places[taking], left_out)
    labels = np.zeros(count, np.int64)
    labels[taking], least = row.cheapest()
    margin = row.runner_up(labels[taking]) - least if len(taking) else np.inf
    return Labelling(tuple(labels.tolist()), least + float(table[:, 0].sum()), margin)


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


def _taking_part(extra: Floats) -> NDArray[np.int64]:
    """Things that may get a label, in order: all, or those that gain most by one."""
    most = MOST_A_LABEL * extra.shape[1]
    if len(extra) <= most:
        return np.arange(len(extra))
    return np.sort(np.argsort(extra.min(axis=1), kind="stable")[:most])


@dataclass(frozen=True, slots=True)
class _Row:
    """Labellings as paths from start to end over the things that get a label; labels passed over are paid for.

    Attributes:
        extra: `(N, K)` cost of each label beyond that of being none.
        places: `(N,)` along the row.
        before, after: `(K,)` cost of labels left out before the first and after the last that is given.
        between: `(K, K)` the same on a step from one to the next.
        nobody: Cost of the path over no thing.
        ahead: `(N, K)` cheapest way from the start to a thing with a label, both included.
        parents: `(N, K)` thing and label before that, as `thing * K + label`; -1 where the way starts.
    """

    extra: Floats
    places: Floats
    before: Floats
    after: Floats
    between: Floats
    nobody: float
    ahead: Floats
    parents: NDArray[np.int64]

    @classmethod
    def of(cls, extra: Floats, places: Floats, absent: Floats) -> _Row:
        """A row with its pass forward done."""
        below = np.concatenate([[0.0], np.cumsum(absent)])
        between = np.maximum(below[None, :-1] - below[1:, None], 0.0)
        ahead, parents = np.full_like(extra, np.inf), np.full(extra.shape, -1, dtype=np.int64)
        row = cls(extra, places, below[:-1], below[-1] - below[1:], between, float(below[-1]), ahead, parents)
        for item in range(len(extra)):
            start = row.before
            if item:
                through = (ahead[:item, :, None] + row._steps(item)).reshape(-1, extra.shape[1])
                chosen = through.argmin(axis=0)
                least = through[chosen, np.arange(extra.shape[1])]
                parents[item] = np.where(least < start, chosen, -1)
                start = np.minimum(start, least)
            ahead[item] = start + extra[item]
        return row

    def cheapest(self) -> tuple[NDArray[np.int64], float]:
        """Labels of the cheapest path, and its cost."""
        count, names = self.extra.shape
        labels, ends = np.zeros(count, np.int64), self.ahead + self.after
        if not ends.size or ends.min() >= self.nobody:
            return labels, self.nobody
        now = int(ends.argmin())
        cost = float(ends.flat[now])
        while now >= 0:
            item, name = divmod(now, names)
            labels[item] = name + 1
            now = int(self.parents[item, name])
        return labels, cost

    def runner_up(self, labels: NDArray[np.int64]) -> float:
        """Cost of the cheapest path that gives at least one thing another label."""
        count = len(labels)
        onward = np.repeat(self.after[None], count, axis=0)  # cheapest way from a thing with a label to the end
        past = np.full((count + 2, count + 2), np.inf)  # cheapest path with a step from one thing, or end, to another
        past[0, -1] = self.nobody
        for item in reversed(range(count)):
            rest = self.extra[item] + onward[item]
            past[item + 1, -1] = (self.ahead[item] + self.after).min()
            past[0, item + 1] = (self.before + rest).min()
            if item:
                through = (self._steps(item) + rest).min(axis=2)
                past[1 : item + 1, item + 1] = (self.ahead[:item] + through).min(axis=1)
                onward[:item] = np.minimum(onward[:item], through)
        past = np.minimum.accumulate(past, axis=0)
        past = np.minimum.accumulate(past[:, ::-1], axis=1)[:, ::-1]
        things = np.arange(count)
        least = np.concatenate([past[things, things + 2][:, None], self.ahead + onward], axis=1)
        least[things, labels] = np.inf
        return float(least.min())

    def _steps(self, item: int) -> Floats:
        """`(item, K, K)` cost of a step from each earlier thing and label to each label of this one."""
        names = np.arange(self.extra.shape[1])
        gaps = (self.places[item] - self.places[:item])[:, None, None]
        return step_cost((names[None, :] - names[:, None])[None], gaps) + self.between


#: Body scores below this belong to no instance.
FAINT = 0.02
#: Least share of a label among the structures, and least score of the background, that a voxel counts with: one odd
#: voxel must not outweigh the rest, and a clear body is hardly ever no structure at all.
LEAST_SHARE, LEAST_BACKGROUND = 1e-2, 1e-3

#: What a usual place counts for beside the scores. Neighbours are off together, so that each says less than if alone,
#: but so are the scores, and those are far too sure: of vertebrae on 40 spine films, by networks that knew other
#: films, 1.5 and 2 named 80 % rightly, 1 named 77 %, 0.5 and 3 named 74 %.
PLACE_WEIGHT = 1.5
#: Deviations beyond which a place says no more: a scan of another part of the body must be named by its looks.
PLACE_REACH = 2.0

Scores = NDArray[np.float32]
Numbers = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Identified:
    """Scores in which each instance has one label.

    Attributes:
        scores: `(K, z, y, x)`: the body's score where an instance has that label, 0 elsewhere.
        labels: Labels (from 1) that were given, in order along the line; 0 for instances that are no structure.
        faint: Those of them that were given to things only faintly seen.
        cost, margin: Of the labelling, and by how much its runner-up is dearer, in nats.
        crumbs: Pieces that were too small to be instances.
    """

    scores: Scores
    labels: tuple[int, ...]
    faint: tuple[int, ...]
    cost: float
    margin: float
    crumbs: int


def identify(
    scores: Scores,
    core: Scores | None = None,
    *,
    lengths: tuple[float, float, float] = (1.0, 1.0, 1.0),
    row: RowPlan | None = None,
) -> Identified:
    """Give each instance of a row of look-alikes one label, so that labels rise along the row.

    Instances are the parts of the body (all that is not background) that flood from its cores; their order is that of
    their centres along their common line, in the direction that suits the scores better. What is only faintly seen
    counts as an instance if that completes the row at a lower cost than leaving a structure out.

    Args:
        scores: `(K + 1, z, y, x)`, background first, adding up to 1.
        core: `(z, y, x)` score of lying deep inside a thing, which is what parts touching ones; without it, touching
            things stay one.
        lengths: Edges of a voxel `(z, y, x)`.
        row: Where structures usually lie, and how often scans show them, which count beside their scores.

    Example:
        >>> scores = np.zeros((3, 1, 1, 5), np.float32)
        >>> scores[:, 0, 0] = [[0, 0, 1, 0, 0], [0.9, 0.9, 0, 0.6, 0.6], [0.1, 0.1, 0, 0.4, 0.4]]
        >>> [plane.ravel().round().astype(int).tolist() for plane in identify(scores).scores]
        [[1, 1, 0, 0, 0], [0, 0, 0, 1, 1]]
    """
    body = 1.0 - scores[0]
    found = part_bodies(body, core, scores[1:].argmax(axis=0))
    if not len(found.sizes):
        return Identified(np.zeros_like(scores[1:]), (), (), 0.0, np.inf, found.crumbs)
    centres = _centres(found.numbers, found.sizes)
    costs = _costs(scores, found.numbers, found.sizes)
    if row is not None and row.places:
        costs[:, 1:] += _place_costs(centres[:, row.axis] / found.numbers.shape[row.axis], row)
    absent = _absence_costs(row.shown) if row is not None and row.shown else np.zeros(len(scores) - 1)
    order, best = _directed(centres * lengths, costs, absent)
    given = np.zeros(len(found.sizes), np.int64)
    given[order] = _merged(np.array(best.labels), found.sizes[order], costs[order])
    regions = flood(-body, found.numbers, (body > FAINT) | (found.numbers > 0))
    named = np.concatenate([[0], given])[regions]
    full = np.minimum(body / np.concatenate([[1.0], found.peaks])[regions], 1.0)
    kept = np.stack([np.where(named == label, full, 0.0) for label in range(1, len(scores))]).astype(np.float32)
    faint = tuple(sorted(int(label) for label in given[found.peaks < 1] if label))
    return Identified(kept, tuple(given[order].tolist()), faint, best.cost, best.margin, found.crumbs)


def _costs(scores: Scores, instances: Numbers, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """`(N, K + 1)` minus log-scores of each instance: of being background by its mean, of each label voxel by voxel."""
    inside = instances > 0
    numbers = instances[inside] - 1
    background = scores[0][inside]
    body = np.maximum(1.0 - background, LEAST_BACKGROUND)

    def means(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(numbers, weights=values, minlength=len(sizes)) / sizes

    none = -np.log(np.maximum(means(background), LEAST_BACKGROUND))
    shares = [means(-np.log(np.maximum(plane[inside] / body, LEAST_SHARE))) for plane in scores[1:]]
    there = -np.log(np.maximum(means(body), LEAST_BACKGROUND))
    return np.stack([none, *(share + there for share in shares)], axis=1)


def _place_costs(found: NDArray[np.float64], row: RowPlan) -> NDArray[np.float64]:
    """`(N, K)` nats of lying that far from the usual place of each label, for centres as shares of the axis."""
    means, deviations = np.array(row.places).T
    off = np.minimum(np.abs(found[:, None] - means) / deviations, PLACE_REACH)
    return np.asarray(PLACE_WEIGHT * off**2 / 2)


def _absence_costs(shown: Sequence[float]) -> NDArray[np.float64]:
    """Nats for leaving out each structure: how much oftener scans show it than not; none for those that often miss."""
    shares = np.array(shown)
    return np.asarray(np.maximum(np.log(shares / (1.0 - shares)), 0.0))


def _centres(instances: Numbers, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean voxel index `(N, 3)` of each instance."""
    where = np.nonzero(instances)
    numbers = instances[where] - 1
    return np.stack([np.bincount(numbers, weights=axis, minlength=len(sizes)) / sizes for axis in where], axis=1)


def _directed(
    centres: NDArray[np.float64], costs: NDArray[np.float64], absent: NDArray[np.float64]
) -> tuple[NDArray[np.int64], Labelling]:
    """Order along the line in the better of both directions, and its labelling."""
    order, places = along(centres)
    there = best_labelling(costs[order], places, absent)
    if len(order) < 2:
        return order, there
    back_places = places[-1] - places[::-1]
    back = best_labelling(costs[order[::-1]], back_places, absent)
    first, second = sorted(((order, there), (order[::-1], back)), key=lambda pair: pair[1].cost)
    if second[1].labels[::-1] == first[1].labels:  # a single label read either way is the same labelling
        return first
    margin = min(first[1].margin, second[1].cost - first[1].cost)
    return first[0], Labelling(first[1].labels, first[1].cost, margin)


def _merged(labels: NDArray[np.int64], sizes: NDArray[np.int64], costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Where a label was given repeatedly: pieces of one thing keep it, else only the instance that suits it best."""
    kept = labels.copy()
    named = sizes[labels > 0]
    usual = float(np.median(named)) if len(named) else 0.0
    for label in set(labels[labels > 0].tolist()):
        same = np.flatnonzero(labels == label)
        if len(same) > 1 and sizes[same].sum() > PIECES * usual:
            best = same[int((costs[same, label] - np.log(sizes[same])).argmin())]
            kept[same[same != best]] = 0
    return kept
