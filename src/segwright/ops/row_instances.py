"""Instances of a row of alike structures, as vertebrae: parted at their cores, and ordered along their line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import minimum_spanning_tree, shortest_path

from segwright.ops.components import component_sizes, label_components, largest_component, number_boxes
from segwright.ops.instances import flood
from segwright.ops.morphology import dilate

#: Score from which a voxel is body, or core of a body.
BODY, CORE = 0.5, 0.5
#: The same for things that are only faintly seen, and their least size as a share of the median.
FAINT_BODY, FAINT_CORE, FAINT_SIZE = 0.15, 0.1, 0.25
#: A faint thing reaches as far as its score is this share of its peak, which this quantile of its scores stands for.
FAINT_REACH, PEAK = 0.5, 0.9
#: Voxels around a sure instance that belong to its edge and not to a faint one.
RIM = 1.5
#: Instances smaller than this share of the median are crumbs.
CRUMB = 0.15
#: A part is several instances that were not kept apart if it is larger than `PIECES` usual ones and holds at least this
#: share of a usual one under each of two names or more; as usual counts the median number of voxels under a name.
MIXED = 0.25
#: Two instances of one label are pieces of one thing if together they are at most this many times the median.
PIECES = 1.6

Scores = NDArray[np.float32]
Numbers = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Bodies:
    """Instances of a body.

    Attributes:
        numbers: `(z, y, x)`, from 1, 0 where none is; faint ones come last.
        sizes: Voxels of each.
        peaks: The score that counts as full for each: 1 for sure ones, that of their middle for faint ones.
        crumbs: Pieces that were too small to be instances.
    """

    numbers: Numbers
    sizes: NDArray[np.int64]
    peaks: NDArray[np.float64]
    crumbs: int


def part_bodies(body: Scores, core: Scores | None, names: NDArray[np.int64]) -> Bodies:
    """Instances that flood from their cores, and beside them those that are there only faintly.

    A network that cannot decide where a row ends shows the last thing as a faint one; whether it counts is for the
    row to say.

    Args:
        body: `(z, y, x)` score of being any thing of the row.
        core: `(z, y, x)` score of lying deep inside one; without it, touching things stay one.
        names: `(z, y, x)` index of the best name, which parts what cores do not.

    Example:
        >>> body = np.array([[[1, 1, 0, 0, 0.3, 0.3]]], np.float32)
        >>> found = part_bodies(body, None, np.zeros(body.shape, np.int64))
        >>> found.numbers.tolist(), found.peaks.round(1).tolist()
        ([[[1, 1, 0, 0, 2, 2]]], [1.0, 0.3])
    """
    numbers, sizes, crumbs = _sure(body, core, names)
    found, peaks = list(sizes), [1.0] * len(sizes)
    for where, inside, peak in _faint(numbers, body, core, FAINT_SIZE * float(np.median(sizes))) if found else ():
        found.append(int(np.count_nonzero(inside)))
        peaks.append(peak)
        numbers[where][inside] = len(found)
    return Bodies(numbers, np.array(found, np.int64), np.array(peaks), crumbs)


def _sure(body: Scores, core: Scores | None, names: NDArray[np.int64]) -> tuple[Numbers, NDArray[np.int64], int]:
    """Instances numbered from 1, their sizes in voxels, and how many crumbs were left out."""
    mask = body > BODY
    parts, count = _flooded(mask, -body if core is None else -core, core, CORE)
    parts, count = _unmixed(parts, count, names, body)
    sizes = component_sizes(parts, count)
    usual = np.median(np.sort(sizes)[-_most(sizes) :]) if count else 0.0
    large = sizes >= CRUMB * usual
    table = np.concatenate([[0], np.where(large, np.cumsum(large), 0)])
    return table[parts].astype(np.int32), sizes[large], int((~large).sum())


def _faint(
    numbers: Numbers, body: Scores, core: Scores | None, least: float
) -> Iterator[tuple[tuple[slice, ...], NDArray[np.bool_], float]]:
    """Things that are seen faintly and no sure instance is near, parted at faint cores: box, mask in it and peak."""
    mask = (body > FAINT_BODY) & ~dilate(numbers > 0, RIM)
    parts, count = _flooded(mask, -body, core, FAINT_CORE)
    large = component_sizes(parts, count) >= least
    for number, box in enumerate(number_boxes(parts, count), start=1):
        if box is None or not large[number - 1]:
            continue
        inside, score = parts[box.slices] == number, body[box.slices]
        peak = float(np.quantile(score[inside], PEAK))
        inside = largest_component(inside & (score > FAINT_REACH * peak), 6)
        if np.count_nonzero(inside) >= least:
            yield box.slices, inside, peak


def _flooded(mask: NDArray[np.bool_], height: Scores, core: Scores | None, least: float) -> tuple[Numbers, int]:
    """Components of a mask, each parted at the cores inside it, numbered from 1, and their number."""
    parts, count = label_components(mask, connectivity=6)
    if core is None:
        return parts.astype(np.int32), count
    seeds, found = label_components(mask & (core > least), connectivity=26)
    seedless = np.ones(count + 1, bool)
    seedless[np.unique(parts[seeds > 0])] = False
    seedless[0] = False
    markers = np.where(seeds > 0, seeds.astype(np.int64), 0)
    markers = np.where(seedless[parts], parts.astype(np.int64) + found, markers)
    return _renumbered(flood(height, markers, mask).astype(np.int32))


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
    return _renumbered(flood(-body, markers, parts > 0).astype(np.int32))


def _most(sizes: NDArray[np.int64]) -> int:
    """How many instances are not mere crumbs, so that a hundred specks do not make the median a speck."""
    return max(1, int((sizes >= CRUMB * sizes.max()).sum()))


def _renumbered(numbers: Numbers) -> tuple[Numbers, int]:
    """The same parts numbered 1, 2, 3 ... without gaps."""
    present, inverse = np.unique(numbers, return_inverse=True)
    first = 0 if present[0] == 0 else 1
    return (inverse.reshape(numbers.shape) + first).astype(np.int32), len(present) - 1 + first


#: Points closer than this share of the largest gap lie beside one another, not one after the other.
BESIDE = 0.3

Floats = NDArray[np.float64]


def along(points: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Order of points `(N, d)` along their common line, and their places on it in units of the usual gap.

    The line is the longest path of the shortest tree that joins all points, so it follows curves and arches; points
    beside it take the place of their foot on it. Which end comes first is arbitrary.

    Returns:
        Indices of the points in order, and the places of the points in that order, from 0.

    Example:
        >>> order, places = along(np.array([[0.0, 0.0], [20.0, 1.0], [10.0, 0.0], [30.0, 0.0]]))
        >>> order.tolist() in ([0, 2, 1, 3], [3, 1, 2, 0]), np.allclose(np.diff(places), 1, atol=0.01)
        (True, True)
    """
    count = len(points)
    if count < 2:
        return np.arange(count), np.zeros(count)
    path = _longest_path(points)
    places = _feet(points, points[path])
    order = np.argsort(places, kind="stable")
    places = places[order] - places.min()
    return order.astype(np.int64), places / _usual_gap(np.diff(places))


def _usual_gap(gaps: Floats) -> float:
    """Median gap; those far below the largest are between pieces of one thing and do not count."""
    return float(np.median(gaps[gaps >= BESIDE * gaps.max()])) or 1.0


def _longest_path(points: Floats) -> list[int]:
    """Indices of the points on the longest path of the shortest tree."""
    far = np.linalg.norm(points[:, None] - points[None], axis=-1)
    far += 1e-6 * (far.max() or 1.0)  # zeros would mean that two points are not joined
    lengths, before = shortest_path(minimum_spanning_tree(far), directed=False, return_predecessors=True)
    first, last = np.unravel_index(int(lengths.argmax()), lengths.shape)
    path = [int(last)]
    while path[-1] != first:
        path.append(int(before[first, path[-1]]))
    return path[::-1]


def _feet(points: Floats, line: Floats) -> Floats:
    """Length along a polyline of the foot of each point; beyond its ends the end segments go on."""
    pieces = np.diff(line, axis=0)
    lengths = np.linalg.norm(pieces, axis=1)
    starts = np.concatenate([[0.0], np.cumsum(lengths)])[:-1]
    share = np.einsum("nsd,sd->ns", points[:, None] - line[None, :-1], pieces) / np.maximum(lengths**2, 1e-12)
    low = np.where(np.arange(len(pieces)) == 0, -np.inf, 0.0)
    high = np.where(np.arange(len(pieces)) == len(pieces) - 1, np.inf, 1.0)
    share = np.clip(share, low, high)
    foot = line[None, :-1] + share[..., None] * pieces[None]
    nearest = np.linalg.norm(points[:, None] - foot, axis=-1).argmin(axis=1)
    rows = np.arange(len(points))
    found: Floats = starts[nearest] + share[rows, nearest] * lengths[nearest]
    return found
