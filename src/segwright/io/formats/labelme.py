"""Polygons in one JSON file an image, as LabelMe writes them (`shapes`) and tools like it (`annotations`)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from segwright.core.case import LabelSource
from segwright.core.disk import atomic_path
from segwright.core.errors import LabelError, ReadError
from segwright.core.geometry import Geometry
from segwright.core.prediction import Prediction
from segwright.io.drawn import Drawn, Entry, Form, corners, json_object, json_of, listed, refuse_size, size_of
from segwright.io.image import decoded
from segwright.io.polygon import trace
from segwright.io.protocol import encoding
from segwright.io.writers import FileEach, path_to_image, planes_of

#: Corners of the polygon that stands for a circle.
_CIRCLE = 180
_AREAS = {"polygon", "poly_seg", "poly", "rectangle", "circle", "mask"}


def known(path: Path) -> bool:
    """Whether a file is JSON with shapes that have a label and points."""
    data = json_object(path)
    if data is None or "categories" in data:
        return False
    shapes = data.get("shapes", data.get("annotations"))
    if not isinstance(shapes, list):
        return False
    empty = not shapes and ("imagePath" in data or "filename" in data)
    return empty or (bool(shapes) and all(isinstance(s, Mapping) and "points" in s for s in shapes[:3]))


def entries(path: Path) -> tuple[Entry, ...]:
    """The one image of the file."""
    data = json_of(path)
    image = str(data.get("imagePath") or data.get("filename") or "").replace("\\", "/")
    names = dict.fromkeys(_label(shape, index, path) for index, shape in enumerate(_shapes(data, path)))
    return (Entry(image, None, _size(data), tuple(names)),)


def read(path: Path, key: str | None, like: Geometry) -> Drawn:
    """Each structure in a plane of its own, so that overlap survives; shapes of one label are united.

    Raises:
        LabelError: A shape without label, points that are no numbers, or an image of another size.
    """
    data = json_of(path)
    refuse_size(_size(data), like, path)
    drawn = Drawn(like.shape)
    for index, shape in enumerate(_shapes(data, path)):
        _add(drawn, shape, index, path)
    return drawn


def _shapes(data: Mapping[str, Any], path: Path) -> list[Mapping[str, Any]]:
    return listed(data, "shapes" if "shapes" in data else "annotations", path)


def _size(data: Mapping[str, Any]) -> tuple[int, int] | None:
    inner = data.get("metadata")
    meta = inner if isinstance(inner, Mapping) else {}
    return size_of(data.get("imageHeight", meta.get("height")), data.get("imageWidth", meta.get("width")))


def _label(shape: Mapping[str, Any], index: int, path: Path) -> str:
    label = str(shape.get("label") or "").strip()
    if not label:
        raise LabelError(
            f"Shape {index + 1} has no label.",
            expected="the name of a structure",
            got=repr(shape.get("label")),
            where=path,
            hint="Name the shape in the file, or delete it.",
        )
    return label


def _add(drawn: Drawn, shape: Mapping[str, Any], index: int, path: Path) -> None:
    """Draw one shape."""
    name = _label(shape, index, path)
    kind = str(shape.get("shape_type") or "polygon").lower()
    told = f"Shape {index + 1} ({name!r})"
    points = _points(shape, index, path)
    if kind == "mask" and shape.get("mask"):
        _paste(drawn, name, str(shape["mask"]), points, told, path)
    elif kind not in _AREAS:
        drawn.mask(name)
        drawn.repairs.append(f"{told} is a {kind}, which encloses nothing; it is left out.")
    elif kind == "rectangle" and len(points) == 2:
        (x0, y0), (x1, y1) = points
        drawn.add_ring(name, [(x0, y0), (x1, y0), (x1, y1), (x0, y1)], told)
    elif kind == "circle" and len(points) == 2:
        radius = float(np.hypot(*(points[1] - points[0])))
        angles = np.arange(_CIRCLE) * (2 * np.pi / _CIRCLE)
        drawn.add_ring(name, points[0] + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1), told)
    else:
        drawn.add_ring(name, points, told)


def _points(shape: Mapping[str, Any], index: int, path: Path) -> NDArray[np.float64]:
    """Corners `(N, 2)` as x and y, given as pairs or as mappings."""
    given = shape.get("points") or []
    told = f"Shape {index + 1} ({shape.get('label')!r})"
    return corners(
        lambda: [(p["x"], p["y"]) if isinstance(p, Mapping) else (p[0], p[1]) for p in given], told, path, seen=given
    )


def _paste(drawn: Drawn, name: str, text: str, points: NDArray[np.float64], told: str, path: Path) -> None:
    """A shape stored as a small picture whose upper left corner is the first point."""
    try:
        picture = decoded(base64.b64decode(text, validate=True))
    except (binascii.Error, ReadError, ValueError) as error:
        raise LabelError(
            f"The mask of {told} cannot be decoded.", got=str(error), where=path, hint="Draw the shape again."
        ) from error
    x, y = np.rint(points[0]).astype(int).tolist() if len(points) else (0, 0)
    rows, columns = drawn.shape[1:]
    inside = picture[max(0, -y) : max(0, rows - y), max(0, -x) : max(0, columns - x)] != 0
    if int(np.count_nonzero(picture)) > int(np.count_nonzero(inside)):
        drawn.repairs.append(f"{told} reaches out of the image; it is clipped.")
    y, x = max(0, y), max(0, x)
    drawn.mask(name)[0, y : y + inside.shape[0], x : x + inside.shape[1]] |= inside


def document(masks: Mapping[str, NDArray[Any]], image: str, size: Sequence[int]) -> dict[str, Any]:
    """A LabelMe document of masks `(rows, columns)`, each traced along pixel edges."""
    shapes = [
        {
            "label": name,
            "points": outline.points.tolist(),
            "group_id": None,
            "description": "",
            "shape_type": "polygon",
            "flags": {},
        }
        for name, mask in masks.items()
        for outline in trace(mask)
    ]
    head: dict[str, Any] = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": image, "imageData": None}
    return {**head, "imageHeight": int(size[0]), "imageWidth": int(size[1])}


def write(path: Path, masks: Mapping[str, NDArray[Any]], image: str, size: Sequence[int]) -> Path:
    """Store masks `(rows, columns)` of one image as polygons that read back as the same masks."""
    with atomic_path(path) as partial:
        text = json.dumps(document(masks, image, size), ensure_ascii=False)
        partial.write_text(text.replace('{"label"', '\n{"label"') + "\n", encoding="utf-8")
    return path


class LabelMeWriter(FileEach):
    """`<case>.json`: outlines along pixel edges, which read back as the same masks."""

    suffix = ".json"

    def add(self, item: Prediction) -> tuple[LabelSource, ...]:
        """Store a case."""
        masks = planes_of(item, "LabelMe")
        path = self.file(item.case)
        with encoding(path, "LabelMe polygons"):
            write(path, masks, path_to_image(item, self.folder, self.names), item.geometry.shape[1:])
        return (LabelSource(path=path.name),)


FORM: Final = Form("labelme", entries, read, known, upright=True)
