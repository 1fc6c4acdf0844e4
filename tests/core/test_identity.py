"""Content decides, not names or dates: what is the same stays the same, and every change is seen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from segwright.core import identity
from segwright.core.identity import BLOCK, SAMPLES, identify, still


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("size", [0, 1, 1000, SAMPLES * BLOCK + 12345])
def test_what_is_touched_or_copied_is_the_same_and_the_times_are_renewed(tmp_path: Path, size: int) -> None:
    file = written(tmp_path / "a", os.urandom(size))
    known = identify(file)
    assert still(known, file) == known
    os.utime(file, (1, 1))
    again = still(known, file)
    assert again is not None and again.stamp != known.stamp and again.content == known.content
    copy = written(tmp_path / "elsewhere" / "b", file.read_bytes())
    assert still(known, copy) is not None


@pytest.mark.parametrize("at", [0, 5, BLOCK + 7, 3 * BLOCK, SAMPLES * BLOCK * 2 - 1])
def test_one_byte_at_any_place_is_seen_even_with_the_same_size_and_date(tmp_path: Path, at: int) -> None:
    content = bytearray(SAMPLES * BLOCK * 2)
    file = written(tmp_path / "a", bytes(content))
    known, times = identify(file), file.stat()
    content[at] ^= 1
    written(file, bytes(content))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert file.stat().st_mtime_ns == times.st_mtime_ns
    assert still(known, file) is None


def test_a_folder_is_its_files_with_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "series"
    for name in ("1", "2", "sub/3", ".zarray"):
        written(folder / name, name.encode() * 10)
    known = identify(folder)
    assert (known.files, known.size) == (4, 10 * (1 + 1 + 5 + 7))
    written(folder / ".DS_Store", b"litter")
    assert still(known, folder) is not None
    (folder / "2").rename(folder / "4")
    assert still(known, folder) is None
    (folder / "4").rename(folder / "2")
    assert still(known, folder) is not None
    written(folder / "5", b"")
    assert still(known, folder) is None
    (folder / "5").unlink()
    (folder / ".zarray").unlink()
    assert still(known, folder) is None


def test_what_is_gone_or_cut_short_has_changed(tmp_path: Path) -> None:
    file = written(tmp_path / "a", b"content")
    known = identify(file)
    written(file, b"")
    assert still(known, file) is None
    file.unlink()
    assert still(known, file) is None
    with pytest.raises(FileNotFoundError):
        identify(file)


def test_all_bytes_are_read_only_where_times_are_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "a", os.urandom(SAMPLES * BLOCK * 2))
    known = identify(file)
    identity._whole.cache_clear()
    monkeypatch.setattr(identity, "_read_all", lambda facts, found: pytest.fail("all was read"))
    assert still(known, file) == known
    os.utime(file, (1, 1))
    with pytest.raises(pytest.fail.Exception, match="all was read"):
        still(known, file)


def test_what_is_very_large_is_sampled_and_other_times_are_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "LARGE", 1000)
    file = written(tmp_path / "a", bytes(2000))
    known = identify(file)
    assert known.content == "" and still(known, file) == known
    os.chmod(file, 0o600)  # changes the time that only the system sets
    assert still(known, file) == known
    os.utime(file, (1, 1))
    assert still(known, file) is None
