"""Shares batches out among processes that train together."""

from __future__ import annotations

from dataclasses import dataclass

from segwright.sample.patches import Batch
from segwright.sample.prefetch import Source


@dataclass(frozen=True)
class EveryNth:
    """The batches of one of `count` processes: its `step` is number `step * count + place` of all.

    Attributes:
        batches: All of them.
        place: Of the process, from 0.
        count: Processes.
    """

    batches: Source
    place: int
    count: int

    def at(self, step: int) -> Batch:
        """The batch of a step of this process."""
        return self.batches.at(step * self.count + self.place)
