"""Tables that people keep beside their scans: any delimiter, any case of headers, paths from another system."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

from segwright.core.errors import ReadError
from segwright.core.parse import regular
from segwright.core.words import byte_size
from segwright.io.layouts.names import tokens
from segwright.io.layouts.scan import relative, stem_of, visible

Row = dict[str, str]
#: Words of a header that name what must not cross folds, and words that make a number one of these.
GROUP_WORDS = frozenset(
    """group patient patients subject person participant donor animal mouse specimen individual pid mrn patientid
    subjectid proband""".split()  # noqa: SIM905
)
#: A table of cases is one that names this share of them.
_NAMES_MOST = 0.8
_LARGEST = 50_000_000


def rows_of(path: Path) -> list[Row]:
    """Rows with lower-case column names and stripped values; comma, semicolon or tab; UTF-8 or what Windows writes.

    Raises:
        ReadError: The file is no text, too large, or a line of it cannot be split.
    """
    if regular(path) > _LARGEST:
        raise ReadError("The table is too large.", got=byte_size(path.stat().st_size), where=path, hint="Split it.")
    data = path.read_bytes()
    try:
        text = data.decode("utf-16") if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    if "\0" in text:
        raise ReadError("Cannot read the table.", got="no text", where=path, hint="Save it as UTF-8 CSV.")
    head = text.partition("\n")[0]
    sign = max(",;\t", key=head.count)
    reader = csv.DictReader(text.splitlines(), delimiter=sign)
    try:
        return [{str(k).strip().lower(): (v or "").strip() for k, v in row.items() if k is not None} for row in reader]
    except csv.Error as error:
        got = f"line {reader.line_num + 1}: {error}"
        raise ReadError("Cannot read the table.", got=got, where=path, hint="Correct the line.") from error


def tables_in(folder: Path) -> list[Path]:
    """CSV and TSV files of a folder."""
    found = [p for p in visible(folder) if p.suffix.lower() in {".csv", ".tsv"} and p.is_file()]
    return [p for p in found if p.stat().st_size <= _LARGEST]


def located(root: Path, text: str) -> Path:
    """The file that a path means, whatever system wrote it; `root / text` where there is none.

    Backslashes, other case of letters, other forms of accents, and folders of another machine in front do not matter.
    """
    plain = root / text
    if not text or plain.exists():
        return plain
    parts = [
        part for part in PureWindowsPath(text).parts if part not in {"\\", "/", "."} and not part.endswith((":", ":\\"))
    ]
    for start in range(len(parts)):
        found = _walked(root, parts[start:])
        if found is not None:
            return found
    return plain


def _walked(root: Path, parts: Sequence[str]) -> Path | None:
    """Down the folders by name, where names may differ in case and in the form of accents."""
    place = root
    for part in parts:
        if not (place / part).exists():
            wanted = _plain(part)
            entries = place.iterdir() if place.is_dir() else ()
            part = next((entry.name for entry in entries if _plain(entry.name) == wanted), "")
            if not part:
                return None
        place = place / part
    return place


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def group_column(rows: Sequence[Row]) -> str | None:
    """The column of patients (or what else must not cross folds), by its header."""
    columns = list(rows[0]) if rows else []
    return next((c for c in columns if set(tokens(c)) & GROUP_WORDS and any(row.get(c) for row in rows)), None)


def groups_in_tables(folder: Path, names: dict[str, str]) -> tuple[dict[str, str], str] | None:
    """Groups of cases as some table of a folder states them, with the rule in words; `None` where none does.

    Args:
        folder: Where tables lie.
        names: Case ids, each with the file name of its image.
    """
    for path in tables_in(folder):
        rows = rows_of(path)
        column = group_column(rows)
        if column is None:
            continue
        for key in rows[0]:
            table = {_bare(row[key]): row[column] for row in rows if row.get(key) and row.get(column)}
            found = {case: table.get(_plain(case), table.get(_bare(name), "")) for case, name in names.items()}
            known = {case: group for case, group in found.items() if group}
            if key != column and len(known) >= _NAMES_MOST * len(names) and len(set(known.values())) > 1:
                return known, f"column {column!r} of {path.name}"
    return None


def _bare(text: str) -> str:
    """A file name without folders and suffix, for comparing."""
    return _plain(stem_of(Path(PureWindowsPath(text).name)))


def source_path(text: str, root: Path) -> str:
    """A path of a list as a source relative to `root`."""
    return relative(located(root, text), root)
