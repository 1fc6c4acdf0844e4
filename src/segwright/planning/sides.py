"""Finds out from labels which structures change places when a scan is flipped, such as kidneys and teeth."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segwright.core.document import Part
from segwright.core.inspection import CaseFacts
from segwright.planning.places import Turn

#: Labelled cases that tell anything, and cases that must show a structure.
LEAST, SHOWN = 5, 3
#: Twins: the flipped copy of one is at most this many times as large or as long as the other, its axes are tilted and
#: its mass is skewed alike to within these, and it lies on the other to within this share of both standard deviations.
#: Of 42 pairs of teeth, lungs, clavicles, kidneys and other organs none was off by more than 1.42, 1.70, 0.39, 0.76 and
#: 0.64.
LARGER, LONGER, TILT, SKEW, OFF = 1.6, 1.75, 0.5, 0.8, 0.75
#: Twins lie apart by at least the sum of their standard deviations (neighbours that touch: by 1.7 times that), the same
#: way round in this share of cases.
APART, SAME_SIDE = 1.0, 0.95
#: A structure without a twin that differs from another by no more than this could be taken for it.
CLOSE_LARGER, CLOSE_LONGER, CLOSE_TILT, CLOSE_SKEW = 1.35, 1.35, 0.35, 0.6

Floats = NDArray[np.float64]


class Flip(Part):
    """What a flip along one axis does to the structures.

    Attributes:
        axis: 0 z, 1 y, 2 x of the common orientation.
        pairs: Structures (by number) whose flipped shapes lie on each other, while each keeps to its side.
        stray: Structures beside such pairs that keep to a side without a partner, and the one each could be taken for.
    """

    axis: int
    pairs: tuple[tuple[int, int], ...] = ()
    stray: tuple[tuple[int, int], ...] = ()


class Sides(Part):
    """What flips do to the structures of a dataset.

    Attributes:
        cases: Labelled cases that were measured.
        flips: One an axis; empty where there are too few cases.
        rare: Structures in too few cases to tell.
    """

    cases: int
    flips: tuple[Flip, ...] = ()
    rare: tuple[int, ...] = ()

    def flip(self, axis: int) -> Flip | None:
        """What a flip along an axis does, if that was measured."""
        return next((flip for flip in self.flips if flip.axis == axis), None)


def sides_of(facts: Sequence[CaseFacts], names: Sequence[str], turns: Sequence[Turn]) -> Sides | None:
    """Which structures change places when scans are flipped; `None` if there are fewer than two structures.

    Each case gives positions and forms of its structures; medians over cases give a constellation, whatever the field
    of view. A plane is sought about which flipped structures lie on others of their form.

    Args:
        facts: Of labelled cases; those without forms (measured by an older version) do not count.
        names: Structures in channel order.
        turns: For each case, its axes in the common order and which of them run the other way.
    """
    if len(names) < 2:
        return None
    told = [(fact, turn) for fact, turn in zip(facts, turns, strict=True) if fact.forms]
    if len(told) < LEAST:
        return Sides(cases=len(told))
    found = _Constellation.of(told, names)
    shown = (~np.isnan(found.each[:, :, 0])).sum(axis=0)
    rare = tuple(int(index) for index in np.flatnonzero(shown < SHOWN))
    flips = tuple(found.flip(axis) for axis in range(3) if any(fact.shape[turn[0][axis]] > 1 for fact, turn in told))
    return Sides(cases=len(told), flips=flips, rare=rare)


@dataclass(frozen=True)
class _Constellation:
    """Median place `(K, 3)`, size `(K,)`, spread `(K, 3)`, correlations `(K, 3, 3)` and skewness `(K, 3)` of the
    structures, and their places in each case `(N, K, 3)` about the case's own middle; NaN where there are none."""

    place: Floats
    size: Floats
    spread: Floats
    tilt: Floats
    skew: Floats
    each: Floats

    @classmethod
    def of(cls, told: Sequence[tuple[CaseFacts, Turn]], names: Sequence[str]) -> _Constellation:
        """From the facts of cases."""
        known = all(_spacing_known(fact) for fact, _ in told)
        rows = np.stack([_case(fact, turn, names, known) for fact, turn in told])
        place, each = _aligned(rows[:, :, :3])
        middle = _median(rows[:, :, 3:], axis=0)
        size, spread, tilt, skew = np.split(middle, (1, 4, 13), axis=1)
        return cls(place, size[:, 0], spread, tilt.reshape(-1, 3, 3), skew, each)

    def flip(self, axis: int) -> Flip:
        """What a flip along an axis does."""
        twins = self._twins(axis)
        if not twins.any():
            return Flip(axis=axis)
        first, second = np.nonzero(np.triu(twins))
        planes = (self.place[first, axis] + self.place[second, axis]) / 2
        found = [(self._pairs(twins, axis, plane), plane) for plane in np.unique(planes)]
        pairs, plane = max(found, key=lambda one: (len(one[0]), -self._mismatch(one[0], axis, one[1])))
        return Flip(axis=axis, pairs=pairs, stray=self._stray(pairs, axis, plane))

    def _twins(self, axis: int) -> NDArray[np.bool_]:
        """Pairs `(K, K)` of like form on two sides, level with each other in all other directions."""
        alike = self._alike(axis, (LARGER, LONGER, TILT, SKEW))
        gap, size = self._gaps(), self._sizes()
        level = np.delete(gap <= OFF * size, axis, axis=2).all(axis=2)
        apart = gap[:, :, axis] >= APART * size[:, :, axis]
        return alike & level & apart & self._keep_sides(axis)

    def _keep_sides(self, axis: int) -> NDArray[np.bool_]:
        """Pairs `(K, K)` that lie the same way round in nearly all cases that show both."""
        along = self.each[:, :, axis]
        ahead = (along[:, :, None] > along[:, None, :]).sum(axis=0)
        behind = ahead.T
        return np.maximum(ahead, behind) >= SAME_SIDE * np.maximum(ahead + behind, 1)

    def _alike(self, axis: int, limits: tuple[float, float, float, float]) -> NDArray[np.bool_]:
        """Whether the flipped first `(K, K)` has the form of the second."""
        larger, longer, tilt, skew = limits
        sign = np.ones(3)
        sign[axis] = -1
        ratio = np.abs(np.log(self.spread[:, None] / self.spread[None]))
        tilted = np.abs(self.tilt[:, None] * np.outer(sign, sign) - self.tilt[None]).max(axis=(2, 3))
        skewed = np.abs(self.skew[:, None] * sign - self.skew[None]).max(axis=2)
        sized = np.abs(np.log(self.size[:, None] / self.size[None])) <= np.log(larger)
        fits = sized & (ratio <= np.log(longer)).all(axis=2) & (tilted <= tilt) & (skewed <= skew)
        return np.asarray(fits & ~np.eye(len(fits), dtype=bool))

    def _gaps(self) -> Floats:
        """Distances `(K, K, 3)` along each axis."""
        return np.abs(self.place[:, None] - self.place[None])

    def _sizes(self) -> Floats:
        """Sums `(K, K, 3)` of standard deviations."""
        return self.spread[:, None] + self.spread[None]

    def _misses(self, axis: int, plane: float) -> Floats:
        """How far `(K, K)` the flipped first comes to lie from the second, in sums of standard deviations."""
        flipped = self.place.copy()
        flipped[:, axis] = 2 * plane - flipped[:, axis]
        return (np.abs(flipped[:, None] - self.place[None]) / self._sizes()).max(axis=2)

    def _pairs(self, twins: NDArray[np.bool_], axis: int, plane: float) -> tuple[tuple[int, int], ...]:
        """Twins that come to lie on each other, each nearest to the other."""
        cost = np.where(twins & twins.T, self._misses(axis, plane), np.inf)
        near, least = cost.argmin(axis=1), cost.min(axis=1)
        return tuple((a, int(b)) for a, b in enumerate(near) if a < b and near[b] == a and least[a] <= OFF)

    def _mismatch(self, pairs: tuple[tuple[int, int], ...], axis: int, plane: float) -> float:
        """Sum of what pairs miss each other by."""
        misses = self._misses(axis, plane)
        return float(sum(misses[a, b] for a, b in pairs))

    def _stray(self, pairs: tuple[tuple[int, int], ...], axis: int, plane: float) -> tuple[tuple[int, int], ...]:
        """Structures off the plane without a partner that look like one of a pair, or come to lie on one."""
        members = sorted(index for pair in pairs for index in pair)
        alike = self._alike(axis, (CLOSE_LARGER, CLOSE_LONGER, CLOSE_TILT, CLOSE_SKEW))
        lands = self._misses(axis, plane) <= OFF
        found = []
        for index in range(len(self.place)):
            if index in members or not self._one_sided(index, axis, plane):
                continue
            like = [other for other in members if alike[index, other] or lands[index, other]]
            found += [(index, like[0])] if like else []
        return tuple(found)

    def _one_sided(self, index: int, axis: int, plane: float) -> bool:
        """Whether a structure lies off the plane, on the same side in nearly all cases."""
        if abs(self.place[index, axis] - plane) < APART * self.spread[index, axis]:
            return False
        along = self.each[:, index, axis]
        ahead = np.mean(along[~np.isnan(along)] > plane)
        return bool(max(ahead, 1 - ahead) >= SAME_SIDE)


def _spacing_known(fact: CaseFacts) -> bool:
    return all(step is not None for step, length in zip(fact.spacing, fact.shape, strict=True) if length > 1)


def _case(fact: CaseFacts, turn: Turn, names: Sequence[str], known: bool) -> Floats:
    """A row `(K, 19)` in the common orientation: place, size, spread, correlations and skewness of each structure.

    Lengths are in mm, or in shares of the image where a spacing is unknown in any case.
    """
    order, sign = list(turn[0]), np.where(turn[1], -1.0, 1.0)
    unit = np.array([(step or 1.0) if known else 1 / n for step, n in zip(fact.spacing, fact.shape, strict=True)])
    rows = np.full((len(names), 19), np.nan)
    for index, name in enumerate(names):
        if name not in fact.forms:
            continue
        z, y, x, zy, zx, yx, *skew = fact.forms[name]
        tilt = np.array([[1, zy, zx], [zy, 1, yx], [zx, yx, 1]])[np.ix_(order, order)] * np.outer(sign, sign)
        place = (np.array(fact.centres[name]) * unit)[order] * sign
        spread = (np.array([z, y, x]) * unit)[order]
        rows[index] = [
            *place,
            fact.volumes[name] * np.prod(unit),
            *spread,
            *tilt.ravel(),
            *(np.array(skew)[order] * sign),
        ]
    return rows


def _aligned(places: Floats) -> tuple[Floats, Floats]:
    """The median constellation `(K, 3)` of places `(N, K, 3)`, and the places moved onto it; gaps are NaN."""
    shown = places[~np.isnan(places[:, :, 0]).all(axis=1)]
    moved = shown - np.nanmean(shown, axis=1, keepdims=True)
    for _ in range(10):  # alternates until cases that show different structures agree
        place = _median(moved, axis=0)
        moved = moved - _median(moved - place, axis=1)[:, None]
    return place, moved


def _median(values: Floats, axis: int) -> Floats:
    """The median of what is there; NaN where nothing is."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")
        return np.asarray(np.nanmedian(values, axis=axis))
