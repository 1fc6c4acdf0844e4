"""When files were last changed, as part of every key under which something read from them is kept."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

#: Time of change and bytes, of each file.
Stamp = tuple[tuple[int, int], ...]


def stamp_of(paths: Iterable[Path]) -> Stamp:
    """Times and sizes of files, and of what folders hold directly (a series, a store); a missing one is zeros.

    Example:
        >>> stamp_of([Path("no/such/file")])
        ((0, 0),)
    """
    return tuple(found for path in paths for found in _each(path))


def _each(path: Path) -> list[tuple[int, int]]:
    try:
        told = path.stat()
        listed = sorted(os.scandir(path), key=lambda entry: entry.name) if path.is_dir() else []
        return [(s.st_mtime_ns, s.st_size) for s in (told, *(entry.stat() for entry in listed))]
    except OSError:
        return [(0, 0)]
