"""Datasets in a few lines of text."""

from __future__ import annotations

from collections import Counter

from segwright.core.case import Dataset
from segwright.core.inspection import Inspection
from segwright.core.words import amount, sizes
from segwright.report.text import wrapped

#: Rows of files set aside that are shown.
_ROWS = 8


def describe_dataset(dataset: Dataset, inspection: Inspection) -> str:
    """Layout, cases, channels, structures, patients and how each was found."""
    labelled = len(dataset.labelled)
    groups = Counter(case.group for case in dataset.labelled)
    several = sum(count > 1 for count in groups.values())
    shapes = [fact.shape for fact in inspection.facts]
    rows = [
        ("layout", dataset.layout),
        ("cases", f"{labelled} labelled, {len(dataset.cases) - labelled} without label"),
        ("channels", f"{', '.join(dataset.channels)} ({dataset.modality_told})"),
        ("structures", _structures(dataset)),
        ("patients", f"{len(groups)}, {several} with several cases; {dataset.group_rule}"),
    ]
    if shapes:
        rows.append(("sizes", sizes(shapes)))
    rows += [("also", f"{made.topic}: {made.other}") for made in dataset.decisions if made.other]
    rows += [("note", note) for note in dataset.notes]
    rows += _aside(dataset)
    lines = [line for name, text in rows for line in wrapped(f"{name:<11} {text}", start=2, hang=14)]
    return "\n".join([str(dataset.root), *lines])


def _structures(dataset: Dataset) -> str:
    space = dataset.labels
    shown = [f"{s.name} ({'/'.join(map(str, s.values))})" if s.values else s.name for s in space.structures[:12]]
    more = f" and {len(space.structures) - 12} more" if len(space.structures) > 12 else ""
    nowhere = f"; {space.ignore} counts nowhere" if space.ignore is not None else ""
    return f"{len(space.structures)} {space.kind}: {', '.join(shown)}{more}{nowhere}"


def _aside(dataset: Dataset) -> list[tuple[str, str]]:
    """Files of no case, a row a folder and reason."""
    rows = [("set aside", f"{row.path}{_count(row.count)}: {row.reason}") for row in dataset.aside]
    more = len(rows) - _ROWS
    return [*rows[:_ROWS], *([("", f"and {more} more; dataset.yaml lists them")] if more > 0 else [])]


def _count(files: int) -> str:
    return f", {amount(files, 'file')}" if files > 1 else ""
