"""Files and folders that appear under their final name only when they are whole."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(final: str | Path) -> Iterator[Path]:
    """Yield a temporary neighbour of `final`; rename it onto `final` if the body succeeds.

    The temporary name keeps the suffixes of the final one, because writers choose a format by suffix.
    A folder left by an earlier run under `final` is replaced as a whole.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "note.txt"
        >>> with atomic_path(target) as partial:
        ...     _ = partial.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    final = Path(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = _neighbour(final, "partial")
    try:
        yield partial
        if partial.is_dir() and final.is_dir():
            _swap_folder(partial, final)
        else:
            os.replace(partial, final)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


def _neighbour(final: Path, mark: str) -> Path:
    """A hidden name beside `final`; of a very long name only the end is kept, as file systems take 255 bytes."""
    name = final.name
    while len(name.encode()) > 230:
        name = name[1:]
    return final.with_name(f".{mark}-{uuid.uuid4().hex[:8]}-{name}")


def _swap_folder(partial: Path, final: Path) -> None:
    """Replace a non-empty folder: rename the old one away first, since a folder cannot be replaced in one step."""
    old = _neighbour(final, "old")
    os.rename(final, old)
    os.rename(partial, final)
    shutil.rmtree(old, ignore_errors=True)
