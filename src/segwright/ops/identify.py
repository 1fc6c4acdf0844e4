"""Which thing of a row is which: parts a body into instances and gives each one label, in order along its own line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segwright.core.plan import RowPlan
from segwright.ops.column import along
from segwright.ops.components import component_sizes, label_components, largest_component
from segwright.ops.flood import flood
from segwright.ops.sequence import Labelling, best_labelling

#: Score from which a voxel is body, or core of a body.
BODY, CORE = 0.5, 0.5
#: Body scores below this belong to no instance.
FAINT = 0.02
#: Instances smaller than this share of the median are crumbs.
CRUMB = 0.15
#: A part is several instances that were not kept apart if it is larger than `PIECES` usual ones and holds at least this
#: share of a usual one under each of two names or more; as usual counts the median number of voxels under a name.
MIXED = 0.25
#: Two instances of one label are pieces of one thing if together they are at most this many times the median.
PIECES = 1.6
#: Least share of a label among the structures, and least score of the background, that a voxel counts with: one odd
#: voxel must not outweigh the rest, and a clear body is hardly ever no structure at all.
LEAST_SHARE, LEAST_BACKGROUND = 1e-2, 1e-3

#: What a usual place counts for beside the scores: neighbours are off together, so each says less than if alone.
PLACE_WEIGHT = 0.5
#: Deviations beyond which a place says no more: a scan of another part of the body must be named by its looks.
PLACE_REACH = 3.0

Scores = NDArray[np.float32]
Numbers = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Identified:
    """Scores in which each instance has one label.

    Attributes:
        scores: `(K, z, y, x)`: the body's score where an instance has that label, 0 elsewhere.
        labels: Labels (from 1) that were given, in order along the line; 0 for instances that are no structure.
        cost, margin: Of the labelling, and by how much its runner-up is dearer, in nats.
        crumbs: Pieces that were too small to be instances.
    """

    scores: Scores
    labels: tuple[int, ...]
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
    their centres along their common line, in the direction that suits the scores better.

    Args:
        scores: `(K + 1, z, y, x)`, background first, adding up to 1.
        core: `(z, y, x)` score of lying deep inside a thing, which is what parts touching ones; without it, touching
            things stay one.
        lengths: Edges of a voxel `(z, y, x)`.
        row: Where structures usually lie, which counts beside their scores.

    Example:
        >>> scores = np.zeros((3, 1, 1, 5), np.float32)
        >>> scores[:, 0, 0] = [[0, 0, 1, 0, 0], [0.9, 0.9, 0, 0.6, 0.6], [0.1, 0.1, 0, 0.4, 0.4]]
        >>> [plane.ravel().round().astype(int).tolist() for plane in identify(scores).scores]
        [[1, 1, 0, 0, 0], [0, 0, 0, 1, 1]]
    """
    body = 1.0 - scores[0]
    instances, sizes, crumbs = _instances(body, core, scores[1:].argmax(axis=0))
    if not len(sizes):
        return Identified(np.zeros_like(scores[1:]), (), 0.0, np.inf, crumbs)
    centres = _centres(instances, sizes)
    costs = _costs(scores, instances, sizes)
    if row is not None:
        costs[:, 1:] += _place_costs(centres[:, row.axis] / instances.shape[row.axis], row)
    order, found = _directed(centres * lengths, costs)
    given = np.zeros(len(sizes), np.int64)
    given[order] = _merged(np.array(found.labels), sizes[order], costs[order])
    regions = flood(instances, -body, (body > FAINT) | (instances > 0))
    named = np.concatenate([[0], given])[regions]
    kept = np.stack([np.where(named == label, body, 0.0) for label in range(1, len(scores))]).astype(np.float32)
    return Identified(kept, tuple(given[order].tolist()), found.cost, found.margin, crumbs)


def _instances(body: Scores, core: Scores | None, names: NDArray[np.int64]) -> tuple[Numbers, NDArray[np.int64], int]:
    """Instances numbered from 1, their sizes in voxels, and how many crumbs were left out."""
    mask = body > BODY
    parts, count = label_components(mask, connectivity=6)
    if core is not None:
        seeds, found = label_components(mask & (core > CORE), connectivity=26)
        seedless = np.ones(count + 1, bool)
        seedless[np.unique(parts[seeds > 0])] = False
        seedless[0] = False
        markers = np.where(seeds > 0, seeds.astype(np.int64), 0)
        markers = np.where(seedless[parts], parts.astype(np.int64) + found, markers)
        parts, count = _renumbered(flood(markers, -core, mask))
    parts, count = _unmixed(parts.astype(np.int32), count, names, body)
    sizes = component_sizes(parts, count)
    usual = np.median(np.sort(sizes)[-_most(sizes) :]) if count else 0.0
    large = sizes >= CRUMB * usual
    table = np.concatenate([[0], np.where(large, np.cumsum(large), 0)])
    return table[parts].astype(np.int32), sizes[large], int((~large).sum())


def _unmixed(parts: Numbers, count: int, names: NDArray[np.int64], body: Scores) -> tuple[Numbers, int]:
    """Parts of several names, which the network has not kept apart, are cut where its names change."""
    if not count:
        return parts, 0
    inside = parts > 0
    kinds = int(names.max()) + 1
    pairs = parts[inside].astype(np.int64) * kinds + names[inside]
    table = np.bincount(pairs, minlength=(count + 1) * kinds).reshape(count + 1, kinds)[1:]
    totals = table.sum(axis=0)
    usual = float(np.median(totals[totals >= CRUMB * totals.max()]))
    held = table >= MIXED * usual
    several = (held.sum(axis=1) > 1) & (table.sum(axis=1) > PIECES * usual)
    if not several.any():
        return parts, count
    markers = np.where(np.concatenate([[False], several])[parts], 0, parts).astype(np.int64)
    following = count
    for number in np.flatnonzero(several):
        for name in np.flatnonzero(held[number]):
            following += 1
            markers[largest_component((parts == number + 1) & (names == name), 6)] = following
    return _renumbered(flood(markers, -body, parts > 0))


def _most(sizes: NDArray[np.int64]) -> int:
    """How many instances are not mere crumbs, so that a hundred specks do not make the median a speck."""
    return max(1, int((sizes >= CRUMB * sizes.max()).sum()))


def _renumbered(numbers: Numbers) -> tuple[Numbers, int]:
    """The same parts numbered 1, 2, 3 ... without gaps."""
    present, inverse = np.unique(numbers, return_inverse=True)
    first = 0 if present[0] == 0 else 1
    return (inverse.reshape(numbers.shape) + first).astype(np.int32), len(present) - 1 + first


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


def _centres(instances: Numbers, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean voxel index `(N, 3)` of each instance."""
    where = np.nonzero(instances)
    numbers = instances[where] - 1
    return np.stack([np.bincount(numbers, weights=axis, minlength=len(sizes)) / sizes for axis in where], axis=1)


def _directed(centres: NDArray[np.float64], costs: NDArray[np.float64]) -> tuple[NDArray[np.int64], Labelling]:
    """Order along the line in the better of both directions, and its labelling."""
    order, places = along(centres)
    there = best_labelling(costs[order], places)
    if len(order) < 2:
        return order, there
    back_places = places[-1] - places[::-1]
    back = best_labelling(costs[order[::-1]], back_places)
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
