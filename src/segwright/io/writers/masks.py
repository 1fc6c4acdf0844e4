"""Masks and maps of values in the formats of scans, on the scan's own grid and with its header."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from segwright import io
from segwright.core.case import LabelSource
from segwright.core.labels import LabelSpace
from segwright.core.prediction import Prediction
from segwright.core.volume import Volume
from segwright.io.layouts.scan import stem_of, visible
from segwright.io.writers.fit import masks_of

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
