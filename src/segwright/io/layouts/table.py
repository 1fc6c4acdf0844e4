"""A CSV table with a row a case: `id`, `image` or `image_<channel>`, `label` or `label_<structure>`, `group`."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from segwright.core.case import Case, Dataset, LabelSource, Source
from segwright.core.errors import LayoutError, ReadError
from segwright.io.layouts.listing import draft, unique_ids
from segwright.io.layouts.names import safe_id
from segwright.io.layouts.scan import relative, stem_of, visible

Row = dict[str, str]


class Table:
    """A folder with a table of cases, or the table itself."""

    stated = True
    looks_like = "a CSV table with columns id, image (or image_<channel>), label (or label_<structure>), group"

    def matches(self, folder: Path) -> bool:
        """Whether this is, or holds, exactly one CSV file with an image column."""
        return _find(folder) is not None

    def open(self, folder: Path) -> Dataset:
        """Rows as cases; paths are relative to the table.

        Raises:
            LayoutError: The table lacks an image column, or has no rows.
        """
        path = _find(folder) or folder
        rows = _rows(path)
        columns = list(rows[0]) if rows else []
        images = [c for c in columns if c == "image" or c.startswith("image_")]
        labels = [c for c in columns if c == "label" or c.startswith("label_")]
        if not rows or not images:
            raise LayoutError(
                "The table lists no images.",
                expected="a header with id, image or image_<channel>, label or label_<structure>, group",
                came=", ".join(columns) or "an empty file",
                where=path,
                cure="Add a column 'image' with file names relative to the table.",
            )
        root = path.parent
        cases = unique_ids(_case(row, images, labels, root) for row in rows)
        channels = [c.partition("_")[2] for c in images] if len(images) > 1 else []
        rule = "column 'group' of the table" if any(row.get("group") for row in rows) else ""
        return draft(
            root, "table", cases, channels=channels, group_rule=rule, notes=[f"Cases as listed in {path.name}."]
        )


TABLE = Table()


def _find(place: Path) -> Path | None:
    """The table, if the place is or holds exactly one with an image column."""
    candidates = [place] if place.is_file() else [p for p in visible(place) if p.suffix.lower() == ".csv"]
    fitting = [p for p in candidates if p.suffix.lower() in {".csv", ".tsv"} and _has_images(p)]
    return fitting[0] if len(fitting) == 1 else None


def _has_images(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig") as stream:
            words = stream.readline().lower().replace(";", ",").replace("\t", ",").split(",")
    except (OSError, UnicodeDecodeError):
        return False
    names = [word.strip().strip('"') for word in words]
    folder = path.parent
    listed = any(name == "image" or name.startswith("image_") for name in names)
    return listed and (any(n == "label" or n.startswith("label_") for n in names) or _first_exists(path, folder))


def _first_exists(path: Path, folder: Path) -> bool:
    """Whether the first row's image is a file: guards against tables about images that list no paths."""
    rows = _rows(path)
    return bool(rows) and any((folder / v).exists() for k, v in rows[0].items() if k.startswith("image") and v)


def _rows(path: Path) -> list[Row]:
    """Rows with lower-case column names and stripped values; comma, semicolon or tab."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError("Cannot read the table.", came=str(error), where=path, cure="Save it as UTF-8 CSV.") from error
    head = text.partition("\n")[0]
    sign = max(",;\t", key=head.count)
    reader = csv.DictReader(text.splitlines(), delimiter=sign)
    return [{str(k).strip().lower(): (v or "").strip() for k, v in row.items() if k is not None} for row in reader]


def _case(row: Row, images: Sequence[str], labels: Sequence[str], root: Path) -> Case:
    sources = tuple(Source(path=_path(row[c], root)) for c in images if row[c])
    label = tuple(
        LabelSource(path=_path(row[c], root), structure=c.partition("_")[2] or None) for c in labels if row[c]
    )
    name = row.get("id") or (stem_of(Path(sources[0].path)) if sources else "case")
    return Case(id=safe_id(name), images=sources, label=label, group=safe_id(row["group"]) if row.get("group") else "")


def _path(text: str, root: Path) -> str:
    return relative(root / text, root)
