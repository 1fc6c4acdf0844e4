"""Decoded arrays kept up to a number of bytes, so that the server's memory has a ceiling whatever is opened."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar


class Sized(Protocol):
    """Whatever knows its bytes."""

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        ...


T = TypeVar("T", bound=Sized)


class Pool:
    """A least-recently-used store with a limit in bytes; a value asked for by several threads is made once.

    Example:
        >>> import numpy as np
        >>> pool = Pool(limit=100)
        >>> pool.get("a", lambda: np.zeros(60, np.uint8)).nbytes, pool.get("b", lambda: np.zeros(60, np.uint8)).nbytes
        (60, 60)
        >>> pool.has("a"), pool.has("b"), pool.used
        (False, True, 60)
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Sized] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}

    def has(self, key: Hashable) -> bool:
        """Whether a value is there already."""
        with self._lock:
            return key in self._kept

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of `key`, made by `make` if it is not there; larger than the whole pool, it is not kept."""
        found = self._found(key)
        if found is not None:
            return found  # type: ignore[return-value]
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            found = self._found(key)
            if found is not None:
                return found  # type: ignore[return-value]
            try:
                value = make()
                self._keep(key, value)
            finally:
                with self._lock:
                    self._making.pop(key, None)
            return value

    def drop(self, wanted: Callable[[Hashable], bool]) -> None:
        """Forget the values whose keys are `wanted`."""
        with self._lock:
            for key in [key for key in self._kept if wanted(key)]:
                self.used -= self._kept.pop(key).nbytes

    def _found(self, key: Hashable) -> Sized | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        return None

    def _keep(self, key: Hashable, value: Sized) -> None:
        with self._lock:
            if value.nbytes > self.limit:
                return
            self._kept[key] = value
            self.used += value.nbytes
            while self.used > self.limit:
                _, old = self._kept.popitem(last=False)
                self.used -= old.nbytes
