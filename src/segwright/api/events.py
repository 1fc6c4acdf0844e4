"""Progress of long work as plain events, so that a terminal, a page or a test can show it its own way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, TypeVar

Event = dict[str, Any]
Listen = Callable[[Event], None]
T = TypeVar("T")


def silent(event: Event) -> None:
    """Show nothing."""


def stage(listen: Listen, name: str, **facts: Any) -> None:
    """Announce a new stage of work."""
    listen({"kind": "stage", "name": name, **facts})


def tracked(items: Iterable[T], listen: Listen, name: str) -> Iterator[T]:
    """Yield items, with an event `progress` (`done`, `total`, `remaining` seconds) after each."""
    total = len(items) if isinstance(items, Sized) else None
    start = time.perf_counter()
    for done, item in enumerate(items, start=1):
        yield item
        elapsed = time.perf_counter() - start
        remaining = elapsed / done * (total - done) if total else None
        listen({"kind": "progress", "name": name, "done": done, "total": total, "remaining": remaining})


def counted(listen: Listen, name: str) -> Callable[[int, int], None]:
    """A function of `(done, total)` that says the same as `tracked`, for work that counts for itself."""
    start = time.perf_counter()

    def tell(done: int, total: int) -> None:
        remaining = (time.perf_counter() - start) / done * (total - done) if done else None
        listen({"kind": "progress", "name": name, "done": done, "total": total, "remaining": remaining})

    return tell
