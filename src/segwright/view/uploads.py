"""Results dropped onto the page: kept in a folder of the server's own, up to a size, and never written elsewhere."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import anyio

from segwright import io
from segwright.core.errors import ReadError, UsageError

#: Largest upload, and largest content of a zip.
LIMIT_BYTES = 2_000_000_000
#: Most files in a zip.
MOST_FILES = 20_000


class TooLargeError(UsageError):
    """An upload beyond the limit."""


def safe_name(name: str) -> str:
    """The last part of a file name, without anything a path could be made of.

    Raises:
        UsageError: It is no kind of file that can hold a result.

    Example:
        >>> safe_name("../../etc/my result.csv")
        'my result.csv'
    """
    last = re.split(r"[\\/]", name)[-1]
    clean = re.sub(r"[^\w .()+-]", "_", last).lstrip(".")[-120:]
    suffix = Path(clean).suffix.lower()
    if suffix not in {".csv", ".tsv", ".zip"} and io.suffix_of(clean) not in io.label_suffixes():
        raise UsageError(
            "Results of this kind are not taken.",
            expected="a run-length CSV, a zip of label files, or a label file (" + ", ".join(io.label_suffixes()) + ")",
            came=last or "a file without a name",
            cure="Drop one of these.",
        )
    return clean


async def receive(stream: AsyncIterator[bytes], target: Path, *, limit: int = LIMIT_BYTES) -> int:
    """Write an upload to disk as it arrives; returns its bytes. Nothing is left behind where it fails.

    Raises:
        TooLargeError: It is larger than `limit`; told as soon as that is known.
        UsageError: It is empty.
    """
    size = 0
    try:
        async with await anyio.open_file(target, "wb") as file:
            async for part in stream:
                size += len(part)
                if size > limit:
                    raise too_large(limit)
                await file.write(part)
        if not size:
            raise UsageError("The file is empty (0 bytes).", came=target.name, cure="Drop the whole file.")
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return size


def too_large(limit: int) -> TooLargeError:
    """The refusal of an upload beyond the limit."""
    return TooLargeError(
        "The upload is too large.",
        expected=f"at most {limit / 1e9:g} GB",
        cure="Start the viewer with --result and the folder or file instead; nothing is copied then.",
    )


def unpacked(archive: Path, target: Path, *, limit: int = LIMIT_BYTES) -> Path:
    """Unpack a zip; returns the folder that holds its files, below folders that hold nothing but one folder.

    Raises:
        ReadError: It is no zip, a part of it is damaged, or names lead outside.
        TooLargeError: It would become larger than `limit`.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            parts = [part for part in opened.infolist() if not part.is_dir() and "__MACOSX" not in part.filename]
            _refuse(parts, archive, limit)
            for part in parts:
                place = target / part.filename
                place.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(part) as source, place.open("wb") as file:
                    shutil.copyfileobj(source, file)
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError) as error:
        raise ReadError(
            "The zip cannot be unpacked.", came=str(error), where=archive.name, cure="Pack it again."
        ) from error
    inside = target
    while len(listed := list(inside.iterdir())) == 1 and listed[0].is_dir():
        inside = listed[0]
    return inside


def _refuse(parts: list[zipfile.ZipInfo], archive: Path, limit: int) -> None:
    for part in parts:
        steps = Path(part.filename.replace("\\", "/"))
        if steps.is_absolute() or ".." in steps.parts:
            raise ReadError("A name in the zip leads outside of it.", came=part.filename, where=archive.name)
    if len(parts) > MOST_FILES or sum(part.file_size for part in parts) > limit:
        raise too_large(limit)
    if not parts:
        raise ReadError("The zip holds no files.", where=archive.name, cure="Pack the label files.")
