"""NumPy arrays with one plane a structure, `(H, W, C)`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from segwright.core.case import LabelSource
from segwright.core.disk import atomic_path
from segwright.core.labels import LabelSpace
from segwright.core.prediction import Prediction
from segwright.io.protocol import encoding
from segwright.io.writers.fit import planes_of


class Arrays:
    """`<case>.npy`, uint8 of 0 and 1, structures in the order of the label space."""

    joint = False
    background = False

    def __init__(self, folder: Path, space: LabelSpace, names: Mapping[str, str]) -> None:
        self.folder = folder

    def add(self, item: Prediction) -> tuple[LabelSource, ...]:
        """Store a case."""
        masks = planes_of(item, "An array (H, W, C)")
        path = self.folder / f"{item.case}.npy"
        planes = np.stack(list(masks.values()), axis=-1).astype(np.uint8)
        if self.background:
            planes = np.concatenate([planes, 1 - planes.max(axis=-1, keepdims=True)], axis=-1)
        with encoding(path, "NumPy"), atomic_path(path) as partial, partial.open("wb") as stream:
            np.save(stream, planes, allow_pickle=False)
        return tuple(LabelSource(path=path.name, plane=i, structure=name) for i, name in enumerate(masks))

    def close(self) -> tuple[Path, ...]:
        """Nothing is shared."""
        return ()

    def kept(self, case: str) -> tuple[Path, ...]:
        """The case's array, if it is there."""
        path = self.folder / f"{case}.npy"
        return (path,) if path.is_file() else ()


class ArraysWithBackground(Arrays):
    """The same with a last plane that is 1 where there is no structure."""

    background = True
