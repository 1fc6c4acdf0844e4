"""Palettes of label files that contradict each other: one colour is another number from file to file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from segwright.core.errors import LabelError

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
