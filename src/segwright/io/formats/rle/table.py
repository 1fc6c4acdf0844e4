"""Reads and writes CSV tables with one mask a row as run-length text, such as `image_name,class,rle`."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from segwright.core.disk import atomic_path
from segwright.core.errors import LabelError, ReadError, UnknownNameError, UsageError
from segwright.core.labels import LabelSpace
from segwright.core.prediction import Prediction
from segwright.core.runs import Runs
from segwright.io.protocol import encoding
from segwright.io.writers import Joint, planes_of

Key = tuple[str, ...]

#: Columns of a table that names none of its own.
KEYS: Key = ("image_name", "class")
RLE = "rle"
#: Names (lower case) under which run-length columns are found.
RLE_NAMES = ("rle", "encodedpixels", "encoded_pixels", "rle_mask", "mask_rle", "segmentation", "predictionstring")

QUOTE = '"'
_SPECIAL = re.compile('[",\r\n]')

#: Pixels of the mask of a key, where known.
PixelsOf = Callable[[Key], int | None]


class RleRow(NamedTuple):
    """One row: the line it ends on, its key and its run-length text as written."""

    line: int
    key: Key
    text: str


@dataclass(frozen=True)
class RleTable:
    """A table of masks that is read row by row, as often as wanted.

    Attributes:
        path: The file.
        keys: Columns that together name a mask.
        rle: Column of run-length text.
        delimiter: Between cells.
    """

    path: Path
    keys: Key
    rle: str
    delimiter: str = ","

    def rows(self, *, repaired: list[str] | None = None, several: bool = False) -> Iterator[RleRow]:
        """Rows as written, one at a time.

        Args:
            repaired: Takes a sentence for each row that repeats another one exactly and is left out.
            several: A key may stand in several rows that differ, a row an object.

        Raises:
            LabelError: A key stands in two rows that differ, or a row lacks cells.
            ReadError: The file is no text.
        """
        seen: dict[Key, tuple[int, int]] = {}
        with _opened(self.path) as stream:
            lines = _cells(stream, self.delimiter)
            header = _header(lines, self.path)
            key_places = [header.index(name) for name in self.keys]
            rle_place = header.index(self.rle)
            needed = max(*key_places, rle_place) + 1
            for line, cells in lines:
                if len(cells) < needed:
                    if cells in ([], [""]):
                        continue
                    if len(cells) < needed - 1 or rle_place < needed - 1:
                        row = RleRow(line, tuple(cells[i].strip() for i in key_places if i < len(cells)), "")
                        raise self._fault(row, "A row has too few cells.", len(header), len(cells))
                    cells = [*cells, ""]
                row = RleRow(line, tuple([cells[i].strip() for i in key_places]), _tidy(cells[rle_place]))
                name = (*row.key, row.text) if several else row.key
                if self._new(row, name, seen, repaired):
                    yield row

    def runs(self, *, pixels: PixelsOf | None = None, repaired: list[str] | None = None) -> Iterator[tuple[Key, Runs]]:
        """Rows as normal runs, one at a time.

        Args:
            pixels: Size of the mask of a key, to refuse runs beyond it.
            repaired: Takes a sentence for each row whose runs overlapped or were not in order, or that came twice.

        Raises:
            LabelError: Text that cannot be runs, runs beyond the mask; names file and line.
        """
        for row in self.rows(repaired=repaired):
            where = self.where(row)
            runs = Runs.parse(row.text, where=where)
            size = pixels(row.key) if pixels else None
            if size is not None:
                runs.refuse_beyond(size, where=where)
            if runs.disorder and repaired is not None:
                repaired.append(f"{where}: {runs.disorder}; they were put in order and merged")
            yield row.key, runs.normal()

    def where(self, row: RleRow) -> str:
        """File, line and key of a row, for messages."""
        return f"{self.path}, line {row.line} ({', '.join(row.key)})"

    def _new(self, row: RleRow, name: Key, seen: dict[Key, tuple[int, int]], repaired: list[str] | None) -> bool:
        """Whether a name is a new one; a row that repeats one exactly is told."""
        mark = hash(row.text)
        line, known = seen.setdefault(name, (row.line, mark))
        if line == row.line:
            return True
        if known != mark:
            raise self._fault(row, "Two rows give different masks for the same key.", "one row a key", f"line {line}")
        if repaired is not None:
            repaired.append(f"{self.where(row)}: the row repeats line {line} and was left out")
        return False

    def _fault(self, row: RleRow, what: str, expected: object, got: object) -> LabelError:
        return LabelError(what, expected=expected, got=got, where=self.where(row), hint="Correct the table.")


def open_rle(path: str | Path, *, keys: Sequence[str] | None = None, rle: str | None = None) -> RleTable:
    """Find the columns of a table; reads its first line only.

    Args:
        path: CSV with a header; commas, semicolons or tabs.
        keys: Columns that name a mask; `image_name` and `class` where both are there, else all but the run-length one.
        rle: Column of run-length text; found by its usual names.

    Raises:
        ReadError: No text file, or no run-length column.
        UnknownNameError: A column that was named is not there.
    """
    path = Path(path)
    delimiter = _delimiter(path)
    with _opened(path) as stream:
        header = _header(_cells(stream, delimiter), path)
    for name in (*(keys or ()), *([rle] if rle else ())):
        if name not in header:
            raise UnknownNameError.among("column", name, header, where=str(path))
    rle = rle or next((name for name in header if name.lower() in RLE_NAMES), None)
    if rle is None:
        raise ReadError(
            "The table has no column of run-length text.",
            expected="a column 'rle' beside 'image_name' and 'class'",
            got=", ".join(header),
            where=path,
            hint="Name the column.",
        )
    rest = tuple(name for name in header if name != rle)
    usual = KEYS if set(KEYS) <= set(rest) else rest
    found = tuple(keys) if keys else usual
    if not found:
        raise ReadError("The table has no column that names its masks.", got=", ".join(header), where=path)
    return RleTable(path, found, rle, delimiter)


class RleWriter:
    """Rows into an open table; see `writing_rle`."""

    def __init__(self, stream: TextIO, columns: int) -> None:
        self._stream = stream
        self._columns = columns
        self.count = 0

    def add(self, key: Sequence[str], runs: Runs | str) -> None:
        """Write one mask, as runs or as their text."""
        if len(key) != self._columns:
            raise UsageError("A row needs one value a key column.", expected=self._columns, got=list(key))
        self._stream.write(_line([*key, runs if isinstance(runs, str) else runs.text()]))
        self.count += 1


def _line(cells: Sequence[str]) -> str:
    """Cells as a line of CSV; several times faster than a writer that looks at each digit on its own."""
    return ",".join(f'"{cell.replace(QUOTE, QUOTE * 2)}"' if _SPECIAL.search(cell) else cell for cell in cells) + "\n"


@contextmanager
def writing_rle(path: str | Path, *, keys: Sequence[str] = KEYS, rle: str = RLE) -> Iterator[RleWriter]:
    """A table to add rows to, which appears under its name only when the block ends well.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "masks.csv"
        >>> with writing_rle(path) as table:
        ...     table.add(("a.png", "radius"), Runs.parse("3 2"))
        >>> path.read_text().split()
        ['image_name,class,rle', 'a.png,radius,3', '2']
    """
    with atomic_path(path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        stream.write(_line([*keys, rle]))
        yield RleWriter(stream, len(keys))


def write_rle(
    path: str | Path, rows: Iterable[tuple[Sequence[str], Runs]], *, keys: Sequence[str] = KEYS, rle: str = RLE
) -> int:
    """Write rows of key and runs; returns how many."""
    with writing_rle(path, keys=keys, rle=rle) as table:
        for key, runs in rows:
            table.add(key, runs)
    return table.count


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """The text of a file; what cannot be read is told with the file."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            yield stream
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        said = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        raise ReadError(
            "Cannot read the table.",
            expected="CSV text (UTF-8) with a header",
            got=said,
            where=path,
            hint="Check the path, and save the table as UTF-8 CSV.",
        ) from error


def _cells(stream: TextIO, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row; plain lines are split at once, from the first quote on CSV rules hold."""
    for count, line in enumerate(stream, start=1):
        if QUOTE in line:
            csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))  # masks exceed the 128 kB it starts with
            reader = csv.reader(itertools.chain([line], stream), delimiter=delimiter)
            for cells in reader:
                yield count - 1 + reader.line_num, cells
            return
        yield count, line.rstrip("\r\n").split(delimiter)


def _tidy(text: str) -> str:
    """Run-length text with single spaces."""
    text = text.strip()
    return " ".join(text.split()) if "  " in text or "\t" in text else text


def _header(lines: Iterator[tuple[int, list[str]]], path: Path) -> list[str]:
    header = [name.strip() for name in next(lines, (0, []))[1]]
    if not any(header):
        raise ReadError("The table is empty.", expected="a header such as image_name,class,rle", where=path)
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise ReadError("Two columns have the same name.", got=twice, where=path, hint="Rename one of them.")
    return header


def _delimiter(path: Path) -> str:
    """The sign that the first line holds most of; run-length text holds none of them."""
    try:
        with path.open("rb") as stream:
            first = stream.readline(100_000)
    except OSError as error:
        raise ReadError(
            "Cannot read the table.", got=error.strerror or str(error), where=path, hint="Check the path."
        ) from error
    return max(",;\t", key=lambda sign: first.count(sign.encode()))


class RunTableWriter(Joint):
    """`labels.csv`: a row an image and structure, empty where it is absent; runs along rows, starts from 1."""

    default = "labels.csv"
    columns: tuple[str, ...] = (*KEYS, RLE)

    def __init__(self, place: Path, space: LabelSpace, names: Mapping[str, str]) -> None:
        super().__init__(place, space, names)
        self.rows: list[tuple[tuple[str, str], str]] = []

    def _content(self, item: Prediction, name: str) -> dict[str, str]:
        masks = planes_of(item, "A run-length table")
        return {structure: Runs.of_mask(mask).text() for structure, mask in masks.items()}

    def _hold(self, name: str, content: Any) -> None:
        self.rows += [((name, structure), runs) for structure, runs in content.items()]

    def _fits(self, content: Any) -> bool:
        return list(content) == list(self.space.names)

    def _stored(self) -> dict[str, Any]:
        found: dict[str, dict[str, str]] = {}
        for row in open_rle(self.path, keys=self.columns[:2], rle=self.columns[2]).rows():
            found.setdefault(row.key[0], {})[row.key[1]] = row.text
        return {name: content for name, content in found.items() if self._fits(content)}

    def _write(self) -> None:
        with (
            encoding(self.path, "a table"),
            writing_rle(self.path, keys=self.columns[:2], rle=self.columns[2]) as table,
        ):
            for key, runs in self.rows:
                table.add(key, runs)

    def call(self, columns: Sequence[str]) -> None:
        """Name the columns of image, structure and run lengths.

        Raises:
            UsageError: Other than three different names.
        """
        names = tuple(name.strip() for name in columns)
        if len(names) != 3 or len(set(names)) != 3 or not all(names):
            raise UsageError(
                "A run-length table has three columns.",
                expected="names such as image_name,class,rle",
                got=",".join(names),
                hint="Name the columns of image, structure and run lengths, in this order.",
            )
        self.columns = names
