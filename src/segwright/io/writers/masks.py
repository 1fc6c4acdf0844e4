"""Masks, maps of values and arrays of planes, one file a case or a structure; volumes on the grid of their scan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from segwright import io
from segwright.core.case import LabelSource
from segwright.core.disk import atomic_path
from segwright.core.labels import LabelSpace
from segwright.core.prediction import Prediction
from segwright.core.volume import Volume
from segwright.io.layouts.scan import stem_of, visible
from segwright.io.protocol import encoding
from segwright.io.writers import FileEach, masks_of, planes_of

_WHITE = frozenset({".png", ".bmp", ".tif", ".tiff"})


class Masks:
    """Exclusive structures as `<case><suffix>`, overlapping ones as `<structure>/<case><suffix>`.

    Args:
        folder: Where the files go.
        space: Meaning of the labels.
        names: Not used: files take the names of cases.
        suffix: Format; each scan's own by default.
        apart: A file a structure for exclusive structures too.
    """

    joint = False

    def __init__(
        self,
        folder: Path,
        space: LabelSpace,
        names: Mapping[str, str],
        *,
        suffix: str | None = None,
        apart: bool = False,
    ) -> None:
        self.folder = folder
        self.space = space
        self.suffix = suffix
        self.apart = apart or not space.exclusive

    def add(self, item: Prediction) -> tuple[LabelSource, ...]:
        """Store a case."""
        suffix = self._suffix(item.source)
        if not self.apart:
            path = self.folder / f"{item.case}{suffix}"
            io.write(Volume.of(item.space.to_values(item.labels), item.geometry), path, like=item.source)
            return (LabelSource(path=path.name),)
        white = 255 if suffix in _WHITE else 1  # pictures show a mask as white; volumes store 1
        sources = []
        for name, mask in masks_of(item).items():
            path = self.folder / folder_name(name) / f"{item.case}{suffix}"
            io.write(Volume.of(mask.astype("uint8") * white, item.geometry), path, like=item.source)
            sources.append(LabelSource(path=f"{folder_name(name)}/{path.name}", structure=name))
        return tuple(sources)

    def _suffix(self, source: Volume) -> str:
        return io.output_suffix(source) if self.suffix is None else self.suffix

    def close(self) -> tuple[Path, ...]:
        """Nothing is shared."""
        return ()

    def kept(self, case: str) -> tuple[Path, ...]:
        """Files there already, one a structure where structures lie apart."""
        places = [self.folder / folder_name(n) for n in self.space.names] if self.apart else [self.folder]
        found = [next((p for p in visible(d) if stem_of(p) == case and io.is_readable(p)), None) for d in places]
        return tuple(path for path in found if path) if all(found) else ()


class Pictures(Masks):
    """PNG: a map of values where structures exclude one another, else a folder of masks for each."""

    def __init__(self, folder: Path, space: LabelSpace, names: Mapping[str, str]) -> None:
        super().__init__(folder, space, names, suffix=".png")


class Structures(Masks):
    """A folder of masks for each structure: PNG for single planes, `.nii.gz` for volumes."""

    def __init__(self, folder: Path, space: LabelSpace, names: Mapping[str, str]) -> None:
        super().__init__(folder, space, names, apart=True)

    def _suffix(self, source: Volume) -> str:
        return ".png" if source.geometry.shape[0] == 1 else ".nii.gz"


def folder_name(structure: str) -> str:
    """A structure's name as a folder, without signs that paths give a meaning to.

    Example:
        >>> folder_name("lung/left"), folder_name("heart")
        ('lung_left', 'heart')
    """
    clean = "".join("_" if letter in '/\\:*?"<>|' else letter for letter in structure).strip(". ")
    return clean or "structure"


class Arrays(FileEach):
    """`<case>.npy`, uint8 of 0 and 1, structures in the order of the label space."""

    suffix = ".npy"
    background = False

    def add(self, item: Prediction) -> tuple[LabelSource, ...]:
        """Store a case."""
        masks = planes_of(item, "An array (H, W, C)")
        path = self.file(item.case)
        planes = np.stack(list(masks.values()), axis=-1).astype(np.uint8)
        if self.background:
            planes = np.concatenate([planes, 1 - planes.max(axis=-1, keepdims=True)], axis=-1)
        with encoding(path, "NumPy"), atomic_path(path) as partial, partial.open("wb") as stream:
            np.save(stream, planes, allow_pickle=False)
        return tuple(LabelSource(path=path.name, plane=i, structure=name) for i, name in enumerate(masks))


class ArraysWithBackground(Arrays):
    """The same with a last plane that is 1 where there is no structure."""

    background = True
