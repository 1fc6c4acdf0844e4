"""Tells a full disk from other faults, and turns it into words: where, how much is free, how much is needed."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from segwright.core.errors import WriteError
from segwright.core.words import byte_size

TITLE = "The disk is full"
#: What libraries say that pass no error number on: the system's own words, torch's archive writer and NumPy.
SAID = re.compile(
    r"no space left on device|disk quota exceeded|pytorchstreamwriter failed writing|\d+ requested and \d+ written"
)


def is_full(error: BaseException | None) -> bool:
    """Whether the disk is full, or a quota used up, anywhere along the chain of causes.

    Example:
        >>> is_full(OSError(errno.ENOSPC, "No space left on device")), is_full(OSError(errno.EACCES, "Denied"))
        (True, False)
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return True
        if SAID.search(str(error).lower()):
            return True
        error = error.__cause__ or error.__context__
    return False


def free_bytes(folder: Path) -> int:
    """Bytes that can still be written to the disk of a folder, which may not be there yet."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


@contextmanager
def told_when_full(folder: Path, needed: Callable[[], float | None], *, hint: str) -> Iterator[None]:
    """Turn a full disk, however a library says it, into one error.

    Args:
        folder: Where results go.
        needed: Bytes the whole work takes there, `None` where that is not known; asked only when needed.
        hint: What to do once there is space.

    Raises:
        WriteError: The disk is full.
    """
    try:
        yield
    except Exception as error:
        if not is_full(error) or str(error).startswith(TITLE):
            raise
        whole = needed()
        raise WriteError(
            f"{TITLE}.",
            expected=None if whole is None else f"room for about {byte_size(whole)} in all",
            got=f"{byte_size(free_bytes(folder))} free",
            where=folder,
            hint=f"Free some space. {hint}",
        ) from error
