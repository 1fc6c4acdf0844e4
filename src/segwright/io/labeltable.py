"""The label table `labels.csv`: value, name, colour and coded terms of each structure, in 3D Slicer's columns."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from segwright.core.disk import atomic_path
from segwright.core.errors import LabelError
from segwright.core.labels import Code, LabelSpace, Structure, Terms
from segwright.core.parse import text_of
from segwright.core.words import listed
from segwright.io.terms import terms_of

FILENAME = "labels.csv"
_LARGEST = 50_000_000
_PARTS = {"Category": "category", "Type": "type", "TypeModifier": "modifier"}
_CODE = ("CodingScheme", "CodeValue", "CodeMeaning")
COLUMNS = (
    "LabelValue", "Name", "Color_R", "Color_G", "Color_B", "Color_A",
    *(f"{part}_{one}" for part in _PARTS for one in _CODE), "Codes",
)  # fmt: skip


def write_table(space: LabelSpace, path: Path) -> Path:
    """Store what label values mean; the last column says of the codes whether they are stated, guessed or general."""
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(_row(space, index) for index in range(len(space.structures)))
    return path


def _row(space: LabelSpace, index: int) -> list[object]:
    structure = space.structures[index]
    terms, colour = terms_of(structure), space.colour(index)
    shade = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    told = [cell for code in (terms.category, terms.type, terms.modifier) for cell in (code or ("", "", ""))]
    value = structure.values[0] if structure.values else index + 1
    return [value, structure.name, *shade, 255, *told, terms.basis]


def is_table(path: Path) -> bool:
    """Whether a file is a label table, by its first line; tables of run lengths are called so as well."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            head = stream.readline(4096)
    except (OSError, UnicodeDecodeError):
        return False
    return head.startswith("LabelValue,Name")


def read_table(path: Path) -> dict[int, Structure]:
    """Structures by label value; codes that a table calls guessed or general are left to be guessed again.

    Raises:
        LabelError: A value or colour is no number, or a value comes twice.
    """
    found: dict[int, Structure] = {}
    reader = csv.DictReader(text_of(path, largest=_LARGEST).splitlines())
    for row in _rows(reader, path):
        line = reader.line_num
        try:
            value, structure = int(row["LabelValue"]), _structure(row)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _refused(path, line, f"{error}") from error
        if value in found:
            raise _refused(path, line, f"value {value} comes twice")
        if not 0 <= value < 1 << 31:
            raise _refused(path, line, f"value {value} is no label value")
        if value > 0:  # 0 is the background, which some programs list
            found[value] = structure
    return found


def _rows(reader: csv.DictReader[str], path: Path) -> Iterator[dict[str, str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise _refused(path, reader.line_num + 1, str(error)) from error


def _refused(path: Path, line: int, got: str) -> LabelError:
    return LabelError(
        "The label table cannot be read.",
        expected="LabelValue, Name, and Color_R, Color_G, Color_B from 0 to 255",
        got=got,
        where=f"{path}, line {line}",
        hint="Correct the line, or rename the file to leave it aside.",
    )


def _structure(row: Mapping[str, str]) -> Structure:
    shade = [int(row[f"Color_{one}"]) for one in "RGB"] if row.get("Color_R") else []
    if not all(0 <= one <= 255 for one in shade):
        raise ValueError(f"colour {shade}")
    stated = (row.get("Codes") or "stated") == "stated"
    codes = {field: str(_code(row, part) or "") for part, field in _PARTS.items()} if stated else {}
    colour = "#" + "".join(f"{one:02X}" for one in shade) if shade else ""
    return Structure(name=row["Name"].strip(), values=(int(row["LabelValue"]),), colour=colour, **codes)


def _code(row: Mapping[str, str], part: str) -> Code | None:
    """A code of a row; the scheme's column has two spellings."""
    scheme = row.get(f"{part}_CodingScheme") or row.get(f"{part}_CodingSchemeDesignator") or ""
    cells = [scheme, row.get(f"{part}_CodeValue") or "", row.get(f"{part}_CodeMeaning") or ""]
    return Code(*cells) if all(cells) else None


def applied(space: LabelSpace, table: Mapping[int, Structure]) -> tuple[LabelSpace, str]:
    """A label space with names, colours and codes of a table, by value or (of structures without values) by name.

    Returns:
        The space, and what was taken, in words; an empty text if nothing fits.
    """
    by_name = {structure.name.casefold(): structure for structure in table.values()}
    rows = [_match(one, table, by_name) for one in space.structures]
    names = [row.name if row else one.name for row, one in zip(rows, space.structures, strict=True)]
    if not any(rows) or len(set(names)) < len(names):
        return space, ""
    renamed = {one.name: name for one, name in zip(space.structures, names, strict=True)}
    structures = tuple(_filled(one, row) for one, row in zip(space.structures, rows, strict=True))
    regions = {region: tuple(renamed[part] for part in parts) for region, parts in space.regions.items()}
    taken = space.model_copy(update={"structures": structures, "regions": regions})
    filled = [name for name, row in zip(names, rows, strict=True) if row]
    return taken, f"Names, colours and codes of {listed(filled)} come from {FILENAME}."


def _match(one: Structure, table: Mapping[int, Structure], by_name: Mapping[str, Structure]) -> Structure | None:
    found = [table[value] for value in one.values if value in table]
    return found[0] if found else by_name.get(one.name.casefold()) if not one.values else None


def _filled(one: Structure, row: Structure | None) -> Structure:
    if row is None:
        return one
    told = {"name": row.name, "colour": row.colour or one.colour}
    return one.model_copy(update={**told, "category": row.category, "type": row.type, "modifier": row.modifier})


def told_codes(space: LabelSpace) -> Iterator[str]:
    """Sentences on terms that nobody stated, for people who hand results on."""
    known = [(one.name, terms_of(one)) for one in space.structures]
    guessed = [f"{name} = {_said(terms)}" for name, terms in known if terms.basis == "guessed"]
    general = [name for name, terms in known if terms.basis == "general"]
    hint = f"state them in {FILENAME} beside the training data"
    if guessed:
        yield f"DICOM terms guessed from names: {'; '.join(guessed)}. If one is wrong, {hint}."
    if general:
        yield f"No DICOM term is known for {listed(general)}, so the general term Tissue is used; to be exact, {hint}."


def _said(terms: Terms) -> str:
    modifier = f", {terms.modifier.meaning.lower()}" if terms.modifier else ""
    return f"{terms.type.meaning}{modifier} ({terms.type.scheme} {terms.type.value})"
