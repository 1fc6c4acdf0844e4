"""Labels in a table of run lengths, a row a structure and image (`image_name,class,rle`)."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from segwright.core.errors import LabelError, ReadError
from segwright.core.geometry import Geometry
from segwright.core.runs import Runs
from segwright.io.drawn import Drawn, Entry, Form, ReadDrawn, refuse_size
from segwright.io.formats.rle.counting import Counting
from segwright.io.formats.rle.table import RLE_NAMES, open_rle

#: Structure of a table that names images only.
ONLY = "foreground"

_IMAGE = {"image", "img", "file", "filename", "imagename", "imageid", "name", "id", "case", "scan"}
_CLASS = {"class", "classname", "label", "structure", "category", "organ", "bone", "tissue", "part"}


class _Row(NamedTuple):
    """Where a mask stands, for messages, and its run-length text."""

    where: str
    structure: str
    text: str


class _Masks(NamedTuple):
    """A whole table: rows by image, and sentences on what was repaired, by image."""

    rows: dict[str, list[_Row]]
    repairs: dict[str, list[str]]


def entries(path: Path) -> tuple[Entry, ...]:
    """Images in the table's order; rows without runs name a structure that the image does not show."""
    rows = _table(path).rows
    return tuple(Entry(image, image, None, tuple(row.structure for row in found)) for image, found in rows.items())


def texts(path: Path) -> dict[str, list[str]]:
    """Run-length texts of each image."""
    return {image: [row.text for row in rows] for image, rows in _table(path).rows.items()}


def read(path: Path, key: str | None, like: Geometry) -> Drawn:
    """The masks of one image, counted along rows from 1.

    Raises:
        LabelError: No such image, runs beyond it, or text that is no runs; names the row.
    """
    return _read(path, key, like, Counting())


def counted(words: str) -> ReadDrawn:
    """`read` for another way of counting."""
    way = Counting.parse(words)
    return lambda path, key, like: _read(path, key, like, way)


def _read(path: Path, key: str | None, like: Geometry, way: Counting) -> Drawn:
    refuse_size(None, like, path)
    table = _table(path)
    if key is None or key not in table.rows:
        raise LabelError(
            f"The table speaks of no image {key!r}.",
            expected=", ".join(list(table.rows)[:6]),
            where=path,
            hint="Correct 'key' in dataset.yaml: the image's name in the table.",
        )
    drawn = Drawn(like.shape, repairs=list(table.repairs.get(key, ())))
    for row in table.rows[key]:
        disorder = way.runs(row.text, where=row.where).disorder
        if disorder:
            drawn.repairs.append(f"{row.where}: {disorder}; they were put in order and merged")
        drawn.mask(row.structure)[0] |= way.mask(row.text, (like.shape[1], like.shape[2]), where=row.where)
        drawn.outlines[row.structure] += bool(row.text)
    return drawn


def known(path: Path) -> bool:
    """Whether a file is a CSV table with a column of run lengths, by its name or by what it holds."""
    if path.suffix.lower() not in {".csv", ".tsv"} or not path.is_file():
        return False
    try:
        columns_of(path)
    except (ReadError, OSError, UnicodeDecodeError):
        return False
    return True


def columns_of(path: Path) -> tuple[str, tuple[str, ...], str]:
    """The columns of image, structure and run lengths: by their usual names, else by what the first rows hold.

    Raises:
        ReadError: No column of run lengths, or none that names images.
    """
    header, rows = first_rows(path)
    rle = next((name for name in header if name.lower() in RLE_NAMES), None)
    rle = rle or next((name for name in header if _are_runs([row.get(name) or "" for row in rows])), None)
    rest = [name for name in header if name != rle]
    image = next((name for name in rest if _IMAGE & set(re.split(r"[^a-z]+", name.lower()))), rest[0] if rest else None)
    if rle is None or image is None:
        raise ReadError(
            "The table has no columns of images and run lengths.",
            expected="columns such as image_name, class, rle",
            got=", ".join(header) or "an empty file",
            where=path,
            hint="Name the columns 'image_name', 'class' and 'rle'.",
        )
    others = [name for name in rest if name != image]
    named = [name for name in others if _CLASS & set(re.split(r"[^a-z]+", name.lower()))]
    return image, tuple(named[:1] or others), rle


def first_rows(path: Path, count: int = 50) -> tuple[list[str], list[dict[str, str]]]:
    """Column names and the first rows of a CSV table.

    Raises:
        ReadError: It is no text.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = list(islice(stream, count + 1))
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError("Cannot read the table.", got=str(error), where=path, hint="Save it as UTF-8 CSV.") from error
    head = lines[0] if lines else ""
    csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))  # a mask may be a long text
    reader = csv.DictReader(lines, delimiter=max(",;\t", key=head.count))
    try:
        return [name.strip() for name in reader.fieldnames or ()], [
            {str(k).strip(): v for k, v in row.items() if isinstance(v, str)} for row in reader
        ]
    except csv.Error as error:
        raise ReadError("Cannot read the table.", got=str(error), where=path, hint="Save it as UTF-8 CSV.") from error


def _are_runs(cells: Sequence[str]) -> bool:
    """Whether cells hold pairs of numbers, at least one of them several."""
    filled = [cell.strip() for cell in cells if cell.strip() and cell.strip().lower() not in {"nan", "-1"}]
    pairs = all(re.fullmatch(r"\d+ \d+( \d+ \d+)*", cell) for cell in filled)
    return bool(filled) and pairs and any(cell.count(" ") >= 3 for cell in filled)


def _table(path: Path) -> _Masks:
    stat = path.stat()
    return _loaded(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2)
def _loaded(path: Path, changed: int, size: int) -> _Masks:
    """All rows; what is repaired in a row is kept with its image.

    Of a table that names no structures, several rows of an image are its objects.
    """
    image_column, class_columns, rle = columns_of(path)
    table = open_rle(path, keys=(image_column, *class_columns), rle=rle)
    masks = _Masks({}, {})
    told: list[str] = []
    for row in table.rows(repaired=told, several=not class_columns):
        image = row.key[0]
        Runs.parse(row.text, where=table.where(row), first=0)  # numbers that are none are told at once
        structure = " ".join(row.key[1:]) or ONLY
        masks.rows.setdefault(image, []).append(_Row(table.where(row), structure, row.text))
    for text in told:
        owner = next((image for image in masks.rows if f"({image}, " in text or f"({image})" in text), "")
        masks.repairs.setdefault(owner, []).append(text)
    return masks


FORM: Final = Form("rle", entries, read, known, counted=counted)
