"""Tells from the image itself how a label lies on it: the borders of the right placement are where the image changes.

Two witnesses are heard for each case and each placement that is possible. The first is the step of intensity across the
label's borders, against the same borders moved elsewhere. The second is the intensity under each structure less that of
a rim around it, which has the same sign in most cases where the placement is right. Cases are put together by a sign
test; where they do not agree, the answer is that it cannot be told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Points looked at for each axis or structure, and how often all are moved elsewhere to learn what chance gives.
_POINTS, _MOVES = 6_000, 20
_STRUCTURES = 8
#: How far out and in of a border the rim reaches, in voxels.
_DEPTH = 3
#: One case counts for no more than this, so that no single scan decides alone what many deny.
_MOST = 6.0
#: What chance gives varies by so much at least: a share of the mean step, and of the range of intensities.
_STEP_SPREAD, _CONTRAST_SPREAD = 0.1, 0.01
#: Intensities are heard from so many cases on: the usual sign is learnt from the others.
_AGREEING = 3
#: Chance of a wrong verdict by the sign test; with fewer cases than this needs, the mean must be as large as `_CLEAR`.
_CHANCE, _CLEAR = 0.05, 3.0
#: A placement must fit better than the same label moved elsewhere by this much, in deviations, over all cases.
_FITS = 2.0

Points = NDArray[np.int64]


class Look(NamedTuple):
    """How one placement of a label fits the image of one case.

    Attributes:
        ratio: Step of intensity across the label's borders over that of the same borders moved elsewhere; 1 is chance.
        edge: The same as a distance from chance, in deviations of the moved ones.
        contrast: For each structure and channel, intensity inside less that of the rim, in deviations of moved ones.
    """

    ratio: float
    edge: float
    contrast: dict[tuple[int, int], float]


@dataclass(frozen=True)
class Verdict:
    """Which placement the images speak for.

    Attributes:
        winner: Its name, or `None` where it cannot be told.
        best: The one that fits best, told or not.
        ratios: Step of intensity at the borders over chance, the mean over cases, for each placement.
        cases: In how many cases the best one and the next best differ, and in how many of these the best fits better.
        reason: The evidence, as part of a sentence.
    """

    winner: str | None
    best: str
    ratios: dict[str, float]
    cases: tuple[int, int]
    reason: str


def look(image: NDArray[Any], label: NDArray[Any], *, seed: int = 0) -> Look:
    """How well `label` `(z, y, x)` lies on `image` `(C, z, y, x)`.

    Costs a pass over the label and a look at some ten thousand voxels of the image, whatever its size.
    """
    draw = np.random.default_rng(seed)
    filled = np.stack(np.nonzero(label), axis=1)
    borders = _borders(label, filled, draw)
    if not borders:
        return Look(1.0, 0.0, {})
    moves = _moves(label.shape, draw)
    channels = [_scaled(channel, draw) for channel in image[:3]]
    steps = np.mean([_steps(channel, borders, moves) for channel in channels], axis=0)
    chance, spread = float(steps[1:].mean()), float(steps[1:].std())
    found: dict[tuple[int, int], float] = {}
    values_there = label[tuple(filled.T)]
    for value in _largest(values_there):
        inside, rim = _some(filled[values_there == value], draw), _rim(label, value, borders, draw)
        if len(inside) and len(rim):
            for index, channel in enumerate(channels):
                values = _contrast(channel, inside, rim, moves)
                usual = float(np.sqrt((values[1:] ** 2).mean()))
                found[value, index] = float(values[0]) / max(usual, _CONTRAST_SPREAD)
    ratio = float(steps[0]) / max(chance, 1e-9)
    return Look(ratio, (ratio - 1) / max(spread / max(chance, 1e-9), _STEP_SPREAD), found)


def judge(looks: Sequence[dict[str, Look]]) -> Verdict:
    """The placement that fits best over all cases; each case gives a look at the same placements, two or more.

    A placement wins where it fits better than chance, and better than every other one: by a sign test over the cases in
    which the two differ, or, where these are too few for the test, by a large distance.
    """
    names = list(looks[0])
    scores = {name: _scores(looks, name) for name in names}

    def lead(name: str) -> tuple[float, str]:
        """How far a placement is ahead of the one that comes nearest to it, and which that is."""
        return min((_mean(scores[name] - scores[other]), other) for other in names if other != name)

    best = max(names, key=lambda name: lead(name)[0])
    next_best = lead(best)[1]
    told = all(_clearly(scores[best] - scores[other])[0] for other in names if other != best)
    counts = _clearly(scores[best] - scores[next_best])[1]
    ratios = {name: float(np.mean([case[name].ratio for case in looks])) for name in names}
    reason = f"border contrast {ratios[best]:.2f} against {ratios[next_best]:.2f} {next_best} (1 is chance), "
    reason += f"and fits better in {counts[1]} of {counts[0]} cases"
    fits = _mean(scores[best]) >= _FITS
    return Verdict(best if told and fits else None, best, ratios, counts, reason)


def _scores(looks: Sequence[dict[str, Look]], name: str) -> NDArray[np.float64]:
    """One number a case: the witness of the borders plus that of the intensities, whose usual sign others tell."""
    here = [case[name] for case in looks]
    if len(here) < _AGREEING:
        return np.array([one.edge for one in here])
    total: dict[tuple[int, int], float] = {}
    for one in here:
        for key, value in one.contrast.items():
            total[key] = total.get(key, 0.0) + value
    out = []
    for one in here:
        others = {key: math.tanh((total[key] - value) / 2) for key, value in one.contrast.items()}
        told = [value * others[key] for key, value in one.contrast.items()]
        out.append(one.edge + (sum(told) / math.sqrt(len(told)) if told else 0.0))
    return np.array(out)


def _clearly(ahead: NDArray[np.float64]) -> tuple[bool, tuple[int, int]]:
    """Whether one placement is ahead of another, and in how many cases of those in which they differ."""
    differ = ahead[np.abs(ahead) > 1e-9]
    count, won = len(differ), int((differ > 0).sum())
    if not count:
        return False, (0, 0)
    chance = sum(math.comb(count, k) for k in range(won, count + 1)) / 2.0**count
    enough = chance <= _CHANCE and _mean(differ) >= 1.0
    return enough or (won == count and _mean(differ) >= _CLEAR), (count, won)


def _mean(values: NDArray[np.float64]) -> float:
    """Mean in units of what chance would give the mean of so many cases."""
    return float(np.clip(values, -_MOST, _MOST).sum() / math.sqrt(len(values)))


def _borders(label: NDArray[Any], filled: Points, draw: np.random.Generator) -> dict[int, Points]:
    """Some voxels for each axis whose neighbour along it has another value; looked for around the filled ones."""
    if not len(filled):
        return {}
    low, high = np.maximum(filled.min(axis=0) - 1, 0), filled.max(axis=0) + 2
    part = label[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    found = {}
    for axis in range(3):
        moved = np.moveaxis(part, axis, 0)
        changes = np.moveaxis(moved[1:] != moved[:-1], 0, axis)
        points = np.stack(np.nonzero(changes), axis=1)
        if len(points):
            found[axis] = _some(points, draw) + low
    return found


def _some(points: Points, draw: np.random.Generator) -> Points:
    return points if len(points) <= _POINTS else points[draw.choice(len(points), _POINTS, replace=False)]


def _moves(shape: tuple[int, ...], draw: np.random.Generator) -> NDArray[np.int64]:
    """Shifts `(k, 3)`: none first, then far enough in rows or columns to leave the border, anywhere along slices."""
    out = [np.zeros(3, np.int64)]
    for _ in range(_MOVES):
        out.append(np.array([draw.integers(max(n // 6, min(n, 3)), max(n - n // 6, min(n, 3)) + 1) % n for n in shape]))
    return np.array(out)


def _scaled(channel: NDArray[Any], draw: np.random.Generator) -> tuple[NDArray[Any], float, float]:
    """A channel with the values between which nearly all of it lies."""
    flat = channel.reshape(-1)
    some = flat[draw.integers(0, flat.size, 4 * _POINTS)].astype(np.float64)
    some = some[np.isfinite(some)]
    low, high = np.percentile(some, [0.5, 99.5]) if some.size else (0.0, 1.0)
    return channel, float(low), float(high) if high > low else float(low) + 1.0


def _values(channel: tuple[NDArray[Any], float, float], points: Points) -> NDArray[np.float64]:
    """Intensities from 0 to 1 at some points."""
    voxels, low, high = channel
    found = np.nan_to_num(voxels[points[:, 0], points[:, 1], points[:, 2]].astype(np.float64), nan=low)
    return (np.clip(found, low, high) - low) / (high - low)


def _steps(channel: Any, borders: dict[int, Points], moves: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean step across all borders for each move; each axis counts by its points, in units of its own usual step."""
    shape = np.array(channel[0].shape)
    sums, count = np.zeros(len(moves)), 0
    for axis, points in borders.items():
        size = shape - np.eye(3, dtype=int)[axis]
        rows = []
        for move in moves:
            here = (points + move) % size
            there = here + np.eye(3, dtype=int)[axis]
            rows.append(np.abs(_values(channel, there) - _values(channel, here)).mean())
        usual = float(np.mean(rows[1:]))
        sums += np.array(rows) / max(usual, 1e-9) * len(points)
        count += len(points)
    return sums / count


def _largest(filled: NDArray[Any]) -> list[int]:
    """The values of the largest structures among those of all filled voxels."""
    values, counts = np.unique(filled, return_counts=True)
    return [int(values[i]) for i in np.argsort(-counts, kind="stable")[:_STRUCTURES]]


def _rim(label: NDArray[Any], value: int, borders: dict[int, Points], draw: np.random.Generator) -> Points:
    """Points up to three voxels out of the borders of a structure in its slices."""
    found = []
    for axis, points in borders.items():
        step = np.eye(3, dtype=int)[axis]
        inner, outer = label[tuple(points.T)], label[tuple((points + step).T)]
        for start, way in ((points[inner == value], step), (points[outer == value] + step, -step)):
            found += [start + way * depth for depth in range(1, _DEPTH + 1 if label.shape[axis] > 8 else 2)]
    near = np.concatenate(found) if found else np.empty((0, 3), np.int64)
    near = near[((near >= 0) & (near < label.shape)).all(axis=1)]
    return _some(near[label[tuple(near.T)] != value], draw)


def _contrast(channel: Any, inside: Points, rim: Points, moves: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean inside less mean of the rim, for each move."""
    shape = np.array(channel[0].shape)
    return np.array(
        [_values(channel, (inside + m) % shape).mean() - _values(channel, (rim + m) % shape).mean() for m in moves]
    )
