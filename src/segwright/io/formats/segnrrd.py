"""Segments of a Slicer segmentation (`.seg.nrrd`): names, values, layers and colours stand in its header.

Layers may overlap. The file may hold a part of the scan only; its own origin says where this part lies.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import GeometryError, LabelError
from segwright.core.geometry import Geometry
from segwright.core.labels import Structure
from segwright.io import itk
from segwright.io.drawn import Drawn, Entry, Form
from segwright.io.formats import suffix_of
from segwright.io.grids import has_place, onto_grid, within

#: A header may list hundreds of segments with their codes.
_LONGEST_HEADER = 1 << 24
_SUFFIXES = frozenset({".nrrd", ".nhdr", ".seg.nrrd", ".seg.nhdr"})


class Segment(NamedTuple):
    """One segment: its name, where its voxels are, and its colour (`#RRGGBB`, or empty)."""

    name: str
    layer: int
    value: int
    colour: str


def known(path: Path) -> bool:
    """Whether a file is an NRRD whose header lists segments."""
    return suffix_of(path) in _SUFFIXES and path.is_file() and bool(segments(path))


def segments(path: Path) -> tuple[Segment, ...]:
    """Segments in the header's order; empty where it lists none."""
    stat = path.stat()
    return _segments(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1024)
def _segments(path: Path, changed: int, size: int) -> tuple[Segment, ...]:
    told: dict[int, dict[str, str]] = {}
    for line in _header(path).splitlines():
        found = re.match(r"Segment(\d+)_(\w+)\s*:=\s*(.*)", line)
        if found:
            told.setdefault(int(found[1]), {})[found[2]] = found[3].strip()
    raw = [
        _segment(number, told[number]) for number in sorted(told) if {"ID", "Name", "LabelValue"} & set(told[number])
    ]
    counts = Counter(segment.name for segment in raw)
    return tuple(
        segment._replace(name=f"{segment.name} {index + 1}") if counts[segment.name] > 1 else segment
        for index, segment in enumerate(raw)
    )


def _segment(number: int, told: Mapping[str, str]) -> Segment:
    def whole(key: str, default: int) -> int:
        text = told.get(key, "")
        return int(text) if re.fullmatch(r"-?\d+", text) else default

    parts = re.findall(r"[0-9.eE+-]+", told.get("Color", ""))
    shares = [min(max(round(float(part) * 255), 0), 255) for part in parts[:3]] if len(parts) >= 3 else []
    colour = "#" + "".join(f"{share:02X}" for share in shares) if shares else ""
    name = told.get("Name") or told.get("ID") or f"segment_{number + 1}"
    return Segment(name, whole("Layer", 0), whole("LabelValue", 1), colour)


def _header(path: Path) -> str:
    """The text in front of the voxels."""
    text = b""
    with path.open("rb") as stream:
        if stream.read(4) != b"NRRD":
            return ""
        while len(text) < _LONGEST_HEADER and (more := stream.read(1 << 16)):
            text += more
            end = re.search(rb"\r?\n\r?\n", text)
            if end:
                text = text[: end.start()]
                break
    return text.decode("utf-8", errors="replace")


def entries(path: Path) -> tuple[Entry, ...]:
    """The one scan that a file belongs to, by the file's own name."""
    name = path.name[: -len(suffix_of(path))]
    return (Entry(name, None, None, tuple(segment.name for segment in segments(path))),)


def structures(path: Path) -> dict[str, Structure]:
    """Value and colour of each segment."""
    return {s.name: Structure(name=s.name, values=(s.value,), colour=s.colour) for s in segments(path)}


def grid(path: Path) -> Geometry:
    """The grid of the file itself."""
    return itk.read(path).geometry


def read(path: Path, key: str | None, like: Geometry) -> Drawn:
    """Each segment in a plane of its own, on the grid of its scan.

    Raises:
        LabelError: A segment lies in a layer that the file lacks, or voxels have a value that is no segment's.
        GeometryError: The file's voxels do not coincide with the scan's.
    """
    volume = itk.read(path)
    layers = volume.array()
    _refuse_two_places(path, volume.geometry, like)
    drawn = Drawn(like.shape)
    found = segments(path)
    for segment in found:
        if not 0 <= segment.layer < len(layers):
            raise LabelError(
                f"Segment {segment.name!r} lies in a layer that the file does not have.",
                expected=f"0 to {len(layers) - 1}",
                got=segment.layer,
                where=path,
                hint="Save the segmentation again.",
            )
        mask = layers[segment.layer] == segment.value
        drawn.mask(segment.name)[...] = _laid(mask, volume.geometry, like, drawn.repairs, segment.name, path)
    for layer, values in enumerate(layers):
        _refuse_strangers(values, {0, *(s.value for s in found if s.layer == layer)}, path)
    return drawn


def _refuse_strangers(values: NDArray[Any], known_values: set[int], path: Path) -> None:
    strangers = sorted(set(np.unique(values).tolist()) - known_values)
    if strangers:
        raise LabelError(
            f"Value {strangers[0]:g} of the segmentation is no segment's.",
            expected=", ".join(map(str, sorted(known_values))),
            where=path,
            hint="Save the segmentation again, or name the segment in its header.",
        )


def _refuse_two_places(path: Path, place: Geometry, like: Geometry) -> None:
    """Refuse a part of the scan whose origin and stated offset name two places that are both possible."""
    found = re.search(r"ReferenceImageExtentOffset\s*:=\s*(\d+)\s+(\d+)\s+(\d+)", _header(path))
    fit = within(place, like) if has_place(place) and has_place(like) else None
    if not found or fit is None or fit[0] != (0, 1, 2) or fit[1]:
        return
    offset = np.array([int(found[3]), int(found[2]), int(found[1])])
    if offset.any() and (offset != fit[2]).any() and (offset + place.shape <= like.shape).all():
        raise GeometryError(
            "The header says in two ways where in its scan the segmentation begins, and they differ.",
            expected=f"voxel {tuple(offset.tolist())} (z, y, x), by ReferenceImageExtentOffset",
            got=f"voxel {tuple(fit[2].tolist())}, by the origin",
            where=path,
            hint="Give the scan that it was drawn on, or save it in 3D Slicer as a label map on the scan's grid.",
        )


def _laid(
    mask: NDArray[np.bool_], place: Geometry, like: Geometry, repairs: list[str], name: str, path: Path
) -> NDArray[np.bool_]:
    """A mask on the scan's grid, of which the file may hold a part."""
    fit = within(place, like) if has_place(place) and has_place(like) else None
    if fit is None:
        return onto_grid(mask, place, like, where=str(path))
    order, flips, start = fit
    turned = np.flip(mask.transpose(order), flips)
    stop = start + turned.shape
    low, high = np.maximum(start, 0), np.minimum(stop, like.shape)
    out = np.zeros(like.shape, dtype=bool)
    if (low >= high).any():
        raise GeometryError(
            "The segmentation lies beside the image.",
            expected=f"a part of {like.shape} (z, y, x)",
            got=f"voxels {tuple(start.tolist())} to {tuple(stop.tolist())}",
            where=path,
            hint="Give the scan that the segmentation was drawn on.",
        )
    inside = turned[tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))]
    out[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = inside
    lost = int(np.count_nonzero(turned)) - int(np.count_nonzero(inside))
    if lost:
        repairs.append(f"{lost} voxels of segment {name!r} lie outside the image; they are left out.")
    return out


FORM: Final = Form("segnrrd", entries, read, known, paired=True, structures=structures, grid=grid)
