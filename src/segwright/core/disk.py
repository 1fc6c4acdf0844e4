"""Files that appear under their final name only when whole, and a full disk told as one."""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from segwright.core.errors import WriteError
from segwright.core.words import byte_size

#: A write that failed while not even this many bytes were free failed for want of space, whatever the library says.
NO_ROOM = 1 << 16


@contextmanager
def atomic_path(final: str | Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary neighbour of `final`; store it durably and rename it onto `final` if the body succeeds.

    The temporary name keeps the suffixes of the final one, because writers choose a format by suffix.
    A folder left by an earlier run under `final` is replaced as a whole. Of what can be made again, or is checked
    before it is used, `durable=False` spares the wait for the disk.

    Raises:
        OSError: With `ENOSPC` if the body failed because the disk is full, in whatever words.

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
    with _cleared(partial):
        yield partial
        if durable:
            settle(partial)
        if partial.is_dir() and final.is_dir():
            _swap_folder(partial, final)
        else:
            os.replace(partial, final)
        if durable:
            settle_names(final.parent)


@contextmanager
def atomic_group(final: str | Path) -> Iterator[Path]:
    """Yield a folder for `final` and files that it names, all under their final names; `final` is moved last.

    A detached header names its voxel file, so that names must be final when it is written.
    """
    final = Path(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    folder = _neighbour(final, "partial")
    folder.mkdir()
    with _cleared(folder):
        yield folder
        settle(folder)
        for file in sorted(folder.iterdir(), key=lambda file: file.name == final.name):
            os.replace(file, final.with_name(file.name))
        settle_names(final.parent)


def move_durably(source: Path, final: Path) -> None:
    """Give a file or folder that is whole its final name, and have both on the disk."""
    settle(source)
    os.replace(source, final)
    settle_names(final.parent)


def settle(path: Path) -> None:
    """Have a file, or everything in a folder, on the disk before going on."""
    if path.is_dir():
        for place, _, names in os.walk(path):
            for name in names:
                _sync(Path(place, name), os.O_RDONLY)
            settle_names(Path(place))
    else:
        _sync(path, os.O_RDONLY)


def settle_names(folder: Path) -> None:
    """Have the names in a folder on the disk; nothing where the system cannot do that."""
    with suppress(PermissionError):  # Windows opens no folders
        _sync(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))


def _sync(path: Path, flags: int) -> None:
    file = os.open(path, flags)
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:  # file systems that cannot, Windows
            raise
    finally:
        os.close(file)


@contextmanager
def _cleared(partial: Path) -> Iterator[None]:
    """Leave nothing of a temporary name behind; a full disk is called so while it still is one."""
    try:
        yield
    except Exception as error:
        if not _says_so(error) and _no_room(partial.parent):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(partial)) from error
        raise
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


def _says_so(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def _no_room(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < NO_ROOM
    except OSError:
        return False


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
