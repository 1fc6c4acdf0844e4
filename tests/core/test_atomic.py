"""What is written stays: file first, then its name, then the folder; and a full disk is one in any library's words."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segwright import io
from segwright.core import disk
from segwright.core.disk import atomic_group, atomic_path, is_full
from segwright.core.geometry import Geometry
from segwright.core.volume import Volume

SRC = Path(disk.__file__).parents[1]


@pytest.fixture
def trace(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path, Path]]:
    """Calls that decide what a power cut leaves, in order: `("sync", path, path)` and `("move", from, to)`."""
    calls: list[tuple[str, Path, Path]] = []
    fsync, moves = os.fsync, {name: getattr(os, name) for name in ("replace", "rename")}

    def synced(file: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{file}"))
        fsync(file)
        calls.append(("sync", path, path))

    def moved(name: str) -> Callable[..., None]:
        def move(source: Any, target: Any, **options: Any) -> None:
            moves[name](source, target, **options)
            calls.append(("move", Path(source).absolute(), Path(target).absolute()))

        return move

    monkeypatch.setattr(os, "fsync", synced)
    for name in moves:
        monkeypatch.setattr(os, name, moved(name))
    return calls


def check(calls: list[tuple[str, Path, Path]], files: list[Path]) -> None:
    """Every file was stored under its earlier name before it got its own, and the folder's names after that."""
    for file in files:
        at, source = next(
            (i, was / file.relative_to(now))
            for i, (kind, was, now) in reversed(list(enumerate(calls)))
            if kind == "move" and (file == now or now in file.parents)
        )
        now = calls[at][2]
        assert ("sync", source, source) in calls[:at], f"{file} was not stored before it got its name"
        assert ("sync", now.parent, now.parent) in calls[at:], f"the name {now} was not stored"


def volume(flat: bool) -> Volume:
    shape = (1, 24, 20) if flat else (4, 24, 20)
    array = np.random.default_rng(0).integers(0, 3, shape).astype(np.uint8)
    return Volume.of(array, Geometry.from_spacing(shape, (None, None, None) if flat else (1.0, 1.0, 1.0)))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="paths of open files are read from /proc")
@pytest.mark.parametrize("suffix", io.label_suffixes())
def test_every_format_of_scans_is_stored_before_it_has_its_name(
    tmp_path: Path, trace: list[tuple[str, Path, Path]], suffix: str
) -> None:
    io.write(volume(flat=suffix in {".png", ".bmp"}), tmp_path / f"scan{suffix}")
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files and not [file for file in files if file.name.startswith((".partial", ".old"))]
    check(trace, files)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="paths of open files are read from /proc")
def test_folders_and_groups_are_stored_whole(tmp_path: Path, trace: list[tuple[str, Path, Path]]) -> None:
    for content in ("one", "two"):  # the second replaces the first
        with atomic_path(tmp_path / "folder") as partial:
            (partial / "inner").mkdir(parents=True)
            (partial / "inner" / "a").write_text(content)
            (partial / "b").write_text(content)
        with atomic_group(tmp_path / "scan.mhd") as folder:
            (folder / "scan.mhd").write_text(content)
            (folder / "scan.raw").write_text(content)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) == 4 and all(file.read_text() == "two" for file in files)
    check(trace, files)
    moves = [now.name for kind, _, now in trace if kind == "move" and now.name.startswith("scan")]
    assert moves == ["scan.raw", "scan.mhd"] * 2, "the header comes last"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="paths of open files are read from /proc")
@pytest.mark.parametrize("version", [2, 3])
def test_blocks_of_a_large_result_are_stored_when_they_are_written(
    tmp_path: Path, trace: list[tuple[str, Path, Path]], version: int
) -> None:
    from segwright.core.box import Box
    from segwright.io.omezarr import Pyramid, create, write_box

    pyramid = Pyramid(1, np.dtype("uint8"), Geometry.from_spacing((8, 16, 16)), chunk=(4, 8, 8), version=version)
    create(tmp_path / "x.zarr", pyramid)
    write_box(tmp_path / "x.zarr", np.ones((1, 4, 16, 8), np.uint8), Box((4, 0, 8), (8, 16, 16)))
    chunks = [f for f in (tmp_path / "x.zarr" / "0").rglob("*") if f.is_file() and f.name.isdigit()]
    assert len(chunks) == 2 and all(("sync", chunk, chunk) in trace for chunk in chunks)


def test_nothing_gets_a_final_name_but_through_one_module() -> None:
    """`train/state.py` sets the checkpoint before the last aside, which is durable already."""
    moves = re.compile(r"\bos\.(replace|rename|renames)\(|\bshutil\.move\(|\.rename\(")
    found = {p.relative_to(SRC).as_posix() for p in SRC.rglob("*.py") if moves.search(p.read_text(encoding="utf-8"))}
    assert found == {"core/disk.py", "train/state.py"}


@pytest.mark.parametrize("free", [0, 1 << 30])
@pytest.mark.parametrize("error", [RuntimeError("Unable to flush file"), ValueError("?"), OSError("encoder error -2")])
def test_a_write_that_fails_on_a_full_disk_is_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, error: Exception
) -> None:
    class Usage:
        pass

    usage = Usage()
    usage.free = free  # type: ignore[attr-defined]
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: usage)
    for context in (atomic_path, atomic_group):
        with pytest.raises(type(error) if free else OSError) as told, context(tmp_path / "x"):
            raise error
        assert is_full(told.value) == (free == 0) and (free or told.value.errno == errno.ENOSPC)
        assert not list(tmp_path.iterdir())
