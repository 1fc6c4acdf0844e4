"""One file for all cases: a table of run lengths, or a COCO document."""

from __future__ import annotations

import hashlib
import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segwright.core.case import LabelSource
from segwright.core.disk import atomic_path
from segwright.core.errors import UsageError
from segwright.core.labels import LabelSpace
from segwright.core.prediction import Prediction
from segwright.core.runs import Runs
from segwright.io.formats import coco
from segwright.io.protocol import encoding
from segwright.io.rle import KEYS, RLE, open_rle, writing_rle
from segwright.io.terms import terms_of
from segwright.io.writers.fit import image_name, planes_of


class _Joint(ABC):
    """A file that is written when all cases are known; cases of one image name would be mixed up and are refused.

    A resumable one keeps each case in a hidden folder beside it until then.
    """

    joint = True
    default = ""

    def __init__(self, place: Path, space: LabelSpace, names: Mapping[str, str]) -> None:
        self.path = place if place.suffix == Path(self.default).suffix else place / self.default
        self.space = space
        self.names = names
        self.seen: dict[str, str] = {}
        self.taken: dict[str, Any] = {}
        self.parts: Path | None = None
        self.found: dict[str, Any] | None = None

    def resumable(self, go_on: bool) -> None:
        """Keep what is added, so that a later writer can go on; without `go_on`, forget what an earlier one kept."""
        self.parts = self.path.with_name(f".{self.path.name}.parts")
        if not go_on:
            shutil.rmtree(self.parts, ignore_errors=True)

    def add(self, item: Prediction) -> tuple[LabelSource, ...]:
        """Keep a case until all are known."""
        name = image_name(item, self.names)
        content = self._content(item, name)
        self._take(item.case, name, content)
        if self.parts is not None:
            text, place = json.dumps({"name": name, "content": content}), self._part(name)
            with encoding(place, "a part of one file for all cases"), atomic_path(place, durable=False) as partial:
                partial.write_text(text, encoding="utf-8")
        return (LabelSource(path=self.path.name, key=name),)

    def kept(self, case: str) -> tuple[Path, ...]:
        """The file, if a case is in it or was meant for it before the earlier call ended."""
        name = self.names.get(case, case)
        content = self._kept_part(name)
        if content is None:
            if self.found is None:
                self.found = self._stored() if self.path.exists() else {}
            content = self.found.get(name)
        if content is None:
            return ()
        self._take(case, name, content)
        return (self.path,)

    def close(self) -> tuple[Path, ...]:
        """Write the file of all cases, in their order however they came."""
        order = {name: number for number, name in enumerate(self.names.values())}
        for name in sorted(self.taken, key=lambda name: order.get(name, len(order))):
            self._hold(name, self.taken[name])
        self._write()
        if self.parts is not None:
            shutil.rmtree(self.parts, ignore_errors=True)
        return (self.path,)

    def place(self, case: str) -> Path | None:
        """The file in which a case is kept until all are there."""
        part = self._part(self.names.get(case, case)) if self.parts is not None else None
        return part if part is not None and part.exists() else None

    def _part(self, name: str) -> Path:
        assert self.parts is not None
        return self.parts / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"

    def _kept_part(self, name: str) -> Any:
        """What an earlier call kept of a case, if that is whole and of the same structures."""
        try:
            told = json.loads(self._part(name).read_text(encoding="utf-8")) if self.parts else {}
        except (OSError, ValueError):
            return None
        return told.get("content") if told.get("name") == name and self._fits(told["content"]) else None

    def _take(self, case: str, name: str, content: Any) -> None:
        if name in self.seen:
            raise UsageError(
                f"Two images are called {name!r} in one file of labels.",
                got=f"cases {self.seen[name]!r} and {case!r}",
                hint="Give the images different names.",
            )
        self.seen[name] = case
        self.taken[name] = content

    @abstractmethod
    def _content(self, item: Prediction, name: str) -> Any:
        """A case as it can be kept as JSON."""

    @abstractmethod
    def _hold(self, name: str, content: Any) -> None:
        """Put a case's content with the others."""

    @abstractmethod
    def _fits(self, content: Any) -> bool:
        """Whether kept content is of the structures of this label space."""

    @abstractmethod
    def _stored(self) -> dict[str, Any]:
        """Contents of the file that an earlier call wrote, by name."""

    @abstractmethod
    def _write(self) -> None:
        """Write everything that was taken."""


class RunTable(_Joint):
    """`labels.csv`: a row an image and structure, empty where it is absent; runs along rows, starts from 1."""

    default = "labels.csv"
    columns: tuple[str, ...] = (*KEYS, RLE)

    def __init__(self, place: Path, space: LabelSpace, names: Mapping[str, str]) -> None:
        super().__init__(place, space, names)
        self.rows: list[tuple[tuple[str, str], str]] = []

    def _content(self, item: Prediction, name: str) -> dict[str, str]:
        masks = planes_of(item, "A run-length table")
        return {structure: Runs.of_mask(mask).text() for structure, mask in masks.items()}

    def _hold(self, name: str, content: Any) -> None:
        self.rows += [((name, structure), runs) for structure, runs in content.items()]

    def _fits(self, content: Any) -> bool:
        return list(content) == list(self.space.names)

    def _stored(self) -> dict[str, Any]:
        found: dict[str, dict[str, str]] = {}
        for row in open_rle(self.path, keys=self.columns[:2], rle=self.columns[2]).rows():
            found.setdefault(row.key[0], {})[row.key[1]] = row.text
        return {name: content for name, content in found.items() if self._fits(content)}

    def _write(self) -> None:
        with (
            encoding(self.path, "a table"),
            writing_rle(self.path, keys=self.columns[:2], rle=self.columns[2]) as table,
        ):
            for key, runs in self.rows:
                table.add(key, runs)

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
                got=",".join(names),
                hint="Name the columns of image, structure and run lengths, in this order.",
            )
        self.columns = names


class Coco(_Joint):
    """`annotations.json`: an object for each structure that an image shows."""

    default = "annotations.json"

    def __init__(self, place: Path, space: LabelSpace, names: Mapping[str, str]) -> None:
        super().__init__(place, space, names)
        self.images: list[dict[str, Any]] = []
        self.objects: list[dict[str, Any]] = []

    def _content(self, item: Prediction, name: str) -> dict[str, Any]:
        masks = planes_of(item, "COCO")
        shapes = {structure: coco.segmentation(mask) for structure, mask in masks.items() if mask.any()}
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
