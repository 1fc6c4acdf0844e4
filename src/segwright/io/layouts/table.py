"""A CSV table with a row a case: files of images and labels, and the group that must not cross folds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segwright.core.case import Case, Dataset, LabelSource, Source
from segwright.core.errors import LayoutError, ReadError
from segwright.io.layouts.content import is_label, sample
from segwright.io.layouts.listing import draft, unique_ids
from segwright.io.layouts.names import role, safe_id
from segwright.io.layouts.scan import stem_of
from segwright.io.layouts.spreadsheet import Row, group_column, located, rows_of, source_path, tables_in

#: A column lists files if this share of its values are paths that exist.
_EXIST = 0.5
#: What follows `image_` or `label_` without naming a channel or structure.
_NO_NAMES = frozenset({"path", "file", "filename", "name", "url"})


class Table:
    """A folder with a table of cases, or the table itself."""

    stated = True
    looks_like = "a CSV table with columns id, image (or image_<channel>), label (or label_<structure>), group"

    def matches(self, folder: Path) -> bool:
        """Whether this is, or holds, exactly one CSV file that lists images."""
        return _find(folder) is not None

    def open(self, folder: Path) -> Dataset:
        """Rows as cases; paths are relative to the table.

        Raises:
            LayoutError: The table lacks an image column, or has no rows.
        """
        path = _find(folder) or folder
        rows = rows_of(path)
        images, labels = _columns(rows, path.parent)
        if not rows or not images:
            raise LayoutError(
                "The table lists no images.",
                expected="a header with id, image or image_<channel>, label or label_<structure>, group",
                got=", ".join(rows[0]) if rows else "an empty file",
                where=path,
                hint="Add a column 'image' with file names relative to the table.",
            )
        group = group_column(rows)
        cases = unique_ids(_case(row, images, labels, group, path.parent) for row in rows)
        told = (
            f"Cases as listed in {path.name}: images in {', '.join(images)}; labels in {', '.join(labels) or 'none'}."
        )
        return draft(
            path.parent,
            "table",
            cases,
            channels=[_after(c) for c in images] if len(images) > 1 else [],
            group_rule=f"column {group!r} of the table" if group else "",
            notes=[told],
        )


TABLE = Table()


def _find(place: Path) -> Path | None:
    """The table, if the place is or holds exactly one that lists images."""
    candidates = [place] if place.is_file() and place.suffix.lower() in {".csv", ".tsv"} else tables_in(place)
    fitting = [path for path in candidates if _lists_images(path)]
    return fitting[0] if len(fitting) == 1 else None


def _lists_images(path: Path) -> bool:
    """Whether a table has a column of images, and labels or files that exist: tables about images list no paths."""
    try:
        rows = rows_of(path)
        images, labels = _columns(rows, path.parent)
    except (ReadError, OSError):
        return False
    return bool(images) and (bool(labels) or any(located(path.parent, rows[0][c]).exists() for c in images))


def _columns(rows: Sequence[Row], root: Path) -> tuple[list[str], list[str]]:
    """Columns of images and of labels: by the headers we ask for, else columns of files, by name or content."""
    columns = [c for c in rows[0] if not c.endswith("_id")] if rows else []
    images = [c for c in columns if c == "image" or c.startswith("image_")]
    labels = [c for c in columns if c == "label" or c.startswith("label_")]
    if images and labels:
        return images, labels
    listed = [c for c in columns if _are_files([row.get(c, "") for row in rows], root)]
    labels = labels or [c for c in listed if c not in images and _is_label_column(c, rows, root)]
    return images or [c for c in listed if c not in labels], labels


def _are_files(values: Sequence[str], root: Path) -> bool:
    some = [value for value in sample(values, 12) if value]
    return bool(some) and sum(located(root, value).exists() for value in some) >= _EXIST * len(some)


def _is_label_column(column: str, rows: Sequence[Row], root: Path) -> bool:
    told = role(column)
    if told is not None:
        return told == "label"
    some = [row[column] for row in sample(rows) if row.get(column)]
    return sum(is_label(located(root, value)) is True for value in some) * 2 > len(some)


def _case(row: Row, images: Sequence[str], labels: Sequence[str], group: str | None, root: Path) -> Case:
    sources = tuple(Source(path=source_path(row[c], root)) for c in images if row[c])
    several = len(labels) > 1 or any(_after(c) != c for c in labels)
    label = tuple(
        LabelSource(path=source_path(row[c], root), structure=_after(c) if several else None) for c in labels if row[c]
    )
    name = row.get("id") or (stem_of(Path(sources[0].path)) if sources else "case")
    told = row.get(group, "") if group else ""
    return Case(id=safe_id(name), images=sources, label=label, group=safe_id(told) if told else "")


def _after(column: str) -> str:
    """`t1` of `image_t1`; other headers as they are."""
    head, _, tail = column.partition("_")
    return tail if head in {"image", "label"} and tail and tail not in _NO_NAMES else column
