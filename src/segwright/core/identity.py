"""What files held when they were looked at: a result counts only as long as all it was made from is still the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field

from segwright.core.document import Part

#: Blocks that are looked at first, evenly spread over all bytes, and the bytes of one.
SAMPLES, BLOCK = 32, 1 << 16
#: Bytes of one input from which on only samples are kept, as reading all of it could take longer than the work itself.
LARGE = 16 << 30
#: Files that desktops leave in folders.
LITTER = {".DS_Store", "Thumbs.db", "desktop.ini", ".lock"}

#: Path and name in the identity, size, and times of change of a file.
_Fact = tuple[str, str, int, int, int]


class Identity(Part):
    """The content of one file, of all files of a folder, or of several of these in order.

    Attributes:
        files: How many.
        size: Bytes in all.
        stamp: Of names, sizes and times of change: while it is the same, only samples are read again.
        sample: Of names, sizes and blocks spread over all bytes.
        content: Of names and all bytes; empty above `LARGE`.
    """

    files: int
    size: int
    stamp: str
    sample: str
    content: str = ""


class Origin(Part):
    """What a result was made from, and what it held then.

    Attributes:
        inputs: Content of the case's files.
        reading: Digest of how they were read: which parts, axes, voxel size, meaning of values.
        model: Identity of the model, if one was used.
        options: That change results.
        results: Content of the result's files; `None` while there is none.
    """

    inputs: Identity
    reading: str
    model: str = ""
    options: dict[str, Any] = Field(default_factory=dict)
    results: Identity | None = None


class Made(Part):
    """What was made of one case of a call, or why nothing was.

    Attributes:
        case: Its id.
        files: Files written, relative to the list of all cases.
        error: Why there is no result.
        notes: What was assumed or repaired.
        origin: What it was made from; `None` in lists of earlier versions, and where there is no result.
    """

    case: str
    files: tuple[str, ...] = ()
    error: str = ""
    notes: tuple[str, ...] = ()
    origin: Origin | None = None


def identify(paths: Path | Iterable[Path]) -> Identity:
    """The identity of files and folders. Reads each of them once, at about the speed of a disk.

    Where something lies does not count, only what it is called within its folder and what it holds.

    Raises:
        OSError: One is missing or cannot be read.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "a").write_text("same"), (folder / "b").write_text("same")
        >>> identify(folder / "a").content == identify(folder / "b").content
        True
    """
    facts = _facts(paths)
    sample, content = _digests(facts)
    return Identity(
        files=len(facts), size=sum(fact[2] for fact in facts), stamp=_stamp(facts), sample=sample, content=content
    )


def still(known: Identity, paths: Path | Iterable[Path]) -> Identity | None:
    """The identity, with the times of now, if files hold what they held then; else `None`.

    Size, times of change and samples are looked at first. All bytes are read only where the times are others, as after
    a copy; of what is larger than `LARGE`, other times count as a change.

    Example:
        >>> import os, tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a"
        >>> known = (file.write_text("one"), identify(file))[1]
        >>> os.utime(file, (1, 1)); still(known, file) is not None
        True
        >>> _ = file.write_text("two"); still(known, file) is None
        True
    """
    try:
        facts = _facts(paths)
        if (len(facts), sum(fact[2] for fact in facts)) != (known.files, known.size):
            return None
        stamp = _stamp(facts)
        if _sampled(facts) != known.sample:
            return None
        if stamp == known.stamp:
            return known
        return known.model_copy(update={"stamp": stamp}) if known.content and _whole(facts) == known.content else None
    except OSError:
        return None


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _facts(paths: Path | Iterable[Path]) -> tuple[_Fact, ...]:
    """Name, size and times of every file, in one order on every machine."""
    found: list[_Fact] = []
    for place, path in enumerate([paths] if isinstance(paths, Path) else paths):
        for file in sorted(_within(path), key=lambda file: file.relative_to(path).as_posix()):
            facts = file.stat()
            name = f"{place}/{file.relative_to(path).as_posix()}"
            found.append((str(file.absolute()), name, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns))
    return tuple(found)


def _within(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        return iter([path])
    left_aside = (".partial-", ".old-", "._")
    return (
        file
        for file in path.rglob("*")
        if file.is_file() and file.name not in LITTER and not file.name.startswith(left_aside)
    )


def _large(facts: Sequence[_Fact]) -> bool:
    return sum(fact[2] for fact in facts) > LARGE


def _stamp(facts: Sequence[_Fact]) -> str:
    """With the time at which the system saw the last change, which no program sets; not where that would cost much."""
    times = 4 if _large(facts) else 5
    return hashlib.sha256(repr([fact[1:times] for fact in facts]).encode()).hexdigest()[:32]


def _digests(facts: tuple[_Fact, ...]) -> tuple[str, str]:
    """Of samples, and of all bytes."""
    return _sampled(facts), "" if _large(facts) else _whole(facts)


def _named(facts: Sequence[_Fact]) -> hashlib._Hash:
    return hashlib.sha256(repr([fact[1:3] for fact in facts]).encode())


def _sampled(facts: Sequence[_Fact]) -> str:
    """Names, sizes, and blocks spread over the bytes of all files as if they lay behind one another."""
    found, total = _named(facts), sum(fact[2] for fact in facts)
    if total <= SAMPLES * BLOCK:
        return _read_all(facts, found)
    starts = [round(i * (total - BLOCK) / (SAMPLES - 1)) for i in range(SAMPLES)]
    before = 0
    for path, _, size, *_ in facts:
        here = [start - before for start in starts if before <= start < before + size]
        if here:
            with open(path, "rb", buffering=0) as stream:
                for start in here:
                    stream.seek(start)
                    found.update(stream.read(BLOCK))
        before += size
    return found.hexdigest()[:32]


@lru_cache(maxsize=4096)
def _whole(facts: tuple[_Fact, ...]) -> str:
    """All bytes; remembered, as one file may hold many cases."""
    return _read_all(facts, _named(facts))


def _read_all(facts: Sequence[_Fact], found: hashlib._Hash) -> str:
    for path, *_ in facts:
        with open(path, "rb", buffering=0) as stream:
            while block := stream.read(1 << 20):
                found.update(block)
    return found.hexdigest()[:32]
