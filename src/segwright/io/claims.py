"""What a read may cost: the size that a header claims is held against the bytes that are stored, before decoding.

A file of a few hundred bytes can claim a picture that fills the memory. Three things speak against it: the budget of
one read, what no compression reaches, and, of what is large, what no scan is compressed to.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import psutil

from segwright.core.errors import ReadError, UsageError
from segwright.core.words import byte_size

#: Environment variable with the memory that one read may take, as `8GB` or in bytes.
VARIABLE = "SEGWRIGHT_READ_MEMORY"
#: Share of the memory that is free, where nothing is set.
_SHARE = 0.5
#: Bytes that any file may unpack to, a CT of 512 x 512 x 1000 voxels of 16 bits; and voxels of whatever type: a nearly
#: empty label of 512 x 512 x 600 is packed to a two-hundredth.
_PLAUSIBLE, _VOXELS = 512 << 20, 160 << 20
#: No scan of more than that is packed to a smaller share: real ones to a third, and nearly empty ones to a hundredth.
_PACKED = 150
#: The same for more than a picture or two: what even codes for empty pictures (LZW, JPEG) do not reach.
_SMALL, _LIMIT = 64 << 20, 3000
#: Pieces of an array that are read at once if each has fewer voxels than `_TINY`.
_PIECES, _TINY = 50_000, 4096
#: A label may have more voxels than its image by this factor: it is then refused for its shape, or laid by its place.
ROOM = 4
#: Labels of more voxels are held against their image even where only their values are asked for.
LARGE = 32 << 20
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}

_expected: ContextVar[int] = ContextVar("voxels a label may have", default=0)


def budget() -> int:
    """Bytes that one read may take: what `SEGWRIGHT_READ_MEMORY` says, else half of what is free.

    Raises:
        UsageError: The variable holds no size.
    """
    text = os.environ.get(VARIABLE, "").strip()
    return parsed(text) if text else int(_free() * _SHARE)


def parsed(text: str) -> int:
    """Bytes of `8GB`, `500 MB` or a plain number.

    Raises:
        UsageError: It is no size.

    Example:
        >>> parsed("2GB") == 2 * 2**30, parsed("1000")
        (True, 1000)
    """
    found = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)\s*([kmgt]?)i?b?", text.strip().lower())
    if found is None:
        raise UsageError(f"Cannot read the size {text!r}.", expected="8GB, 500MB or bytes", where=VARIABLE)
    return int(float(found[1]) * _UNITS[found[2]])


def _free() -> int:
    """Memory that is available, within the limit of the control group."""
    free = int(psutil.virtual_memory().available)
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="utf-8").strip()
    except OSError:
        return free
    return min(free, int(limit)) if limit.isdigit() else free


@contextmanager
def expecting(voxels: int) -> Iterator[None]:
    """Labels read inside may have as many voxels as their scan, however small their files: most of a label is empty."""
    token = _expected.set(voxels)
    try:
        yield
    finally:
        _expected.reset(token)


def admit(path: Path, cost: int, *, voxels: int = 0, stored: Callable[[], int] | None = None) -> None:
    """Refuse a read that would take too much, or for which the file holds too little.

    Args:
        path: File to be named.
        cost: Bytes that decoding takes at once.
        voxels: How many voxels these are.
        stored: Bytes from which they are unpacked; `None` where nothing is packed. Asked only of large reads.

    Raises:
        ReadError: Says both sizes, and how to allow it.
    """
    most = budget()
    if cost > most:
        raise ReadError(
            "Reading this takes more memory than one read may use.",
            expected=f"at most {byte_size(most)}",
            got=f"{byte_size(cost)} of voxels at once",
            where=path,
            hint=f"If the file is right, set {VARIABLE}, e.g. to {byte_size(cost * 1.1).replace(' ', '')}, or store it "
            "as OME-Zarr, which is read in blocks.",
        )
    if stored is None or cost <= _SMALL or 0 < voxels <= _expected.get():
        return
    held = max(stored(), 1)
    large = cost > _PLAUSIBLE and not 0 < voxels <= _VOXELS
    if cost > _LIMIT * held or (large and cost > _PACKED * held):
        raise ReadError(
            "The file claims far more voxels than its bytes can hold.",
            expected=f"at most {byte_size(max(_SMALL, min(_LIMIT * held, max(_PLAUSIBLE, _PACKED * held))))}",
            got=f"{byte_size(cost)} from {byte_size(held)} stored",
            where=path,
            hint="Take it out. If it is an image that is really empty, store it unpacked (as '.nii').",
        )


def demand_few_pieces(path: Path, index: Sequence[slice], piece: Sequence[int]) -> None:
    """Refuse a read of very many very small pieces, which takes hours whatever is in them.

    Raises:
        ReadError: Says how many.
    """
    count = math.prod(-(-s.stop // n) - s.start // n for s, n in zip(index, piece, strict=True) if s.stop > s.start)
    if count > _PIECES and math.prod(piece) < _TINY:
        raise ReadError(
            "The array is stored in very many very small pieces.",
            expected=f"at most {_PIECES} pieces at once of fewer than {_TINY} voxels",
            got=f"{count} of {math.prod(piece)}",
            where=path,
            hint="Store it in larger pieces, e.g. of 64 x 64 x 64 voxels.",
        )


def stored_below(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
