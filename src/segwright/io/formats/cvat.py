"""CVAT's XML for images (1.1): polygons, boxes, ellipses and masks of all images of a task."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from segwright.core.errors import LabelError, ReadError
from segwright.core.geometry import Geometry
from segwright.core.parse import parse_xml, text_of
from segwright.core.runs import Runs
from segwright.io.drawn import Drawn, Entry, Form, refuse_size, size_of, usable

_ROUND = 180
_LINES = frozenset({"polyline", "points", "cuboid", "skeleton", "tag"})
_SHAPES = frozenset({"polygon", "box", "ellipse", "mask"})


def known(path: Path) -> bool:
    """Whether a file is XML with `<annotations>` of images or tracks."""
    if path.suffix.lower() != ".xml" or not path.is_file():
        return False
    with path.open("rb") as stream:
        head = stream.read(1 << 12)
    return b"<annotations" in head


def _tree(path: Path) -> Element:
    stat = path.stat()
    return _parsed(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _parsed(path: Path, changed: int, size: int) -> Element:
    tree = parse_xml(text_of(path), path)
    if tree.find("track") is not None:
        raise ReadError(
            "The file holds tracks of a video.",
            expected="CVAT for images 1.1",
            got="CVAT for video",
            where=path,
            hint="Export the task from CVAT as 'CVAT for images 1.1' or 'COCO 1.0', with its frames.",
        )
    return tree


def entries(path: Path) -> tuple[Entry, ...]:
    """Images in the file's order, by name."""
    return tuple(
        Entry(
            image.get("name", ""),
            image.get("name", ""),
            size_of(image.get("height"), image.get("width")),
            tuple(dict.fromkeys(shape.get("label", "") for shape in image if shape.tag in _SHAPES | _LINES)),
        )
        for image in _tree(path).findall("image")
    )


def read(path: Path, key: str | None, like: Geometry) -> Drawn:
    """Shapes of one image; those of a label are united, in whatever order they lie on each other.

    Raises:
        LabelError: No such image, another size, or numbers that cannot be read.
    """
    images = {image.get("name", ""): image for image in _tree(path).findall("image")}
    if key not in images:
        raise LabelError(
            f"The file speaks of no image {key!r}.",
            expected=", ".join(list(images)[:6]),
            where=path,
            hint="Correct 'key' in dataset.yaml: the image's name.",
        )
    image = images[key]
    refuse_size(size_of(image.get("height"), image.get("width")), like, path)
    drawn = Drawn(like.shape)
    for index, shape in enumerate(image):
        name = shape.get("label", "")
        told = f"Shape {index + 1} of {key} ({name!r})"
        try:
            _add(drawn, shape, name, told)
        except (KeyError, ValueError, TypeError) as error:
            raise LabelError(
                f"{told} cannot be read.", got=str(error), where=path, hint="Export the file again."
            ) from error
    return drawn


def _add(drawn: Drawn, shape: Element, name: str, told: str) -> None:
    if shape.tag == "mask":
        _paste(drawn, shape, name, told)
    elif shape.tag in _SHAPES:
        ring = _ring(shape)
        if not usable(ring):
            raise ValueError("corners are no numbers")
        drawn.add_ring(name, ring, told)
    elif shape.tag in _LINES - {"tag"}:
        drawn.mask(name)
        drawn.repairs.append(f"{told} is a {shape.tag}, which encloses nothing; it is left out.")


def _ring(shape: Element) -> NDArray[np.float64]:
    told = shape.attrib
    if shape.tag == "polygon":
        return np.array([corner.split(",") for corner in told["points"].split(";")], dtype=np.float64)
    if shape.tag == "box":
        x0, y0, x1, y1 = (float(told[side]) for side in ("xtl", "ytl", "xbr", "ybr"))
        ring = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    else:
        x0, y0 = float(told["cx"]), float(told["cy"])
        angles = np.arange(_ROUND) * (2 * np.pi / _ROUND)
        ring = np.stack([x0 + float(told["rx"]) * np.cos(angles), y0 + float(told["ry"]) * np.sin(angles)], axis=1)
    turn = np.radians(float(told.get("rotation", 0.0)))
    centre = (ring.min(axis=0) + ring.max(axis=0)) / 2
    away = ring - centre
    along = away[:, 0] * np.cos(turn) - away[:, 1] * np.sin(turn)
    across = away[:, 0] * np.sin(turn) + away[:, 1] * np.cos(turn)
    return np.stack([along, across], axis=1) + centre


def _paste(drawn: Drawn, shape: Element, name: str, told: str) -> None:
    """A mask in its box: lengths of unset and set stretches in turn, along rows."""
    left, top, width, height = (int(float(shape.attrib[s])) for s in ("left", "top", "width", "height"))
    counts = np.array(shape.attrib["rle"].replace(",", " ").split(), dtype=np.int64)
    if (counts < 0).any() or counts.sum() != width * height:
        raise ValueError(f"run lengths of {int(counts.sum())} pixels for a box of {width} x {height}")
    ends = np.cumsum(counts)
    inside = Runs(ends[::2][: len(counts) // 2], counts[1::2]).mask((height, width))
    rows, columns = drawn.shape[1:]
    part = inside[max(0, -top) : max(0, rows - top), max(0, -left) : max(0, columns - left)]
    if int(inside.sum()) > int(part.sum()):
        drawn.repairs.append(f"{told} reaches out of the image; it is clipped.")
    y, x = max(0, top), max(0, left)
    drawn.mask(name)[0, y : y + part.shape[0], x : x + part.shape[1]] |= part


FORM: Final = Form("cvat", entries, read, known, paired=True, upright=True)
