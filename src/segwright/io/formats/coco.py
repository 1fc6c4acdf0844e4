"""COCO: one JSON file for a folder of images, with outlines as polygons or column-wise run lengths."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from segwright.core.disk import atomic_path
from segwright.core.errors import LabelError
from segwright.core.geometry import Geometry
from segwright.core.labels import LabelSpace
from segwright.core.prediction import Prediction
from segwright.core.runs import Runs
from segwright.io.drawn import Drawn, Entry, Form, corners, json_object, json_of, listed, refuse_size, size_of
from segwright.io.polygon import trace
from segwright.io.protocol import encoding
from segwright.io.terms import terms_of
from segwright.io.writers import Joint, planes_of

_CURE = "Export the file again."


def known(path: Path) -> bool:
    """Whether a file is JSON with images, annotations and categories."""
    data = json_object(path)
    return data is not None and all(isinstance(data.get(k), list) for k in ("images", "categories"))


def entries(path: Path) -> tuple[Entry, ...]:
    """Images in the file's order; the key is the file name, or the id where names repeat.

    Raises:
        LabelError: An annotation of an image or category that is not listed.
    """
    data = json_of(path)
    images = listed(data, "images", path)
    doubled = {name for name, count in Counter(str(i.get("file_name")) for i in images).items() if count > 1}
    names = _names_by_image(data, path)
    return tuple(
        Entry(
            str(image.get("file_name") or ""),
            str(image.get("id")) if str(image.get("file_name")) in doubled else str(image.get("file_name")),
            size_of(image.get("height"), image.get("width")),
            tuple(names.get(str(image.get("id")), ())),
        )
        for image in images
    )


def _names_by_image(data: Mapping[str, Any], path: Path) -> dict[str, dict[str, None]]:
    """Structures of each image by its id."""
    categories = _categories(data, path)
    images = {str(image.get("id")) for image in listed(data, "images", path)}
    found: dict[str, dict[str, None]] = {}
    for annotation in listed(data, "annotations", path):
        image = str(annotation.get("image_id"))
        if image not in images:
            raise _unlisted(annotation, "an image", "image_id", f"one of the {len(images)} ids under 'images'", path)
        found.setdefault(image, {})[_category(annotation, categories, path)] = None
    return found


def _categories(data: Mapping[str, Any], path: Path) -> dict[str, str]:
    return {str(c.get("id")): str(c.get("name") or c.get("id")).strip() for c in listed(data, "categories", path)}


def _category(annotation: Mapping[str, Any], categories: Mapping[str, str], path: Path) -> str:
    number = str(annotation.get("category_id"))
    if number not in categories:
        listing = f"one of the ids under 'categories': {', '.join(list(categories)[:20])}"
        raise _unlisted(annotation, "a class", "category_id", listing, path)
    return categories[number]


def _unlisted(annotation: Mapping[str, Any], what: str, field: str, expected: str, path: Path) -> LabelError:
    """The refusal of an annotation that names an image or class which the file does not list."""
    return LabelError(
        f"Annotation {annotation.get('id')} belongs to {what} that is not listed.",
        expected=expected,
        got=f"{field} {annotation.get(field)}",
        where=path,
        hint=_CURE,
    )


def read(path: Path, key: str | None, like: Geometry) -> Drawn:
    """The objects of one image; those of one class are united, those of several may overlap.

    Raises:
        LabelError: No such image, another size, or a segmentation that cannot be decoded.
    """
    data = json_of(path)
    image = _image(listed(data, "images", path), key, path)
    refuse_size(size_of(image.get("height"), image.get("width")), like, path)
    categories = _categories(data, path)
    drawn = Drawn(like.shape)
    for annotation in listed(data, "annotations", path):
        if str(annotation.get("image_id")) == str(image.get("id")):
            _add(drawn, annotation, _category(annotation, categories, path), path)
    return drawn


def _image(images: Sequence[Mapping[str, Any]], key: str | None, path: Path) -> Mapping[str, Any]:
    if key is None and len(images) == 1:
        return images[0]
    for field in ("file_name", "id"):
        for image in images:
            if str(image.get(field)) == key:
                return image
    raise LabelError(
        f"The file speaks of no image {key!r}.",
        expected=", ".join(str(image.get("file_name")) for image in images[:6]),
        where=path,
        hint="Correct 'key' in dataset.yaml: the image's file_name or id.",
    )


def _add(drawn: Drawn, annotation: Mapping[str, Any], name: str, path: Path) -> None:
    """Draw one object."""
    told = f"Object {annotation.get('id')} ({name!r})"
    shape = annotation.get("segmentation")
    if isinstance(shape, Mapping):
        drawn.mask(name)[0] |= _decode(shape, drawn.shape[1:], told, path)
    elif shape and isinstance(shape, list):
        rings = shape if isinstance(shape[0], list) else [shape]
        for ring in rings:
            drawn.add_ring(
                name, corners(partial(list, ring), told, path, expected="[x, y, x, y, ...]", seen=ring), told
            )
    else:
        drawn.mask(name)
        drawn.repairs.append(f"{told} has a box and no outline; it is left out.")
    if annotation.get("iscrowd"):
        drawn.repairs.append(f"{told} is marked as a crowd; its area counts like any other.")


def _decode(shape: Mapping[str, Any], size: tuple[int, int], told: str, path: Path) -> NDArray[np.bool_]:
    """A mask from counts of unset and set pixels in turn, going down the columns."""
    counts = shape.get("counts")
    try:
        stated = tuple(int(n) for n in shape["size"])
        lengths = decompressed(counts) if isinstance(counts, str) else np.array(counts, dtype=np.int64)
    except (TypeError, ValueError, KeyError, IndexError, OverflowError) as error:
        raise LabelError(f"Run lengths of {told} cannot be decoded.", got=str(error), where=path, hint=_CURE) from None
    pixels = size[0] * size[1]
    within = lengths.ndim == 1 and bool(((lengths >= 0) & (lengths <= pixels)).all()) and len(lengths) <= 2 * pixels + 2
    good = within and stated == size and lengths.sum() == pixels
    if not good:
        raise LabelError(
            f"Run lengths of {told} do not fit the image.",
            expected=f"size {list(size)}, {size[0] * size[1]} pixels",
            got=f"size {list(stated)}, {int(lengths.sum())} pixels",
            where=path,
            hint=_CURE,
        )
    ends = np.cumsum(lengths)
    starts = ends[::2][: len(lengths) // 2]
    return Runs(starts, lengths[1::2]).mask((size[1], size[0])).T


def decompressed(text: str) -> NDArray[np.int64]:
    """Counts from COCO's text: six bits a letter, five of them digits, from the third on as a difference to two before.

    Example:
        >>> decompressed("61X13mN000`0").tolist()[:3]
        [6, 1, 40]
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64:
            raise ValueError(f"{letter!r} is no letter of the code")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        value -= (1 << shift) if code & 16 else 0
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the text ends in the middle of a number")
    return np.array(counts, dtype=np.int64)


def segmentation(mask: NDArray[Any]) -> dict[str, Any]:
    """Outline, box and area of a mask `(rows, columns)` as COCO has them; run lengths where the mask has holes."""
    outlines = trace(mask)
    rows, columns = np.nonzero(mask)
    x, y = int(columns.min()), int(rows.min())
    box = [x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1]
    shape: Any = [outline.points.reshape(-1).tolist() for outline in outlines]
    if any(outline.bridged for outline in outlines):
        shape = {"size": list(mask.shape), "counts": _counts(mask)}
    return {"segmentation": shape, "bbox": box, "area": len(rows), "iscrowd": 0}


def _counts(mask: NDArray[Any]) -> list[int]:
    """Lengths of unset and set stretches in turn, down the columns."""
    runs = Runs.of_mask(np.asarray(mask).T)
    edges = np.stack([runs.starts, runs.ends], axis=1).reshape(-1)
    return [int(n) for n in np.diff(np.concatenate([[0], edges, [np.asarray(mask).size]]))]


class CocoWriter(Joint):
    """`annotations.json`: an object for each structure that an image shows."""

    default = "annotations.json"

    def __init__(self, place: Path, space: LabelSpace, names: Mapping[str, str]) -> None:
        super().__init__(place, space, names)
        self.images: list[dict[str, Any]] = []
        self.objects: list[dict[str, Any]] = []

    def _content(self, item: Prediction, name: str) -> dict[str, Any]:
        masks = planes_of(item, "COCO")
        shapes = {structure: segmentation(mask) for structure, mask in masks.items() if mask.any()}
        return {"size": list(item.geometry.shape[1:]), "shapes": shapes}

    def _hold(self, name: str, content: Any) -> None:
        number = len(self.images) + 1
        height, width = content["size"]
        self.images.append({"id": number, "file_name": name, "height": height, "width": width})
        for category, structure in enumerate(self.space.names, start=1):
            if structure in content["shapes"]:
                head = {"id": len(self.objects) + 1, "image_id": number, "category_id": category}
                self.objects.append({**head, **content["shapes"][structure]})

    def _fits(self, content: Any) -> bool:
        return set(content["shapes"]) <= set(self.space.names)

    def _stored(self) -> dict[str, Any]:
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            if [category["name"] for category in data["categories"]] != list(self.space.names):
                return {}
            sizes = {image["id"]: [image["height"], image["width"]] for image in data["images"]}
            contents: dict[Any, dict[str, Any]] = {i: {"size": size, "shapes": {}} for i, size in sizes.items()}
            for one in data["annotations"]:
                shape = {key: one[key] for key in one if key not in {"id", "image_id", "category_id"}}
                contents[one["image_id"]]["shapes"][self.space.names[one["category_id"] - 1]] = shape
            return {image["file_name"]: contents[image["id"]] for image in data["images"]}
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            return {}  # not of this program: written anew

    def _write(self) -> None:
        categories = [
            {"id": number, "name": one.name, "supercategory": terms_of(one).category.meaning}
            for number, one in enumerate(self.space.structures, start=1)
        ]
        document = {"info": {}, "licenses": [], "images": self.images, "categories": categories}
        document["annotations"] = self.objects
        with encoding(self.path, "COCO"), atomic_path(self.path) as partial:
            partial.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")


FORM: Final = Form("coco", entries, read, known, upright=True)
