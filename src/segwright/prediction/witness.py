"""Watches a prediction's forward passes for signals of doubt: mirrored copies, and weights of earlier in training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from segwright.prediction.ensemble import Forward
from segwright.quality.signals import EARLIER_SHARE, Signals


@dataclass
class Witness:
    """Compares copies of one answer as they are made, window by window.

    Attributes:
        structures: Scores `(C, ...)` to one score a structure `(K, ...)`.
        signals: What was counted since `begin`.
    """

    structures: Callable[[Tensor], Tensor]
    signals: Signals = field(default_factory=Signals)
    _credit: float = 1.0
    _asked: int = 0

    def begin(self) -> None:
        """Of another scan or block nothing has been seen."""
        self.signals, self._credit, self._asked = Signals(), 1.0, 0

    def member(self, number: int, earlier: Sequence[Forward]) -> MemberWitness:
        """What watches one member; `earlier` are its weights earlier in training, without mirrored copies."""
        return MemberWitness(self, number, earlier)

    def next_earlier(self, earlier: Sequence[Forward], passes: int) -> Forward | None:
        """The earlier weights to ask now, each in turn, as far as `EARLIER_SHARE` allows."""
        self._credit += EARLIER_SHARE * passes
        if not earlier or self._credit < 1:
            return None
        self._credit -= 1
        self._asked += 1
        return earlier[self._asked % len(earlier)]


@dataclass(frozen=True)
class MemberWitness:
    """Watches one member of a model; see `prediction.ensemble.Watch`."""

    witness: Witness
    number: int
    earlier: Sequence[Forward]

    def copy(self, first: Tensor, copy: Tensor) -> None:
        """Scores `(B, C, z, y, x)` of windows as they are, and of a mirrored copy turned back."""
        self._count("mirrored", self._scores(first) >= 0.5, self._scores(copy) >= 0.5)

    def answer(self, batch: Tensor, first: Tensor, mean: Tensor, passes: int) -> None:
        """Windows, their scores as they are and averaged over mirrored copies, and how many passes that took."""
        scores = self._scores(mean)
        found = scores >= 0.5
        self._count("scores", scores, found)
        forward = self.witness.next_earlier(self.earlier, passes) if bool(found.any()) else None
        if forward is not None:
            self._count("earlier", self._scores(first) >= 0.5, self._scores(forward(batch)) >= 0.5)

    def _scores(self, scores: Tensor) -> Tensor:
        """One score a structure, structures first: `(K, B, z, y, x)`."""
        return self.witness.structures(scores.float().transpose(0, 1))

    def _count(self, kind: str, one: Tensor, other: Tensor) -> None:
        """Add up what two masks, or scores and their mask, have in common, and each of them."""
        sums = [part.flatten(1).sum(1, dtype=torch.float64) for part in (one * other, one, other)]
        self.witness.signals.add(self.number, kind, torch.stack(sums, dim=1).cpu().numpy())
