"""Writes tables for spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from segwright.core.disk import atomic_path
from segwright.core.document import Part
from segwright.core.errors import UsageError
from segwright.core.report import Report


def to_csv(table: Report | Sequence[Part], path: str | Path) -> Path:
    """Write rows as CSV (UTF-8, comma, one header line); undefined values are empty cells.

    Args:
        table: A report, of which the scores are written, or rows of one kind: scores, aggregates, differences.
        path: Target; appears only when whole.
    """
    rows = list(table.scores if isinstance(table, Report) else table)
    if not rows:
        raise UsageError("There are no rows to write.", where=path)
    path = Path(path)
    with atomic_path(path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(type(rows[0]).model_fields))
        writer.writeheader()
        writer.writerows(row.model_dump() for row in rows)
    return path
