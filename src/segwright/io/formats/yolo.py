"""Outlines of YOLO: a line an object, the number of its class and its corners as shares of width and height."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from segwright.core.errors import LabelError, ReadError
from segwright.core.geometry import Geometry
from segwright.core.parse import LARGEST_YAML, parse_yaml, text_of
from segwright.io.drawn import Drawn, Entry, Form, refuse_size

_LINE = re.compile(r"\d+(\s+-?\d*\.?\d+(e-?\d+)?){4,}\s*", re.IGNORECASE)
#: Lists of names beside the labels or above them, one a line in the order of the numbers.
_LISTS = ("classes.txt", "obj.names", "labels.txt", "classes.names")
_HEIGHT = 4


def known(path: Path) -> bool:
    """Whether a text file holds nothing but lines of a class and corners; an empty one only beside such files."""
    if path.suffix.lower() != ".txt" or not path.is_file() or path.stat().st_size > 1 << 26:
        return False
    if path.name.lower() in _LISTS:
        return False
    stat = path.stat()
    return _known(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1 << 16)
def _known(path: Path, changed: int, size: int) -> bool:
    lines = [line for line in _text(path).splitlines() if line.strip()]
    if lines:
        return all(_LINE.fullmatch(line.strip()) and _shares(line) for line in lines)
    beside = (other for other in sorted(path.parent.glob("*.txt")) if other.stat().st_size)
    other = next((other for other in beside if other.name.lower() not in _LISTS), None)
    return other is not None and known(other)


def _text(path: Path) -> str:
    try:
        return text_of(path)
    except ReadError:
        return "?"


def _shares(line: str) -> bool:
    """Whether all numbers behind the class are shares of a side, give or take what drawing beyond the border adds."""
    return all(-0.5 <= float(word) <= 1.5 for word in line.split()[1:])


def entries(path: Path) -> tuple[Entry, ...]:
    """The one image of the file, which has its name."""
    names = class_names(path)
    found = dict.fromkeys(_name(number, names) for number, _ in _objects(path))
    return (Entry(path.stem, None, None, tuple(found)),)


def read(path: Path, key: str | None, like: Geometry) -> Drawn:
    """Outlines of one image; those of a class are united.

    Raises:
        LabelError: An outline with an odd count of numbers.
    """
    refuse_size(None, like, path)
    names, drawn = class_names(path), Drawn(like.shape)
    size = (like.shape[2], like.shape[1])
    for line, (number, shares) in enumerate(_objects(path), start=1):
        name = _name(number, names)
        told = f"Line {line} ({name!r})"
        if len(shares) == 4:
            drawn.mask(name)
            drawn.repairs.append(f"{told} has a box and no outline; it is left out.")
        elif len(shares) % 2:
            raise LabelError(
                f"{told} has an odd count of numbers.",
                expected="a class number and pairs of x and y",
                got=f"{len(shares)} numbers behind the class",
                where=path,
                hint="Export the labels again.",
            )
        else:
            drawn.add_ring(name, np.array(shares).reshape(-1, 2) * size, told)
    return drawn


def _objects(path: Path) -> list[tuple[int, list[float]]]:
    lines = (line.split() for line in _text(path).splitlines() if line.strip())
    return [(int(words[0]), [float(word) for word in words[1:]]) for words in lines]


def _name(number: int, names: Mapping[int, str]) -> str:
    return names.get(number, f"class_{number}")


def class_names(path: Path) -> Mapping[int, str]:
    """Names by number, from the nearest list or `data.yaml` above the file; empty where there is none."""
    for folder in list(path.parents)[:_HEIGHT]:
        found = _names_in(folder)
        if found:
            return found
    return {}


@lru_cache(maxsize=256)
def _names_in(folder: Path) -> Mapping[int, str]:
    """Names that a folder lists: `names` of a YAML file, or a list with a name a line."""
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        try:
            data: Any = parse_yaml(text_of(path, largest=LARGEST_YAML), path)
        except ReadError:
            continue
        names = data.get("names") if isinstance(data, dict) else None
        if isinstance(names, list):
            return {number: str(name) for number, name in enumerate(names)}
        if isinstance(names, dict):
            return {int(number): str(name) for number, name in names.items() if str(number).isdigit()}
    for name in _LISTS:
        if (folder / name).is_file():
            lines = [line.strip() for line in _text(folder / name).splitlines()]
            return {number: line for number, line in enumerate(lines) if line}
    return {}


FORM: Final = Form("yolo", entries, read, known, paired=True, upright=True)
