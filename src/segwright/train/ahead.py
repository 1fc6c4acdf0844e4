"""Batches cut in the background while a GPU computes; on a CPU the cores have better to do."""

from __future__ import annotations

from types import TracebackType

import torch

from segwright.sample.patches import Batch
from segwright.sample.prefetch import Prefetch, Source, prefetch


class Ahead:
    """The same batches as `patches.at`, asked for in order, with the next two cut ahead where `device` is not a CPU.

    Use as a context manager, so that the background thread ends with the training.
    """

    def __init__(self, patches: Source, device: torch.device) -> None:
        self.patches = patches
        self.device = device
        self._running: Prefetch | None = None
        self._next = -1

    def at(self, step: int) -> Batch:
        """The batch of a step; out of order, the thread starts anew from there."""
        if self.device.type == "cpu":
            return self.patches.at(step)
        if self._running is None or step != self._next:
            self.close()
            self._running = prefetch(self.patches, step, then=Batch.pin if self.device.type == "cuda" else None)
        number, batch = next(self._running)
        self._next = number + 1
        return batch

    def close(self) -> None:
        """End the background thread."""
        if self._running is not None:
            self._running.close()
            self._running = None

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
