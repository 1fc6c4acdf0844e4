"""How much each part of an ensemble counts for each structure, chosen out of fold, and the mean it gives."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segwright.core.document import Part
from segwright.core.errors import GeometryError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.postprocess.choice import choose, measure, nested_gain, remains
from segwright.postprocess.decode import FULL, decode

#: Up to this many parts every mixture in steps of a quarter is tried.
GRID_PARTS, STEPS = 4, 4
Table = NDArray[np.float64]
Scores = NDArray[np.uint8]


class JointCase(Protocol):
    """A case with one out-of-fold opinion a part; arrays are read when asked for."""

    @property
    def group(self) -> str:
        """Patient."""

    @property
    def fold(self) -> int | None:
        """Fold that left it out."""

    @property
    def geometry(self) -> Geometry:
        """Grid of the arrays."""

    def opinions(self) -> list[Scores]:
        """Scores `(K, z, y, x)` of each part, 255 is 1; of objects all channels of their target."""

    def reference(self) -> NDArray[Any]:
        """Canonical labels `(P, z, y, x)`."""


#: `(case, space, weights)` to `(options, K)`: what each blend is worth for each structure, larger is better.
ValuesOf = Callable[[JointCase, LabelSpace, Sequence[Table]], Table]


class Weighed(Part):
    """How one structure is put together, with mean Dice over cases (1 where it is absent and none was predicted).

    Of objects the mean of F1 at IoU 0.5 and 0.75 stands in place of Dice, here and in what follows.

    Attributes:
        structure: Its name.
        weights: Share of each part.
        alone: Dice of each part by itself.
        equal: Dice of equal shares.
        best: Dice of the mixture that would have been best, on the cases it is chosen on.
        nested: Gain over equal shares that remains when the mixture is chosen without the fold judged.
        reason: Why these shares.
    """

    structure: str
    weights: tuple[float, ...]
    alone: tuple[float, ...]
    equal: float
    best: float
    nested: float | None
    reason: str


@dataclass(frozen=True)
class Weighing:
    """What was chosen, and Dice of every case (mean over structures) to judge it by.

    Attributes:
        weights: `(parts, K)`.
        rows: One a structure.
        alone: `(parts, cases)`.
        equal, chosen: `(cases,)` with equal and with the chosen shares.
        honest: `(cases,)` with shares chosen without the fold of the case; `equal` where those were kept.
        why: In one sentence.
    """

    weights: Table
    rows: tuple[Weighed, ...]
    alone: Table
    equal: Table
    chosen: Table
    honest: Table
    why: str


def mixtures(parts: int) -> Table:
    """Shares to try `(options, parts)`: equal ones first, then each part alone, then mixtures.

    Example:
        >>> mixtures(2).tolist()
        [[0.5, 0.5], [1.0, 0.0], [0.0, 1.0], [0.25, 0.75], [0.75, 0.25]]
    """
    rows = [np.full(parts, 1 / parts), *np.eye(parts)]
    if parts <= GRID_PARTS:
        grid = itertools.product(range(STEPS + 1), repeat=parts)
        rows += [np.array(shares) / STEPS for shares in grid if sum(shares) == STEPS]
    else:
        rows += [(1 - one) / (parts - 1) for one in np.eye(parts)]
        rows += [(1 + one) / (parts + 1) for one in np.eye(parts)]
    kept: dict[tuple[float, ...], None] = dict.fromkeys(tuple(np.round(row, 6).tolist()) for row in rows)
    return np.array(list(kept))


def weigh(
    cases: Sequence[JointCase], space: LabelSpace, *, search: bool = True, values_of: ValuesOf | None = None
) -> Weighing:
    """Try mixtures, keep equal shares unless others are better by the rule of post-processing.

    A mixture is kept for a structure if its mean paired gain over patients exceeds one standard error, at least 60 %
    of the cases it changes improve, and half of the gain remains when it is chosen without the fold judged. All of
    them together must then gain as well when judged that way. Each case is read twice.

    Args:
        cases: With opinions of members that did not see them.
        space: Meaning of the labels.
        search: Otherwise shares are equal, and only measured.
        values_of: What blends of a case are worth; Dice unless given.
    """
    values_of = values_of or _values_of
    parts = len(cases[0].opinions())
    options = mixtures(parts) if search else mixtures(parts)[: parts + 1]
    values = np.stack([values_of(case, space, [_alike(row, space) for row in options]) for case in cases], axis=-1)
    groups, folds = [case.group for case in cases], [case.fold for case in cases]
    rows, picks = [], []
    for k, name in enumerate(space.names):
        row, pick = _decide(name, values[:, k], options, groups, folds if search else [None] * len(folds))
        rows.append(row)
        picks.append(pick)
    equal = values[0].mean(axis=0)
    alone = values[1 : parts + 1].mean(axis=1)
    kept = equal_weights(parts, len(rows))
    if not any(picks):
        why = "equal shares: no mixture is better" if search else "equal shares, as asked: no others were tried"
        return Weighing(kept, tuple(rows), alone, equal, equal, equal, why)
    weights = options[picks].T
    chosen, honest = _judged(cases, space, values_of, values, options, weights)
    gain = float((honest - equal).mean())
    if gain <= 0:
        rows = [_returned(row, f"all shares together gain {gain:+.4f} on folds left out") for row in rows]
        return Weighing(kept, tuple(rows), alone, equal, equal, equal, "equal shares: the chosen ones do not hold")
    return Weighing(
        weights, tuple(rows), alone, equal, chosen, honest, f"{gain:+.4f} over equal shares remains on folds left out"
    )


def _alike(shares: Table, space: LabelSpace) -> Table:
    """The same shares for every structure, `(parts, K)`."""
    return np.repeat(np.asarray(shares)[:, None], len(space.structures), axis=1)


def _values_of(case: JointCase, space: LabelSpace, weights: Sequence[Table]) -> Table:
    """Dice `(options, K)` of blends of a case, counted only where any of them can be other than empty."""
    opinions, reference = case.opinions(), case.reference()
    ceiling = np.zeros(reference.shape[1:], np.uint16)
    for k in range(len(space.structures)):
        top = np.maximum.reduce([one[k] for one in opinions])
        ceiling = ceiling + top if space.exclusive else np.maximum(ceiling, top)
    where: tuple[Any, ...] = np.nonzero(((ceiling >= 127) | (reference > 0).any(axis=0)) & ~space.ignored(reference))
    parts = [one[:, *where][:, None, None] for one in opinions]
    truth = reference[:, *where][:, None, None]
    return np.array([_dice(decode(blend(parts, shares), space), truth, space) for shares in weights])


def _dice(labels: NDArray[Any], truth: NDArray[Any], space: LabelSpace) -> list[float]:
    """Dice of each structure; 1 where it is in neither."""
    found = []
    for k in range(len(space.structures)):
        a, b = space.mask(labels, k), space.mask(truth, k)
        total = int(a.sum()) + int(b.sum())
        found.append(2 * int((a & b).sum()) / total if total else 1.0)
    return found


def _decide(
    name: str, values: Table, options: Table, groups: Sequence[str], folds: Sequence[int | None]
) -> tuple[Weighed, int]:
    """Shares for one structure from Dice `(options, cases)`; returns the row and the option taken."""
    parts = options.shape[1]
    gains = values - values[0]
    best = choose(gains, groups) or 0
    nested = nested_gain(gains, groups, folds) if best else None
    gain = measure(gains[best], groups).mean
    pick, reason = 0, "equal: no mixture gains more than one standard error"
    if len(values) == parts + 1:
        reason = "equal, as asked: no others were tried"
    elif best and nested is None:
        reason = "equal: with one fold no other shares can be confirmed"
    elif best and nested is not None and not remains(gain, nested):
        reason = f"equal: only {nested:+.4f} of {gain:+.4f} remains on folds left out"
    elif best:
        pick, reason = best, f"{gain:+.4f} over equal shares, {nested:+.4f} on folds left out"
    row = Weighed(
        structure=name,
        weights=tuple(options[pick].tolist()),
        alone=tuple(values[1 : parts + 1].mean(axis=1).tolist()),
        equal=float(values[0].mean()),
        best=float(values[best].mean()),
        nested=nested,
        reason=reason,
    )
    return row, pick


def _judged(
    cases: Sequence[JointCase], space: LabelSpace, values_of: ValuesOf, values: Table, options: Table, weights: Table
) -> tuple[Table, Table]:
    """Value of each case with the chosen shares, and with those chosen without its fold."""
    groups = [case.group for case in cases]
    left_out = {}
    for fold in {case.fold for case in cases}:
        seen = np.array([case.fold != fold for case in cases])
        rest = [group for group, one in zip(groups, seen, strict=True) if one]
        picks = [choose((plane - plane[0])[:, seen], rest) or 0 for plane in values.transpose(1, 0, 2)]
        left_out[fold] = options[picks].T
    both = np.array([values_of(case, space, [weights, left_out[case.fold]]).mean(axis=1) for case in cases])
    return both[:, 0], both[:, 1]


def _returned(row: Weighed, why: str) -> Weighed:
    parts = len(row.weights)
    return row.model_copy(update={"weights": (1 / parts,) * parts, "reason": f"equal: {why}"})


def blend(opinions: Sequence[Scores], weights: NDArray[np.float64], *, votes: bool = False) -> Scores:
    """The weighted mean of scores `(K, z, y, x)`, uint8 where 255 is 1.

    Args:
        opinions: Scores of each part, on one grid.
        weights: `(parts, K)`: share of each part in each structure, or `(parts, 1)` for all alike; the shares of a
            structure sum to 1.
        votes: The scores are votes (0 or 255): round down, so that half of the votes is no majority.

    Raises:
        GeometryError: The parts differ in shape.

    Example:
        >>> parts = [np.full((1, 1, 1, 1), value, np.uint8) for value in (100, 200)]
        >>> blend(parts, np.array([[0.25], [0.75]])).item()
        175
    """
    shapes = {one.shape for one in opinions}
    if len(shapes) != 1:
        raise GeometryError("The opinions lie on different grids.", got=" and ".join(map(str, sorted(shapes))))
    mixed = np.empty(opinions[0].shape, np.uint8)
    weights = np.broadcast_to(weights, (len(opinions), len(mixed)))
    for k in range(len(mixed)):
        total = np.zeros(mixed.shape[1:], np.float32)
        for one, weight in zip(opinions, weights[:, k], strict=True):
            if weight:
                total += np.float32(weight) * one[k]
        mixed[k] = np.floor(total + 1e-3) if votes else np.rint(total)
    return mixed


def votes_of(labels: NDArray[Any], space: LabelSpace) -> Scores:
    """Canonical labels `(P, z, y, x)` as votes `(K, z, y, x)`: 255 where a structure is, else 0."""
    return np.stack([space.mask(labels, k).astype(np.uint8) * FULL for k in range(len(space.structures))])


def equal_weights(parts: int, structures: int) -> NDArray[np.float64]:
    """The same share for every part."""
    return np.full((parts, structures), 1 / parts)
