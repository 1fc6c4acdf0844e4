"""Takes what label files and tables beside them say of their values: names, colours, codes, palettes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from segwright.core.case import Case, Dataset
from segwright.core.errors import LabelError, ReadError
from segwright.core.labels import LabelSpace, Structure
from segwright.core.parse import text_of
from segwright.io.labeltable import FILENAME, applied, is_table, read_table
from segwright.io.layouts.scan import visible
from segwright.io.layouts.spreadsheet import Row, rows_of

#: One row of a legend: value (none where only a colour is told), colour as a packed number (or none), name.
Entry = tuple[int | None, int | None, str]

_CVAT = re.compile(r"^\s*([^:#]+):(\d+),(\d+),(\d+):")
_ITKSNAP = re.compile(r'^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+[\d.]+\s+\d+\s+\d+\s+"(.*)"\s*$')
_SLICER = re.compile(r"^\s*(\d+)\s+(\S+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s*$")
_SUFFIXES = frozenset({".txt", ".label", ".lbl", ".ctbl", ".lut", ".csv", ".tsv"})
_LARGEST = 1_000_000
_GROUND = frozenset({"background", "clear label", "unknown", "none", "_background_", "void"})


def with_legend(dataset: Dataset) -> Dataset:
    """The dataset with names and colours of a legend for structures that nobody has named yet.

    A legend counts if it knows every value (or every colour) of the labels; it lies in the dataset's folder, or in a
    folder of labels.
    """
    space = dataset.labels
    if not space.structures or not all(_nameless(one) for one in space.structures):
        return dataset
    folders = {dataset.path(source).parent for case in dataset.labelled[:50] for source in case.label}
    for path in dict.fromkeys(p for folder in (Path(dataset.root), *sorted(folders)) for p in _files(folder)):
        named = _named(space, list(_entries(path)))
        if named is not None:
            note = f"Names of structures come from {path.name}."
            return dataset.model_copy(update={"labels": named, "notes": (*dataset.notes, note)})
    return dataset


def _nameless(structure: Structure) -> bool:
    return len(structure.values) == 1 and bool(re.fullmatch(r"(structure|colour)_[0-9A-F]+|foreground", structure.name))


def _files(folder: Path) -> list[Path]:
    found = [path for path in visible(folder) if path.suffix.lower() in _SUFFIXES and path.is_file()]
    return [path for path in found if path.stat().st_size <= _LARGEST]


def _entries(path: Path) -> Iterator[Entry]:
    """Rows of a legend, of whatever tool; nothing from files that are none."""
    try:
        if path.suffix.lower() in {".csv", ".tsv"}:
            yield from (entry for row in rows_of(path) if (entry := _of_row(row)) is not None)
            return
        lines = text_of(path).splitlines()
    except ReadError:
        return
    for line in lines:
        if hit := _CVAT.match(line):
            yield None, _packed(hit.groups()[1:4]), hit.group(1).strip()
        elif hit := _ITKSNAP.match(line):
            yield int(hit.group(1)), _packed(hit.groups()[1:4]), hit.group(5)
        elif hit := _SLICER.match(line):
            yield int(hit.group(1)), _packed(hit.groups()[2:5]), hit.group(2)


def _of_row(row: Row) -> Entry | None:
    """A row with a name and a value, or a name and the three parts of a colour."""
    name = next((row[key] for key in ("name", "label_name", "class", "structure", "label") if row.get(key)), "")
    value = next(
        (row[key] for key in ("value", "id", "index", "labelvalue", "label") if row.get(key, "").isdigit()), ""
    )
    colour = [row.get(key, "") for key in ("r", "g", "b")]
    packed = _packed(colour) if all(part.isdigit() and int(part) < 256 for part in colour) else None
    usable = name and not name.isdigit() and (value or packed is not None)
    return (int(value) if value else None, packed, name) if usable else None


def _packed(parts: Sequence[str]) -> int:
    red, green, blue = (int(part) for part in parts)
    return red << 16 | green << 8 | blue


def _named(space: LabelSpace, entries: list[Entry]) -> LabelSpace | None:
    """The space with the names of a legend; `None` unless it knows all values, or all colours."""
    rows = [entry for entry in entries if entry[2].lower() not in _GROUND]
    for column in (0, 1):
        table = {entry[column]: entry for entry in rows if entry[column] is not None}
        found = [table.get(structure.values[0]) for structure in space.structures]
        names = [entry[2] for entry in found if entry is not None]
        if len(names) == len(space.structures) and len(set(names)) == len(names):
            structures = [
                structure.model_copy(update={"name": entry[2], "colour": _shown(entry[1])})
                for structure, entry in zip(space.structures, found, strict=True)
                if entry is not None
            ]
            return space.model_copy(update={"structures": tuple(structures)})
    return None


def _shown(colour: int | None) -> str:
    return "" if colour is None else f"#{colour:06X}"


#: Numbers and their colour in one file.
Shown = Mapping[int, tuple[int, int, int]]


def shown(palette: Sequence[int], values: Iterable[int]) -> Shown:
    """The colours of some indices; none where a file paints two of them alike, so that colours mean nothing there.

    Example:
        >>> shown((0, 0, 0, 255, 0, 0), [1])
        {1: (255, 0, 0)}
    """
    found = {v: tuple(palette[3 * v : 3 * v + 3]) for v in values if 0 <= 3 * v <= len(palette) - 3}
    return found if len(set(found.values())) == len(found) else {}  # type: ignore[return-value]


def refuse_contradictions(files: Mapping[Path, Shown]) -> None:
    """Refuses indices that stand for other colours from file to file, where all files use the same few colours.

    Palettes that have nothing in common are paint, and say nothing.

    Raises:
        LabelError: With two files that contradict each other.
    """
    first: dict[tuple[int, int, int], tuple[int, Path]] = {}
    clash: tuple[tuple[int, int, int], int, Path] | None = None
    for path, colours in files.items():
        if first and not set(colours.values()) & set(first):
            return
        for value, colour in colours.items():
            known, _ = first.setdefault(colour, (value, path))
            clash = clash or (None if known == value else (colour, value, path))
    if clash is None:
        return
    colour, value, path = clash
    known, other = first[colour]
    raise LabelError(
        "The palettes of the label files contradict each other: one colour has several numbers.",
        expected="one number for each colour in all files",
        got=f"colour #{bytes(colour).hex().upper()} is value {known} in {other.name} and value {value} in {path.name}",
        where=path,
        hint="Save the labels in colour (RGB), where colours are read, or number them alike in all files.",
    )


def with_table(dataset: Dataset) -> Dataset:
    """The dataset with names, colours and codes of the label table in its folder, if there is one.

    Raises:
        LabelError: The table cannot be read.
    """
    path = Path(dataset.root) / FILENAME
    if not is_table(path):
        return dataset
    space, told = applied(dataset.labels, read_table(path))
    if not told:
        return dataset
    renamed = dict(zip(dataset.labels.names, space.names, strict=True))
    cases = tuple(_renamed(case, renamed) for case in dataset.cases)
    return dataset.model_copy(update={"cases": cases, "labels": space, "notes": (*dataset.notes, told)})


def _renamed(case: Case, names: Mapping[str, str]) -> Case:
    """The case with its label sources under the names of the table."""
    label = tuple(
        one.model_copy(update={"structure": names.get(one.structure, one.structure)}) if one.structure else one
        for one in case.label
    )
    return case.model_copy(update={"label": label})
