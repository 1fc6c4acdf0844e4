"""One file for all cases: a table of run lengths, or a COCO document."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segwright.core.atomic import atomic_path
from segwright.core.case import LabelSource
from segwright.core.errors import UsageError
from segwright.core.labels import LabelSpace
from segwright.core.prediction import Prediction
from segwright.core.runs import Runs
from segwright.io import coco
from segwright.io.protocol import encoding
from segwright.io.rle import KEYS, RLE, write_rle
from segwright.io.writers.fit import image_name, planes_of


class _Joint:
    """A file that is written when all cases are known; cases of one image name would be mixed up and are refused."""

    joint = True
    default = ""

    def __init__(self, place: Path, space: LabelSpace, names: Mapping[str, str]) -> None:
        self.path = place if place.suffix == Path(self.default).suffix else place / self.default
        self.space = space
        self.names = names
        self.seen: dict[str, str] = {}

    def name(self, item: Prediction) -> str:
        """The name of a case's image, which no other case may have."""
        name = image_name(item, self.names)
        if name in self.seen:
            raise UsageError(
                f"Two images are called {name!r} in one file of labels.",
                came=f"cases {self.seen[name]!r} and {item.case!r}",
                cure="Give the images different names.",
            )
        self.seen[name] = item.case
        return name

    def kept(self, case: str) -> tuple[Path, ...]:
        """Refused: a file for all cases cannot be continued."""
        raise UsageError(
            "One file for all cases cannot be continued.",
            came=self.default,
            cure="Leave out --resume, or write one file a case and convert them with 'segwright convert'.",
        )


class RunTable(_Joint):
    """`labels.csv`: a row an image and structure, empty where it is absent; runs along rows, starts from 1."""

    default = "labels.csv"
    columns: tuple[str, ...] = (*KEYS, RLE)

    def __init__(self, place: Path, space: LabelSpace, names: Mapping[str, str]) -> None:
        super().__init__(place, space, names)
        self.rows: list[tuple[tuple[str, str], Runs]] = []

    def add(self, item: Prediction) -> tuple[LabelSource, ...]:
        """Keep the runs of a case."""
        masks = planes_of(item, "A run-length table")
        name = self.name(item)
        self.rows += [((name, structure), Runs.of_mask(mask)) for structure, mask in masks.items()]
        return (LabelSource(path=self.path.name, key=name),)

    def close(self) -> tuple[Path, ...]:
        """Write the table."""
        with encoding(self.path, "a table"):
            write_rle(self.path, self.rows, keys=self.columns[:2], rle=self.columns[2])
        return (self.path,)

    def call(self, columns: Sequence[str]) -> None:
        """Name the columns of image, structure and run lengths.

        Raises:
            UsageError: Other than three different names.
        """
        names = tuple(name.strip() for name in columns)
        if len(names) != 3 or len(set(names)) != 3 or not all(names):
            raise UsageError(
                "A run-length table has three columns.",
                expected="names such as image_name,class,rle",
                came=",".join(names),
                cure="Name the columns of image, structure and run lengths, in this order.",
            )
        self.columns = names


class Coco(_Joint):
    """`annotations.json`: an object for each structure that an image shows."""

    default = "annotations.json"

    def __init__(self, place: Path, space: LabelSpace, names: Mapping[str, str]) -> None:
        super().__init__(place, space, names)
        self.images: list[dict[str, Any]] = []
        self.objects: list[dict[str, Any]] = []

    def add(self, item: Prediction) -> tuple[LabelSource, ...]:
        """Keep the outlines of a case."""
        masks = planes_of(item, "COCO")
        name = self.name(item)
        number = len(self.images) + 1
        height, width = item.geometry.shape[1:]
        self.images.append({"id": number, "file_name": name, "height": height, "width": width})
        for category, mask in enumerate(masks.values(), start=1):
            if mask.any():
                head = {"id": len(self.objects) + 1, "image_id": number, "category_id": category}
                self.objects.append({**head, **coco.segmentation(mask)})
        return (LabelSource(path=self.path.name, key=name),)

    def close(self) -> tuple[Path, ...]:
        """Write the document."""
        categories = [{"id": i, "name": name, "supercategory": ""} for i, name in enumerate(self.space.names, start=1)]
        document = {"info": {}, "licenses": [], "images": self.images, "categories": categories}
        document["annotations"] = self.objects
        with encoding(self.path, "COCO"), atomic_path(self.path) as partial:
            partial.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")
        return (self.path,)
