"""LabelMe polygons, to be corrected by hand and learnt from again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from segwright.core.case import LabelSource
from segwright.core.labels import LabelSpace
from segwright.core.prediction import Prediction
from segwright.io.formats import labelme
from segwright.io.protocol import encoding
from segwright.io.writers.fit import path_to_image, planes_of


class LabelMe:
    """`<case>.json`: outlines along pixel edges, which read back as the same masks."""

    joint = False

    def __init__(self, folder: Path, space: LabelSpace, names: Mapping[str, str]) -> None:
        self.folder = folder
        self.names = names

    def add(self, item: Prediction) -> tuple[LabelSource, ...]:
        """Store a case."""
        masks = planes_of(item, "LabelMe")
        path = self.folder / f"{item.case}.json"
        with encoding(path, "LabelMe polygons"):
            labelme.write(path, masks, path_to_image(item, self.folder, self.names), item.geometry.shape[1:])
        return (LabelSource(path=path.name),)

    def close(self) -> tuple[Path, ...]:
        """Nothing is shared."""
        return ()

    def kept(self, case: str) -> tuple[Path, ...]:
        """The case's file, if it is there."""
        path = self.folder / f"{case}.json"
        return (path,) if path.is_file() else ()
