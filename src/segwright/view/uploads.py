"""Results dropped onto the page: kept in folders of the server's own, within limits, and gone with the result."""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import anyio
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool

from segwright import io
from segwright.core.errors import ReadError, UsageError

#: Most files in a zip or a folder.
MOST_FILES = 20_000


@dataclass(frozen=True)
class Limits:
    """What uploads may take.

    Attributes:
        each: Bytes of one, and of what a zip holds.
        every: Bytes of all that are kept, a zip by what it holds.
        at_once: Uploads under way.
        seconds: An upload may last so long.
        patience: Seconds before it has to come as fast as `rate`.
        rate: Bytes a second that it has to bring on average.
    """

    each: int = 2_000_000_000
    every: int = 8_000_000_000
    at_once: int = 4
    seconds: float = 3600.0
    patience: float = 30.0
    rate: int = 50_000

    def allowed(self, size: int) -> float:
        """Seconds in which so many bytes have to be there."""
        return min(self.seconds, self.patience + size / self.rate)


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
    clean = clean_name(name)
    suffix = Path(clean).suffix.lower()
    if suffix not in {".csv", ".tsv", ".zip"} and io.suffix_of(clean) not in io.label_suffixes():
        raise UsageError(
            "Results of this kind are not taken.",
            expected="a run-length CSV, a zip of label files, or a label file (" + ", ".join(io.label_suffixes()) + ")",
            got=clean or "a file without a name",
            hint="Drop one of these.",
        )
    return clean


def clean_name(name: str) -> str:
    """The last part of a name, without anything a path could be made of.

    Example:
        >>> clean_name("/home/ann/my:result/")
        'my_result'
    """
    last = re.split(r"[\\/]", name.rstrip("/\\"))[-1]
    return re.sub(r"[^\w .()+-]", "_", last).encode()[-200:].decode(errors="ignore").lstrip(".")


def refuse_detached(place: Path) -> None:
    """Refuse headers whose voxels lie in another file: what they name is not for an upload to say.

    Raises:
        UsageError: Names the file.
    """
    found = next((file for file in [place, *place.rglob("*")] if file.is_file() and io.is_detached(file)), None)
    if found is not None:
        raise UsageError(
            "Headers whose voxels lie in a second file are not taken.",
            expected="labels in one file each, such as '.nii.gz', '.mha' or '.nrrd'",
            got=found.name,
            hint="Save them as one file, or start the viewer with --result.",
        )


class TooSlowError(UsageError):
    """An upload that does not come."""


class BusyError(UsageError):
    """More uploads at once than are taken."""


@dataclass
class Inbox:
    """Uploads on disk: a folder each, counted together, removed with the result, when refused, and with the server.

    Attributes:
        limits: What they may take.
    """

    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="segwright-view-"))
        weakref.finalize(self, shutil.rmtree, self.place, ignore_errors=True)
        self._sizes: dict[Path, int] = {}
        self._folders: dict[int, Path] = {}

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder for one upload, removed unless the result made of it is `kept`.

        Raises:
            BusyError: Too many are under way.
        """
        if len(self._sizes) - len(self._folders) >= self.limits.at_once:
            raise BusyError("Too many uploads at once.", hint="Wait until one has ended.")
        found = Path(tempfile.mkdtemp(dir=self.place))
        self._sizes[found] = 0
        try:
            yield found
        finally:
            if found not in self._folders.values():
                self._discard(found)

    def keep(self, folder: Path, number: int) -> None:
        """The upload has become a result."""
        self._folders[number] = folder

    def has(self, number: int) -> bool:
        """Whether a result was dropped onto the page."""
        return number in self._folders

    def remove(self, number: int) -> None:
        """Remove what a result was made of."""
        self._discard(self._folders.pop(number))

    def _discard(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self._sizes.pop(folder, None)

    def left(self, folder: Path) -> int:
        """Bytes that an upload may still take."""
        mine = self._sizes[folder]
        return min(self.limits.each - mine, self.limits.every - sum(self._sizes.values()))

    def count(self, folder: Path, size: int) -> None:
        """Take bytes, or give them back.

        Raises:
            TooLargeError: One is too large, or all are.
        """
        if size > self.left(folder):
            raise too_large(self.limits, size + self._sizes[folder])
        self._sizes[folder] += size

    async def receive(self, stream: AsyncIterator[bytes], target: Path) -> None:
        """Write an upload to disk as it arrives.

        Raises:
            TooLargeError: It, or all together, are too large; told as soon as that is known.
            TooSlowError: It does not come, or too slowly.
            UsageError: It is empty, or the disk is full.
        """
        try:
            async with await anyio.open_file(target, "wb") as file:
                async for part in self._limited(stream, target.parent):
                    await file.write(part)
        except OSError as error:
            raise unkept(error) from error
        if not target.stat().st_size:
            raise UsageError("The file is empty (0 bytes).", got=target.name, hint="Drop the whole file.")

    async def receive_folder(self, content_type: str, stream: AsyncIterator[bytes], target: Path) -> Path:
        """Write the files of a form, each in a field that is named by its path; returns the folder they share.

        Raises:
            UsageError: As `receive`, and where the form is broken, holds too much, or a path leads outside.
        """
        try:
            with closing(_Form(content_type, target)) as form:
                async for part in self._limited(stream, target):
                    await run_in_threadpool(form.write, part)
                form.finish()
        except FormParserError as error:
            raise ReadError("The files did not arrive whole.", got=str(error), hint="Send them again.") from error
        except OSError as error:
            raise unkept(error) from error
        return _below(target)

    async def _limited(self, stream: AsyncIterator[bytes], folder: Path) -> AsyncGenerator[bytes, None]:
        """What arrives for a folder, as long as it is neither too much nor too slow."""
        started, size = anyio.current_time(), 0
        while True:
            try:
                with anyio.fail_after(started + self.limits.allowed(size) - anyio.current_time()):
                    part = await anext(stream, None)
            except TimeoutError as error:
                raise TooSlowError(
                    "The upload came too slowly.",
                    expected=f"{self.limits.rate / 1e3:g} kB a second, all in {self.limits.seconds / 60:g} minutes",
                    got=f"{size:,} bytes in {anyio.current_time() - started:.0f} s",
                    hint="Copy the result to this machine and start the viewer with --result.",
                ) from error
            if part is None:
                return
            size += len(part)
            self.count(folder, len(part))
            yield part

    def unpack(self, archive: Path) -> Path:
        """Unpack a zip and remove it; returns the folder of its files, below folders that hold but one folder.

        Raises:
            ReadError: It is no zip, a part of it is damaged, or names lead outside.
            TooLargeError: It would become larger than is left.
        """
        target, size = archive.with_suffix(".files"), archive.stat().st_size
        try:
            with zipfile.ZipFile(archive) as opened:
                parts = [part for part in opened.infolist() if not part.is_dir() and "__MACOSX" not in part.filename]
                _refuse([part.filename for part in parts], archive.name)
                self.count(archive.parent, sum(part.file_size for part in parts))
                for part in parts:
                    _extract(opened, part, target)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError) as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise unkept(error) from error
            raise ReadError(
                "The zip cannot be unpacked.", got=str(error), where=archive.name, hint="Pack it again."
            ) from error
        archive.unlink()
        self.count(archive.parent, -size)
        return _below(target)


def _extract(opened: zipfile.ZipFile, part: zipfile.ZipInfo, target: Path) -> None:
    """Write a part, never more of it than it says."""
    place = target / part.filename
    place.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(part) as source, place.open("wb") as file:
        shutil.copyfileobj(source, file)


def unkept(error: OSError) -> UsageError:
    """The refusal of an upload that the disk does not take."""
    return UsageError(
        "The upload cannot be kept.", got=error.strerror or str(error), hint="Free some disk space, or set TMPDIR."
    )


def too_large(limits: Limits, got: int | None = None) -> TooLargeError:
    """The refusal of an upload beyond the limits."""
    return TooLargeError(
        "The upload is too large.",
        expected=f"at most {limits.each / 1e9:g} GB, and {limits.every / 1e9:g} GB for all that are kept",
        got=None if got is None else f"{got / 1e9:.3g} GB",
        hint="Remove results that are done with, or start the viewer with --result; nothing is copied then.",
    )


def _refuse(names: list[str], where: str) -> None:
    """Refuse names of files that lead outside, too many, or none."""
    for name in names:
        steps = Path(name.replace("\\", "/"))
        if steps.is_absolute() or ".." in steps.parts or not steps.name:
            raise ReadError("A name in the upload leads outside of it.", got=name[:200], where=where)
    if len(names) > MOST_FILES:
        raise TooLargeError("The upload holds too many files.", expected=f"at most {MOST_FILES:,}", got=len(names))
    if not names:
        raise ReadError("The upload holds no files.", where=where, hint="Send the label files.")


class _Form:
    """Writes the files of a form below a folder as they arrive; a field's name is the path of its file."""

    def __init__(self, content_type: str, folder: Path) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        self.folder, self.names, self.whole = folder, list[str](), False
        self._file: BinaryIO | None = None
        self._header, self._value = b"", b""
        callbacks: Any = {
            "on_header_field": self._on_field,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_part_data": self._on_data,
            "on_part_end": self.close,
            "on_end": self._on_end,
        }
        self.write = MultipartParser(boundary, callbacks).write

    def finish(self) -> None:
        """Raises where the form has no end, or no files."""
        if not self.whole:
            raise FormParserError("the form has no end")
        _refuse(self.names, "the form")

    def close(self) -> None:
        """Close the file that is being written."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._open(parse_options_header(self._value)[1].get(b"name", b"").decode(errors="replace"))
        self._header, self._value = b"", b""

    def _open(self, name: str) -> None:
        self.names.append(name)
        _refuse(self.names if len(self.names) > MOST_FILES else [name], "the form")
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        self.close()
        self._file = place.open("wb")

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])

    def _on_end(self) -> None:
        self.whole = True


def _below(folder: Path) -> Path:
    """The folder of files below folders that hold but one folder."""
    while len(listed := list(folder.iterdir())) == 1 and listed[0].is_dir():
        folder = listed[0]
    return folder
