"""One writer a folder: a lock that the system lifts by itself when its holder ends, even by a kill."""

from __future__ import annotations

import getpass
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from segwright.core.errors import UsageError, WriteError

try:
    import fcntl
except ImportError:  # Windows: what the lock file says decides
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for oneself; it is made where it is missing. The lock of a process that has died is taken over.

    Raises:
        UsageError: Another process is at work in it; says which, and since when.
        WriteError: It cannot be made or written to.
    """
    with _held(writable(folder) / NAME, folder):
        yield


@contextmanager
def locked_beside(folder: Path) -> Iterator[None]:
    """The same for a folder that is replaced as a whole, so that the lock has to lie beside it."""
    place = folder.absolute()
    with _held(writable(place.parent) / f".{place.name}{NAME}", folder):
        yield


def busy(folder: Path) -> bool:
    """Whether a process is at work in a folder, by what its lock says; nothing is locked to find out."""
    holder = _holder(folder / NAME)
    return bool(holder) and not _ended(holder)


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


@contextmanager
def _held(path: Path, folder: Path) -> Iterator[None]:
    file = _taken(path, folder)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # while it is still held, so that nobody loses a lock of his own
        os.close(file)


def _taken(path: Path, folder: Path) -> int:
    """The open lock file, held, with this process's name in it."""
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise _refused(folder, error) from error
        try:
            _take(file, path, folder)
            if os.fstat(file).st_ino == path.stat().st_ino:
                with suppress(OSError):  # on a full disk the lock has no name, but holds
                    os.ftruncate(file, 0)
                    os.write(file, json.dumps(_own_name()).encode())
                return file
        except FileNotFoundError:
            pass  # its holder ended, and took the file away, just before it was taken here
        except OSError as error:
            os.close(file)
            raise _refused(folder, error) from error
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _take(file: int, path: Path, folder: Path) -> None:
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            raise _busy(folder, _holder(path), path) from error
        except OSError:
            pass  # file systems without locks, as some network shares
    holder = _holder(path)
    if holder and not _ended(holder):
        raise _busy(folder, holder, path)


def _own_name() -> dict[str, Any]:
    """Who holds a lock: enough to find the process, and to see that it has ended."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = ""
    words = [Path(sys.argv[0]).name, *sys.argv[1:2]] if sys.argv and sys.argv[0] else ["segwright"]
    me = psutil.Process()
    told = {"pid": me.pid, "began": me.create_time(), "host": socket.gethostname(), "user": user}
    return {**told, "command": " ".join(words), "since": datetime.now().astimezone().isoformat(timespec="seconds")}


def _holder(path: Path) -> dict[str, Any]:
    """What a lock file says; nothing where its writer was cut short."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _ended(holder: dict[str, Any]) -> bool:
    """Whether a process of this machine has ended; of others that cannot be seen."""
    if holder.get("host") != socket.gethostname():
        return False
    try:
        return abs(psutil.Process(int(holder["pid"])).create_time() - float(holder["began"])) > 1.0
    except (psutil.NoSuchProcess, KeyError, TypeError, ValueError):
        return True
    except psutil.AccessDenied:
        return False


def _busy(folder: Path, holder: dict[str, Any], path: Path) -> UsageError:
    who = f"'{holder.get('command', 'segwright')}', process {holder.get('pid')} of {holder.get('user') or 'somebody'}"
    told = f"{who} on {holder.get('host')}, since {holder.get('since')}" if holder else None
    elsewhere = holder.get("host") not in {None, socket.gethostname()}
    left = f" If that process has ended, delete {path}." if elsewhere else ""
    return UsageError(
        "Another segwright process is at work in this folder.",
        got=told,
        where=folder,
        hint=f"Wait until it has ended, or choose another folder with -o.{left}",
    )


def _refused(folder: Path, error: OSError) -> WriteError:
    return WriteError(
        "Cannot write to this folder.",
        expected="a folder that can be made and written to",
        got=error.strerror or str(error),
        where=folder,
        hint="Choose another folder with -o, or mend its permissions.",
    )
