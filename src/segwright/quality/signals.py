"""Signals of doubt: how well copies of one answer agree, by structure. Counts add up over windows and blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: What is compared with a member's own answer: its answers to mirrored copies of the scan, those of its weights
#: earlier in training, and its scores, which say themselves how sure they are.
KINDS = ("mirrored", "earlier", "scores")

#: Passes of earlier weights for each pass of a prediction, beside a first one: what these signals may cost.
EARLIER_SHARE = 0.1

Counts = NDArray[np.float64]


@dataclass
class Signals:
    """Agreement of copies, member by member.

    Attributes:
        counts: For each member and kind `(K, 3)`: voxels common to both masks, of the one, and of the other.

    Example:
        >>> signals = Signals()
        >>> signals.add(0, "mirrored", [[8, 10, 10]])
        >>> signals.add(1, "mirrored", [[10, 10, 10]])
        >>> signals.agreement()["mirrored"].tolist()
        [0.9]
    """

    counts: dict[tuple[int, str], Counts] = field(default_factory=dict)

    def add(self, member: int, kind: str, counts: ArrayLike) -> None:
        """Take in the voxels of another window."""
        known = self.counts.get((member, kind), 0.0)
        self.counts[member, kind] = known + np.asarray(counts, dtype=np.float64)

    def merge(self, other: Signals) -> None:
        """Take in all of another block."""
        for (member, kind), counts in other.counts.items():
            self.add(member, kind, counts)

    def agreement(self) -> dict[str, NDArray[np.float64]]:
        """For each kind the Dice of the copies by structure `(K,)`, each member by itself and then their mean.

        NaN where no member found anything of a structure. Each member is held against itself only, so that the figure
        means the same for a single member, as out of fold, and for several.
        """
        found: dict[str, list[Counts]] = {}
        for (_, kind), counts in sorted(self.counts.items()):
            both, one, other = counts.T
            total = one + other
            found.setdefault(kind, []).append(
                np.divide(2 * both, total, out=np.full(len(both), np.nan), where=total > 0)
            )
        return {kind: _mean(np.stack(rows)) for kind, rows in found.items()}

    def to_data(self) -> dict[str, Any]:
        """As plain data; `from_data` reads it."""
        return {f"{member} {kind}": counts.tolist() for (member, kind), counts in sorted(self.counts.items())}

    @classmethod
    def from_data(cls, data: Mapping[str, Sequence[Sequence[float]]]) -> Signals:
        """Signals that were kept."""
        signals = cls()
        for name, counts in data.items():
            member, _, kind = name.partition(" ")
            signals.add(int(member), kind, counts)
        return signals


def _mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over members of those that are numbers."""
    there = ~np.isnan(rows)
    count = there.sum(axis=0)
    return np.divide(np.where(there, rows, 0.0).sum(axis=0), count, out=np.full(rows.shape[1], np.nan), where=count > 0)
