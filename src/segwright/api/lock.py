"""One writer a run: a lock that the system lifts by itself when its holder ends, even by a kill."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segwright.core.errors import UsageError, WriteError

try:
    import fcntl
except ImportError:  # Windows: runs are not guarded there
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder of a run for oneself; the folder is made where it is missing.

    Raises:
        UsageError: Another process is at work in it.
        WriteError: It cannot be made or written to.
    """
    file = _opened(folder)
    try:
        _take(file, folder)
        yield
    finally:
        os.close(file)


def writable(folder: Path) -> Path:
    """The folder, made where it is missing.

    Raises:
        WriteError: It is a file, cannot be made, or refuses writing.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(folder, error) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _refused(folder, PermissionError("no permission to write"))
    return folder


def _opened(folder: Path) -> int:
    try:
        return os.open(writable(folder) / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise _refused(folder, error) from error


def _take(file: int, folder: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(
            "Another segwright process is at work in this run.",
            where=folder,
            cure="Wait until it has ended, or choose another folder with -o.",
        ) from error
    except OSError:
        return  # file systems without locks, as some network shares


def _refused(folder: Path, error: OSError) -> WriteError:
    return WriteError(
        "Cannot write to this folder.",
        expected="a folder that can be made and written to",
        came=error.strerror or str(error),
        where=folder,
        cure="Choose another folder with -o, or mend its permissions.",
    )
