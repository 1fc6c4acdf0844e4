"""Decides whether a change is worth making: one-standard-error rule, and a gain judged on cases left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Of the cases that a change touches, this share must improve.
IMPROVED_SHARE = 0.6
#: Of the gain on the cases it was chosen on, this share must remain on those it was not.
NESTED_SHARE = 0.5
_TINY = 1e-9


class Gain(NamedTuple):
    """What a change does to the score of cases.

    Attributes:
        mean: Mean gain, patients weighing the same.
        error: Standard error of that mean over patients; infinite for a single one.
        changed: Cases whose score it changes; `improved` of them for the better.
    """

    mean: float
    error: float
    changed: int
    improved: int

    @property
    def verdict(self) -> str:
        """Empty if the change passes the one-standard-error rule, else why it does not."""
        if not self.changed:
            return "changes no score"
        if self.mean <= 0:
            return "does not help"
        if not self.mean > self.error * (1 + _TINY):
            return "gain within one standard error"
        if self.improved < IMPROVED_SHARE * self.changed:
            return f"improves {self.improved} of {self.changed} changed cases only"
        return ""


def measure(gains: NDArray[np.float64], groups: Sequence[str]) -> Gain:
    """Summarise paired gains `(cases,)`, averaging within groups (patients) first.

    Example:
        >>> measure(np.array([0.1, 0.1, 0.1]), ["a", "b", "c"]).verdict
        ''
    """
    if not len(gains):
        return Gain(0.0, float("inf"), 0, 0)
    _, index = np.unique(np.array(groups, dtype=object), return_inverse=True)
    means = np.bincount(index, gains) / np.bincount(index)
    error = float(means.std(ddof=1) / np.sqrt(len(means))) if len(means) > 1 else float("inf")
    return Gain(float(means.mean()), error, int((np.abs(gains) > _TINY).sum()), int((gains > _TINY).sum()))


def choose(gains: NDArray[np.float64], groups: Sequence[str]) -> int | None:
    """The option with the largest mean gain among those that pass the rule; `gains` is `(options, cases)`."""
    found = [measure(row, groups) for row in gains]
    passed = [i for i, gain in enumerate(found) if not gain.verdict]
    return max(passed, key=lambda i: found[i].mean) if passed else None


def nested_gain(gains: NDArray[np.float64], groups: Sequence[str], folds: Sequence[int | None]) -> float | None:
    """Mean gain of choosing on all other folds and judging on the fold left out; `None` below two folds.

    Args:
        gains: `(options, cases)`.
        groups: Patient of each case.
        folds: Fold of each case.
    """
    fold = np.array([-1 if f is None else f for f in folds])
    if len(set(fold.tolist())) < 2:
        return None
    honest = np.zeros(gains.shape[1])
    for left in set(fold.tolist()):
        out = fold == left
        index = choose(gains[:, ~out], [g for g, o in zip(groups, out, strict=True) if not o])
        if index is not None:
            honest[out] = gains[index, out]
    return measure(honest, groups).mean


def remains(gain: float, nested: float) -> bool:
    """Whether enough of a gain is left when it is chosen without the fold judged.

    Example:
        >>> remains(0.04, 0.02), remains(0.04, 0.019)
        (True, False)
    """
    return nested >= NESTED_SHARE * gain
