"""A full disk is known however a library says it, and told once."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from segwright.core.disk import free_bytes, is_full, told_when_full
from segwright.core.errors import WriteError

FULL = Path("/dev/full")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError("4096 requested and 1024 written"),
        RuntimeError("[enforce fail at inline_container.cc:858] . PytorchStreamWriter failed writing file data/0"),
        RuntimeError(
            "Can't decrement id ref count (file write failed: errno = 28, error message = 'No space left on device')"
        ),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_every_way_of_saying_it_is_known(error: Exception) -> None:
    assert is_full(error)
    wrapped = ValueError("something else")
    wrapped.__cause__ = error
    assert is_full(wrapped)
    assert not is_full(OSError(errno.EACCES, "Permission denied"))
    assert not is_full(None)


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_real_writes_to_a_full_device_are_known() -> None:
    with pytest.raises(OSError, match="space") as text, FULL.open("w") as file:
        file.write("x" * 100_000)
    assert is_full(text.value)
    with pytest.raises(OSError, match=r"requested|space") as array, FULL.open("wb", buffering=0) as file:
        np.save(file, np.zeros(100_000))
    assert is_full(array.value)


def test_it_is_told_once_with_place_and_need(tmp_path: Path) -> None:
    with (
        pytest.raises(WriteError, match="The disk is full") as told,
        told_when_full(tmp_path, lambda: None, hint="never reached"),
        told_when_full(tmp_path, lambda: 2e9, hint="Go on."),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert told.value.expected == "room for about 1.9 GiB in all"
    assert told.value.where == str(tmp_path)
    assert told.value.hint == "Free some space. Go on."
    with pytest.raises(KeyError), told_when_full(tmp_path, lambda: None, hint=""):
        raise KeyError("another fault")


def test_room_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "a" / "b") > 0
