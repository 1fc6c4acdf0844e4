"""Batches drawn ahead of the training step, and shared among processes that train together."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Protocol

from segwright.sample.patches import Batch


class Source(Protocol):
    """Batches by number."""

    def at(self, step: int) -> Batch:
        """The batch of a step."""


class Prefetch(Iterator[tuple[int, Batch]]):
    """Yields `(step, batch)` in order from one background thread; an error there is raised here, at its step.

    Use as a context manager, or call `close`, so that the thread ends.

    Attributes:
        waited: Seconds spent waiting for data so far.
    """

    def __init__(self, make: Callable[[int], Batch], start: int, stop: int | None, *, depth: int) -> None:
        self.waited = 0.0
        self._ready: queue.Queue[tuple[int, Batch | BaseException | None]] = queue.Queue(maxsize=max(depth, 1))
        self._closed = threading.Event()
        self._done = False
        self._thread = threading.Thread(target=self._work, args=(make, start, stop), name="prefetch", daemon=True)
        self._thread.start()

    def _work(self, make: Callable[[int], Batch], start: int, stop: int | None) -> None:
        step = start
        try:
            for step in count(start) if stop is None else range(start, stop):
                if not self._put(step, make(step)):
                    return
            self._put(step, None)
        except BaseException as error:
            self._put(step, error)

    def _put(self, step: int, item: Batch | BaseException | None) -> bool:
        """Hand over one item; false once the reader has closed."""
        while not self._closed.is_set():
            try:
                self._ready.put((step, item), timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Prefetch:
        return self

    def __next__(self) -> tuple[int, Batch]:
        if self._done or self._closed.is_set():
            raise StopIteration
        before = time.perf_counter()
        step, item = self._ready.get()
        self.waited += time.perf_counter() - before
        if isinstance(item, BaseException):
            self._done = True
            raise item
        if item is None:
            self._done = True
            raise StopIteration
        return step, item

    def close(self) -> None:
        """End the thread; batches not yet taken are dropped."""
        self._closed.set()
        self._thread.join()

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def prefetch(
    patches: Source,
    start: int = 0,
    *,
    stop: int | None = None,
    depth: int = 2,
    then: Callable[[Batch], Batch] | None = None,
) -> Prefetch:
    """Batches of `start, start + 1, ...` (up to `stop`, or for ever), at most `depth` ahead of the reader.

    Args:
        patches: Where batches come from.
        start: First step.
        stop: Step before which to end.
        depth: Batches held ready.
        then: Applied to each batch in the background, for example `Batch.pin`.
    """
    return Prefetch(lambda step: then(patches.at(step)) if then else patches.at(step), start, stop, depth=depth)


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
