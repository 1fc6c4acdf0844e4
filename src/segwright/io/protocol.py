"""What a file format must offer, and the guard that turns any decoder's failure into one kind of error."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import OutOfMemoryError, ReadError, SegwrightError, WriteError
from segwright.core.geometry import Geometry
from segwright.core.volume import Index, LazyArray, Volume
from segwright.io.axes import Axes, Shape4
from segwright.io.checksums import verify
from segwright.io.claims import admit

#: Names of the channels of a file whose format says that they are colours.
RGB = ("red", "green", "blue")

MENDED = "Replace the file by a whole copy, or take the case out of the dataset."


class ArrayInfo(NamedTuple):
    """An array inside a file: its name, stored shape and type."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class ReadFile(Protocol):
    """Opens a file or folder; voxels are read later, when the volume is sliced."""

    def __call__(self, path: Path, key: str | None, /) -> Volume: ...


class ReadArranged(Protocol):
    """Like `ReadFile`, with the axes of the stored array stated, one letter each (see `axes.stated_axes`)."""

    def __call__(self, path: Path, key: str | None, letters: str, /) -> Volume: ...


class WriteFile(Protocol):
    """Stores `array` `(C, z, y, x)` on `geometry`; `like` is a volume of the same format and grid, or None."""

    def __call__(self, path: Path, array: NDArray[Any], geometry: Geometry, like: Volume | None, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Format:
    """One row of the readers table.

    Attributes:
        name: Row name; also `header["format"]` of its volumes.
        read: Opens a source.
        write: Stores an array; `None` where the format is not written.
        writes: Suffixes it can write without loss.
        keys: Lists the arrays of a file; `None` where a file holds one only.
        arranged: Like `labels`, with the stored axes stated; `None` where the format fixes their meaning.
        planes: Axes of an array that holds a structure or channel a plane.
        labels: Opens a source as a label: the numbers that are stored, without what a header says about display;
            `None` where `read` gives these anyway.
        suffixes: Lower-case suffixes that a row of another package claims; built-in ones say theirs in the table.
        coarser: Opens the smaller copies that a file keeps of an array, finest first; `None` where there are none.
    """

    name: str
    read: ReadFile
    write: WriteFile | None = None
    writes: tuple[str, ...] = ()
    keys: Callable[[Path], tuple[ArrayInfo, ...]] | None = None
    arranged: ReadArranged | None = None
    planes: str = "yxc"
    coarser: Callable[[Path, str | None], tuple[Volume, ...]] | None = None
    labels: ReadFile | None = None
    suffixes: tuple[str, ...] = ()


@contextmanager
def decoding(path: str | Path, family: str) -> Iterator[None]:
    """Turn whatever a decoder raises into a `ReadError` that names the file, the reason and the hint."""
    try:
        yield
    except (ReadError, OutOfMemoryError):
        raise
    except SegwrightError as error:
        raise ReadError(
            error.what, expected=error.expected, got=error.got, where=path, hint=error.hint or MENDED
        ) from error
    except Exception as error:
        raise ReadError(f"The file cannot be read as {family}.", got=reason(error), where=path, hint=MENDED) from error


@contextmanager
def encoding(path: str | Path, family: str) -> Iterator[None]:
    """Turn whatever an encoder raises into a `WriteError`."""
    try:
        yield
    except SegwrightError:
        raise
    except Exception as error:
        raise WriteError(
            f"The result cannot be written as {family}.",
            got=reason(error),
            where=path,
            hint="Check free space and write permission of the folder, or choose another format.",
        ) from error


def reason(error: BaseException) -> str:
    """Kind of an exception and its telling line: the one marked as error, else the first.

    Example:
        >>> reason(ValueError("bad magic"))
        'ValueError: bad magic'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = next((line for line in lines if "ERROR" in line), lines[0] if lines else "")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@dataclass(frozen=True, slots=True)
class Stored:
    """How the voxels of a file lie in it, by which a read is judged before anything is decoded.

    Attributes:
        file: Where they are; `None` for a folder.
        whole: Whether a part of them costs as much as all.
        packed: Whether they may be stored in fewer bytes than they take.
        sums: Whether the file's sums are verified here, and not by who reads it.
        size: Bytes that hold them, where these are not the file's; asked only of large reads.
        length: Bytes that a gzip file should unpack to.
    """

    file: Path | None
    whole: bool = False
    packed: bool = True
    sums: bool = True
    size: Callable[[], int] | None = None
    length: int | None = None

    def admit(self, path: Path, index: Index, shape: Shape4, item: int) -> None:
        """Refuse a read of a part that costs too much, or of a file whose sums are wrong.

        Raises:
            ReadError: As `claims.admit` and `checksums.verify`.
        """
        spans = shape if self.whole else [part.stop - part.start for part in index]
        size = self.size or (self.file.stat().st_size.__int__ if self.file is not None else None)
        voxels = math.prod(spans[1:])
        admit(path, item * voxels * spans[0], voxels=voxels, stored=size if self.packed else None)
        if self.file is not None and self.packed and self.sums:
            verify(self.file, length=self.length)


def lazy(
    shape: Shape4,
    dtype: np.dtype[Any] | type,
    read: Callable[[Index], NDArray[Any]],
    *,
    path: Path,
    family: str,
    stored: Stored | None = None,
) -> LazyArray:
    """A lazy array whose slices are normalised and whose failures are `ReadError`s.

    Before anything is decoded, what it takes is held against what is stored and against the budget of a read, and the
    checksums of a file are verified, once.
    """
    kind = np.dtype(dtype)
    how = stored or Stored(path if path.is_file() else None)

    def guarded(index: Index) -> NDArray[Any]:
        exact = tuple(slice(*part.indices(n)[:2]) for part, n in zip(index, shape, strict=True))
        with decoding(path, family):
            how.admit(path, exact, shape, kind.itemsize)
            return read(exact)

    return LazyArray(shape, kind, guarded)


def lazy_stored(
    axes: Axes,
    stored: Sequence[int],
    dtype: np.dtype[Any],
    read: Callable[[Index], NDArray[Any]],
    *,
    path: Path,
    family: str,
) -> LazyArray:
    """A lazy array over a store that is sliced in its own axis order."""
    return lazy(axes.shape(stored), dtype, axes.fetching(stored, read), path=path, family=family)


def make_header(name: str, path: Path, **rest: Any) -> dict[str, Any]:
    """The header every volume carries: format, path, warnings, and what the format adds."""
    rest["warnings"] = tuple(rest.get("warnings", ()))
    return {"format": name, "path": str(path), **rest}


def surplus(path: Path, needed: int) -> tuple[str, ...]:
    """A sentence if a file of unpacked voxels is longer than its header needs.

    Raises:
        ReadError: It is shorter.
    """
    found = path.stat().st_size
    if found < needed:
        raise ReadError(
            "The file is cut off.", expected=f"{needed} bytes", got=f"{found} bytes", where=path, hint=MENDED
        )
    if found == needed:
        return ()
    return (
        f"The file is {found - needed} bytes longer than its header states; if they lie between, voxels are shifted.",
    )


def pick_key(found: Sequence[ArrayInfo], key: str | None, path: Path) -> ArrayInfo:
    """The array named `key`, or the only one that can be a scan.

    Raises:
        ReadError: No such array, none at all, or several and no key; lists them with shapes.
    """
    listing = "; ".join(f"{info.name} {info.shape} {info.dtype}" for info in found[:20]) or "no numeric array"
    if key is not None:
        for info in found:
            if info.name.strip("/") == key.strip("/"):
                return info
        near = difflib.get_close_matches(key, [info.name for info in found], n=1)
        hint = f"Did you mean 'key: {near[0]}'?" if near else "Give one of the arrays listed as 'key:'."
        raise ReadError(f"The file has no array {key!r}.", got=listing, where=path, hint=hint)
    if len(found) == 1:
        return found[0]
    if not found:
        raise ReadError(
            "The file holds no array that could be a scan.",
            expected="a numeric array of two or more axes",
            where=path,
            hint="Store the scan as a numeric array.",
        )
    raise ReadError(
        "The file holds several arrays, and none was chosen.",
        got=listing,
        where=path,
        hint=f"Name one, e.g. 'key: {found[0].name}'.",
    )


def is_scan(shape: Sequence[int], dtype: np.dtype[Any]) -> bool:
    """Whether an array can be a scan or label: numeric, at least two axes, none empty."""
    return dtype.kind in "biuf" and len(shape) >= 2 and min(shape) > 0 and max(shape) > 1


def same_format(like: Volume | None, name: str) -> Mapping[str, Any]:
    """The header of `like` if it comes from format `name`, else an empty one."""
    return like.header if like is not None and like.header.get("format") == name else {}


def smallest(array: NDArray[Any]) -> NDArray[Any]:
    """Integers in the smallest type that holds them (unsigned unless a value is negative); floats as they are.

    Example:
        >>> smallest(np.array([0, 300])).dtype, smallest(np.array([True])).dtype
        (dtype('uint16'), dtype('uint8'))
    """
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind not in "iu":
        return array.astype(np.float32) if array.dtype == np.float16 else array
    low, high = int(array.min()), int(array.max())
    kinds = ("uint8", "uint16", "uint32", "uint64") if low >= 0 else ("int8", "int16", "int32", "int64")
    for kind in kinds:
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            return array.astype(kind, copy=False)
    return array
