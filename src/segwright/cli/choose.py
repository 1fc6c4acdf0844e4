"""Asks which of several readings of a folder is meant, where a person sits at the terminal, and keeps the answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segwright.core.errors import ChoiceError


def answered(error: ChoiceError) -> dict[str, Any] | None:
    """The lines that a person chooses; `None` where nobody can be asked, nothing is chosen, or no file can keep it."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or _names_cases(_file(error.place)):
        return None
    from rich.console import Console
    from rich.prompt import Prompt

    console = Console(highlight=False, markup=False)
    console.print(error.what)
    for number, reading in enumerate(error.readings, 1):
        console.print(f"  {number}. {reading.what}")
        console.print("\n".join(f"       {line}" for line in reading.text.splitlines()), style="dim")
    numbers = [str(number) for number in range(1, len(error.readings) + 1)]
    text = f"Which is meant? The lines are kept in {_file(error.place)}; 0 changes nothing"
    chosen = Prompt.ask(text, console=console, choices=[*numbers, "0"], default="0")
    return error.readings[int(chosen) - 1].lines if chosen != "0" else None


def keep(place: Path, lines: dict[str, Any]) -> Path:
    """Write lines into the `dataset.yaml` of a folder, beside those that it has."""
    from segwright.core.errors import Reading
    from segwright.core.parse import parse_yaml

    path = _file(place)
    before = parse_yaml(path.read_text(encoding="utf-8-sig"), path) if path.is_file() else {}
    path.write_text(Reading("", {**(before or {}), **lines}).text, encoding="utf-8")
    return path


def _file(place: Path) -> Path:
    return place / "dataset.yaml"


def _names_cases(path: Path) -> bool:
    """Whether a whole interpretation is there, which is not written over."""
    return path.is_file() and "cases:" in path.read_text(encoding="utf-8-sig")
