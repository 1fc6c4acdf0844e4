"""Outlines of the VGG Image Annotator (VIA 1 and 2): one JSON file with the regions of all images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import LabelError
from segwright.core.geometry import Geometry
from segwright.io.drawn import Drawn, Entry, Form, corners, json_object, json_of, refuse_size

#: Structure of regions without attributes.
UNNAMED = "foreground"
#: Attributes that are taken for the structure first, if there are several.
_USUAL = ("label", "class", "name", "type", "category", "structure", "object")
_ROUND = 180


def known(path: Path) -> bool:
    """Whether a file is JSON of images with `filename` and `regions`, alone or as a project."""
    data = json_object(path)
    if data is None:
        return False
    if "_via_img_metadata" in data:
        return True
    items = list(data.values())[:5]
    return bool(items) and all(isinstance(i, Mapping) and "filename" in i and "regions" in i for i in items)


def _images(path: Path) -> list[Mapping[str, Any]]:
    data = json_of(path)
    listed = data.get("_via_img_metadata", data)
    return [item for item in listed.values() if isinstance(item, Mapping) and "filename" in item]


def _regions(image: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = image.get("regions") or []
    found = list(found.values()) if isinstance(found, Mapping) else found
    return [region for region in found if isinstance(region, Mapping)]


def entries(path: Path) -> tuple[Entry, ...]:
    """Images in the file's order, by file name."""
    images = _images(path)
    key = attribute(images)
    return tuple(
        Entry(
            str(image["filename"]),
            str(image["filename"]),
            None,
            tuple(dict.fromkeys(_name(region, key) for region in _regions(image))),
        )
        for image in images
    )


def attribute(images: list[Mapping[str, Any]]) -> str | None:
    """The attribute of regions that names structures: a usual one, else the one that most regions have."""
    counts: Counter[str] = Counter()
    for image in images:
        for region in _regions(image):
            counts.update(key for key, value in (region.get("region_attributes") or {}).items() if value)
    usual = [key for word in _USUAL for key in counts if key.strip().lower() == word]
    return next(iter([*usual, *(key for key, _ in counts.most_common(1))]), None)


def _name(region: Mapping[str, Any], key: str | None) -> str:
    value = (region.get("region_attributes") or {}).get(key) if key else None
    if isinstance(value, Mapping):  # boxes that were ticked
        value = " ".join(str(name) for name, ticked in value.items() if ticked)
    return str(value or "").strip() or UNNAMED


def read(path: Path, key: str | None, like: Geometry) -> Drawn:
    """Regions of one image; those of a structure are united.

    Raises:
        LabelError: No such image, or corners that are no numbers.
    """
    images = _images(path)
    image = next((image for image in images if str(image["filename"]) == key), None)
    if image is None:
        raise LabelError(
            f"The file speaks of no image {key!r}.",
            expected=", ".join(str(image["filename"]) for image in images[:6]),
            where=path,
            hint="Correct 'key' in dataset.yaml: the image's filename.",
        )
    refuse_size(None, like, path)
    names, drawn = attribute(images), Drawn(like.shape)
    for index, region in enumerate(_regions(image)):
        name = _name(region, names)
        told = f"Region {index + 1} of {key} ({name!r})"
        shape = region.get("shape_attributes") or {}
        ring = _ring(shape, told, path)
        if ring is None:
            drawn.mask(name)
            drawn.repairs.append(f"{told} is a {shape.get('name')}, which encloses nothing; it is left out.")
        else:
            drawn.add_ring(name, ring, told)
    return drawn


def _ring(shape: Mapping[str, Any], told: str, path: Path) -> NDArray[np.float64] | None:
    """Corners of an area; `None` for points and lines."""
    if shape.get("name") not in {"polygon", "rect", "circle", "ellipse"}:
        return None
    return corners(lambda: _points(shape), told, path, expected="numbers for every corner", seen=shape)


def _points(shape: Mapping[str, Any]) -> NDArray[np.float64]:
    if shape["name"] == "polygon":
        return np.array([shape["all_points_x"], shape["all_points_y"]], dtype=np.float64).T
    if shape["name"] == "rect":
        x, y, w, h = (float(shape[side]) for side in ("x", "y", "width", "height"))
        return np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)])
    return _ellipse(shape)


def _ellipse(shape: Mapping[str, Any]) -> NDArray[np.float64]:
    across = float(shape["r"] if "r" in shape else shape["rx"])
    down = float(shape["r"] if "r" in shape else shape["ry"])
    turn, angles = float(shape.get("theta") or 0.0), np.arange(_ROUND) * (2 * np.pi / _ROUND)
    x, y = across * np.cos(angles), down * np.sin(angles)
    along, aside = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    return np.stack([along + float(shape["cx"]), aside + float(shape["cy"])], axis=1)


FORM: Final = Form("via", entries, read, known, paired=True, upright=True)
