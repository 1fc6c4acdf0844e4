"""Labels that name their structures and are drawn rather than painted: what a form of them offers to the loader."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import LabelError, ReadError, SegwrightError
from segwright.core.geometry import Geometry
from segwright.core.labels import Structure
from segwright.core.parse import parse_json, regular, text_of
from segwright.io.polygon import crosses_itself, fill_box
from segwright.io.protocol import MENDED, reason

Mask = NDArray[np.bool_]


class Entry(NamedTuple):
    """One image that a file of labels speaks of.

    Attributes:
        image: Name of the image file as stated, perhaps with folders or without suffix; empty if none is.
        key: What `read` needs to find it in the file; `None` where the file speaks of one image only.
        size: Rows and columns, where stated.
        names: Structures drawn in it.
    """

    image: str
    key: str | None
    size: tuple[int, int] | None
    names: tuple[str, ...]


@dataclass
class Drawn:
    """The labels of one image.

    Attributes:
        shape: Grid `(z, y, x)`.
        masks: Mask of each structure that is drawn.
        repairs: Sentences on what was clipped, dropped or assumed.
        outlines: How many outlines were united for each structure.
    """

    shape: tuple[int, int, int]
    masks: dict[str, Mask] = field(default_factory=dict)
    repairs: list[str] = field(default_factory=list)
    outlines: Counter[str] = field(default_factory=Counter)

    def mask(self, name: str) -> Mask:
        """The mask of a structure, empty at first."""
        return self.masks.setdefault(name, np.zeros(self.shape, dtype=bool))

    def add_ring(self, name: str, ring: Sequence[Sequence[float]] | NDArray[Any], told: str) -> None:
        """Unite a polygon of `(x, y)` corners with the structure's mask in a single plane.

        Args:
            name: The structure; it counts as drawn even if the polygon encloses nothing.
            ring: Corners, closed or not.
            told: How sentences call the polygon.
        """
        self.add_area(name, [ring], told)

    def add_area(self, name: str, rings: Sequence[Any], told: str, plane: int = 0) -> None:
        """`add_ring` for an area with holes: rings `(N, 2)` that are filled together by the even-odd rule."""
        whole = [np.asarray(ring, dtype=np.float64).reshape(-1, 2) for ring in rings]
        mask = self.mask(name)
        self.outlines[name] += 1
        points = whole[0] if whole else np.empty((0, 2))
        if len(np.unique(points, axis=0)) < 3:
            self.repairs.append(f"{told} has {_count(points)} and encloses nothing; it is left out.")
            return
        rows, columns = self.shape[1:]
        if any(crosses_itself(ring) for ring in whole):
            self.repairs.append(f"{told} crosses itself; it is filled by the even-odd rule.")
        beyond = max(-points.min(), (points - (columns, rows)).max())
        filled, box = fill_box(whole, (rows, columns))
        if not filled.any():
            where = "lies outside the image" if beyond > 0 else "encloses no pixel's centre"
            self.repairs.append(f"{told} {where}; it is left out.")
        elif beyond > 0:
            self.repairs.append(f"{told} reaches {beyond:g} pixels out of the image; it is clipped.")
        mask[plane][box] |= filled


def _count(points: NDArray[Any]) -> str:
    distinct = len(np.unique(points, axis=0))
    return f"{distinct} point{'s' * (distinct != 1)}"


class ReadDrawn(Protocol):
    """Reads the labels of one image on its grid `like`."""

    def __call__(self, path: Path, key: str | None, like: Geometry, /) -> Drawn: ...


@dataclass(frozen=True, slots=True)
class Form:
    """One row of the table of forms.

    Attributes:
        name: Row name.
        entries: Images a file speaks of, in its order.
        read: Labels of one of them.
        known: Whether a file is of this form; looks at the suffix before the content.
        paired: Whether files find their images by names alone, so that the layout `outlines` reads them.
        upright: Whether its tool shows pictures as their camera's turn (EXIF orientation) asks for.
        structures: Values and colours that a file gives its structures, by name; `None` where it gives none.
        grid: The grid that a file states itself; `None` where it does not.
        counted: `read` for a way of counting run lengths, in the words of `dataset.yaml`; `None` where nothing counts.
    """

    name: str
    entries: Callable[[Path], tuple[Entry, ...]]
    read: ReadDrawn
    known: Callable[[Path], bool]
    paired: bool = False
    upright: bool = False
    structures: Callable[[Path], Mapping[str, Structure]] | None = None
    grid: Callable[[Path], Geometry] | None = None
    counted: Callable[[str], ReadDrawn] | None = None

    def __post_init__(self) -> None:
        """Whatever is wrong with a file comes as an error of ours: it may hold anything in any place."""
        for name in ("entries", "read", "structures", "grid"):
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, _guarded(given, self.name))


def _guarded(read: Callable[..., Any], form: str) -> Callable[..., Any]:
    """A function of a file whose foreign exceptions are `ReadError`s; our own errors keep the row they name."""

    @wraps(read)
    def call(path: Path, *rest: Any) -> Any:
        try:
            return read(path, *rest)
        except SegwrightError:
            raise
        except Exception as error:
            raise ReadError(
                f"The file cannot be read as {form}.", got=reason(error), where=path, hint=MENDED
            ) from error

    return call


def usable(points: NDArray[np.float64]) -> bool:
    """Whether corners are numbers that can mean pixels."""
    return bool((np.abs(points) < 1e9).all())


def corners(
    given: Callable[[], Any], told: str, path: Path, *, expected: str = "[[x, y], [x, y], ...]", seen: Any = None
) -> NDArray[np.float64]:
    """Corners `(N, 2)` as x and y of one outline.

    Args:
        given: Makes numbers of what the file holds; may fail as such conversions do.
        told: The outline, in words.
        path: Its file.
        expected: How the file should hold them.
        seen: What it holds, for the message.

    Raises:
        LabelError: They are no pairs of finite numbers.
    """
    try:
        points = np.array(given(), dtype=np.float64).reshape(-1, 2)
    except (TypeError, ValueError, KeyError, IndexError):
        points = np.array([[np.nan, np.nan]])
    if not usable(points):
        raise LabelError(
            f"{told} has points that are not pairs of numbers.",
            expected=expected,
            got=repr(seen)[:80],
            where=path,
            hint="Correct the points, or export the file again.",
        )
    return points


def refuse_size(size: tuple[int, int] | None, like: Geometry, where: str | Path) -> None:
    """Refuse labels drawn on an image of another size, or on single planes for a volume.

    Raises:
        LabelError: Says both sizes.
    """
    if like.shape[0] != 1:
        raise LabelError(
            "Labels drawn on single planes cannot be laid on a volume.",
            expected="an image of one plane",
            got=f"{like.shape[0]} planes",
            where=where,
            hint="Store labels of volumes as NIfTI, NRRD or DICOM SEG.",
        )
    if size is not None and size != like.shape[1:]:
        raise LabelError(
            "The label was drawn on an image of another size.",
            expected=f"{like.shape[1]} x {like.shape[2]} pixels (rows x columns), as the image has",
            got=f"{size[0]} x {size[1]}",
            where=where,
            hint=_hint(size, (like.shape[1], like.shape[2])),
        )


def _hint(size: tuple[int, int], wanted: tuple[int, int]) -> str:
    if size == wanted[::-1]:
        return (
            "Rows and columns are exchanged, as by a camera's turn (EXIF orientation 6 or 8) applied to one of them: "
            "rotate the image by a quarter and save it without that turn, or give the original photograph."
        )
    return "Give the image the label was drawn on, or draw it anew."


def json_object(path: Path) -> Mapping[str, Any] | None:
    """The object that a JSON file holds; `None` for other files and for what is no object."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return None
    try:
        data = json_of(path)
    except ReadError:
        return None
    return data if isinstance(data, Mapping) else None


def json_of(path: Path) -> Any:
    """The content of a JSON file; parsed once while the file stays as it is.

    Raises:
        ReadError: No JSON; says where it breaks.
    """
    size = regular(path)
    return _parsed(path, path.stat().st_mtime_ns, size)


@lru_cache(maxsize=8)
def _parsed(path: Path, changed: int, size: int) -> Any:
    return parse_json(text_of(path), path)


def listed(data: Mapping[str, Any], key: str, where: Path) -> list[Mapping[str, Any]]:
    """A list of mappings under a key.

    Raises:
        ReadError: It is something else.
    """
    found = data.get(key) or []
    if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
        raise ReadError(
            f"{key!r} is not a list of entries.", got=repr(found)[:80], where=where, hint="Export the file again."
        )
    return found


def whole(value: Any) -> int | None:
    """A positive whole number, or nothing."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number > 0 else None


def size_of(rows: Any, columns: Any) -> tuple[int, int] | None:
    """Rows and columns, if both are stated."""
    height, width = whole(rows), whole(columns)
    return (height, width) if height and width else None


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts names as people do: numbers by value.

    Example:
        >>> sorted(["tooth-11", "tooth-2", "atlas"], key=natural)
        ['atlas', 'tooth-2', 'tooth-11']
    """
    parts = re.findall(r"\d+|\D+", name.lower())
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
