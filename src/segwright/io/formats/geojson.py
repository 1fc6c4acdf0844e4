"""QuPath's GeoJSON: areas with holes in pixels, whose classification names the structure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import LabelError, ReadError
from segwright.core.geometry import Geometry
from segwright.io.drawn import Drawn, Entry, Form, corners, json_of, refuse_size

#: Structure of areas without a classification.
UNNAMED = "unclassified"


def known(path: Path) -> bool:
    """Whether a file is JSON that holds GeoJSON features."""
    if path.suffix.lower() not in {".geojson", ".json"} or not path.is_file():
        return False
    try:
        data = json_of(path)
    except ReadError:
        return False
    if isinstance(data, Mapping) and data.get("type") == "FeatureCollection":
        return isinstance(data.get("features"), list)
    found = _features(data)
    return bool(found) and all("geometry" in feature for feature in found[:3])


def _features(data: Any) -> list[Mapping[str, Any]]:
    """Features of a collection, a list, or a single one."""
    if isinstance(data, Mapping):
        data = data.get("features") if data.get("type") == "FeatureCollection" else [data]
    found = data if isinstance(data, list) else []
    return [item for item in found if isinstance(item, Mapping) and item.get("type") == "Feature"]


def entries(path: Path) -> tuple[Entry, ...]:
    """The one image of the file, which has its name."""
    return (Entry(path.stem, None, None, tuple(dict.fromkeys(_name(f) for f in _features(json_of(path))))),)


def _name(feature: Mapping[str, Any]) -> str:
    """The classification (`Tumor: Positive` for a class derived from another), else the feature's own name."""
    properties = feature.get("properties") or {}
    kind = properties.get("classification")
    if isinstance(kind, Mapping):
        parts = kind.get("names")
        kind = kind.get("name") or (": ".join(map(str, parts)) if isinstance(parts, list) else None)
    return str(kind or properties.get("name") or UNNAMED).strip()


def read(path: Path, key: str | None, like: Geometry) -> Drawn:
    """Areas of one image; those of a class are united, each with its holes.

    Raises:
        LabelError: Corners that are no numbers, or degrees on a map.
    """
    refuse_size(None, like, path)
    data = json_of(path)
    if isinstance(data, Mapping) and "crs" in data:
        raise LabelError("The outlines are in degrees of a map, not in pixels.", where=path, hint="Export pixels.")
    drawn = Drawn(like.shape)
    for index, feature in enumerate(_features(data)):
        name = _name(feature)
        told = f"Feature {index + 1} ({name!r})"
        shape = feature.get("geometry") or {}
        areas = _areas(shape)
        if areas is None:
            drawn.mask(name)
            drawn.repairs.append(f"{told} is a {shape.get('type')}, which encloses nothing; it is left out.")
        for area in areas or ():
            drawn.add_area(name, [_ring(ring, told, path) for ring in area], told)
    return drawn


def _areas(shape: Mapping[str, Any]) -> list[Any] | None:
    """Lists of rings, the outer one first; `None` for what is no area."""
    kind, corners = shape.get("type"), shape.get("coordinates") or []
    if kind == "Polygon":
        return [corners]
    if kind == "MultiPolygon":
        return list(corners)
    if kind == "GeometryCollection":
        inner = [_areas(part) for part in shape.get("geometries") or []]
        return [area for areas in inner for area in areas or ()]
    return None


def _ring(ring: Any, told: str, path: Path) -> NDArray[np.float64]:
    """A ring without the last corner, which repeats the first."""
    points = corners(lambda: [corner[:2] for corner in ring], told, path, seen=ring)
    return points[:-1] if len(points) > 1 and (points[0] == points[-1]).all() else points


FORM: Final = Form("geojson", entries, read, known, paired=True)
