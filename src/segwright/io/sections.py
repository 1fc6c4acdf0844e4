"""A folder of numbered section images as one volume."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from segwright.core.disk import atomic_path
from segwright.core.errors import ReadError
from segwright.core.geometry import Geometry
from segwright.core.volume import Index, Volume
from segwright.core.words import amount, size
from segwright.io import image, tiff
from segwright.io.formats import sniff
from segwright.io.protocol import Format, decoding, lazy, make_header, same_format


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """Sort key in which numbers count as numbers.

    Example:
        >>> sorted(["s10", "s9", "s2"], key=natural)
        ['s2', 's9', 's10']
    """
    parts = re.split(r"(\d+)", name.lower())
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)


def read(path: Path, key: str | None = None) -> Volume:
    """Stack the pictures of a folder along z in natural order; spacing along z is unknown."""
    with decoding(path, "a folder of sections"):
        kinds = {file: sniff(file) for file in path.iterdir() if file.is_file() and not file.name.startswith(".")}
        files = sorted((f for f, kind in kinds.items() if kind in {"image", "tiff"}), key=lambda f: natural(f.name))
        planes = [(tiff if kinds[file] == "tiff" else image).read(file) for file in files]
        if not planes:
            raise ReadError("The folder holds no section.", where=path, hint="Point to a folder of images.")
        _demand_equal(planes, files)
        warnings = _gaps(files)
        if len(files) < len(kinds):
            other = len(kinds) - len(files)
            warnings.append(f"{amount(other, 'file')} of the folder left out: not images.")
        warnings += [f"{files[0].name}: {text}" for text in planes[0].header["warnings"]]
        first = planes[0]
        shape = (first.data.shape[0], len(planes), *first.geometry.shape[1:])

        def part(index: Index) -> NDArray[Any]:
            inside = (index[0], slice(0, 1), index[2], index[3])
            chosen = planes[index[1]]
            empty = np.empty((shape[0], 0, *shape[2:]), first.dtype)[index[0], :, index[2], index[3]]
            return np.concatenate([plane.data[inside] for plane in chosen], axis=1) if chosen else empty

        _, y, x = first.geometry.spacing
        data = lazy(shape, first.dtype, part, path=path, family="a folder of sections")
        header = make_header("sections", path, files=tuple(file.name for file in files), warnings=warnings)
        return Volume(data, Geometry.from_spacing(shape[1:], (None, y, x)), first.channels, header)


def _demand_equal(planes: list[Volume], files: list[Path]) -> None:
    """All sections must be single planes of one shape and type; the odd one is named."""
    looks = [(plane.data.shape, str(plane.dtype)) for plane in planes]
    usual = max(set(looks), key=looks.count)
    for file, look in zip(files, looks, strict=True):
        if look != usual or look[0][1] != 1:
            raise ReadError(
                "A section differs from the others in the folder.",
                expected=_look((usual[0][0], 1, *usual[0][2:]), usual[1]),
                got=_look(*look),
                where=file,
                hint="Take it out, or give the images one by one if they are independent.",
            )


def _look(shape: tuple[int, ...], kind: str) -> str:
    """Size, channels and type of a section in words."""
    return f"{size(shape[1:])}, {amount(shape[0], 'channel')}, {kind}"


def _gaps(files: list[Path]) -> list[str]:
    """Missing numbers, if names differ in one number only."""
    numbers = [[int(part) for part in re.findall(r"\d+", file.stem)] for file in files]
    if len(files) < 3 or len({len(row) for row in numbers}) != 1 or not numbers[0]:
        return []
    table = np.array(numbers, dtype=object)
    columns = [i for i in range(table.shape[1]) if len(set(table[:, i])) > 1]
    if len(columns) != 1:
        return []
    steps = np.diff(np.array([int(n) for n in table[:, columns[0]]], dtype=np.float64))
    usual = float(np.median(steps))
    return [
        f"Section numbers jump from {files[i].name} to {files[i + 1].name}: sections may be missing there."
        for i in np.flatnonzero(steps > usual)
    ]


def write(path: Path, array: NDArray[Any], geometry: Geometry, like: Volume | None) -> None:
    """Store each plane as a PNG in a new folder, named like the source's sections."""
    names = same_format(like, "sections").get("files") or [f"{z:04d}" for z in range(array.shape[1])]
    with atomic_path(path) as partial:
        partial.mkdir()
        for z, name in enumerate(names):
            image.write(partial / f"{Path(name).stem}.png", array[:, z : z + 1], geometry, None)


FORMAT: Final = Format("sections", read, write, writes=("",))
