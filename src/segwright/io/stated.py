"""What a person states of a folder in a short `dataset.yaml`: lines that decide what could be read in two ways."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from segwright.core.case import Dataset
from segwright.core.document import Document
from segwright.core.errors import LayoutError
from segwright.io.layouts.pairs import arranged

#: Fields that are taken over as they are.
_TAKEN = ("channels", "modality", "voxel", "image_axes", "label_axes", "label_order", "label_flip", "label_values",
          "consensus")  # fmt: skip


class Stated(Document):
    """The lines of a `dataset.yaml` that names no cases; what is not stated is read from the folder.

    Attributes:
        root: Folder that is meant, relative to the file.
        layout: Layout to read it as.
        images: Folder of the images; several are channels, in this order.
        labels: Folder of the labels, or a folder for each structure.
        readers: Folders of drawings of one thing by several people; the first is learnt from.
        consensus: `majority` or `staple`: what all readers agree on is learnt from instead.
        channels: One name a channel.
        modality: `ct`, `mr`, `xray`, `em` or `other`.
        voxel: Voxel size `(z, y, x)` in mm of files that state none.
        image_axes: Axes of images stored as arrays that do not name them, e.g. `yxc`.
        label_axes: The same of labels.
        label_order: `position`, `file` or `number`: order of the planes of labels that have no place in the world.
        label_flip: Axes (of `z`, `y`, `x`) along which such labels run against their scans.
        label_values: `classes` or `objects`: what numbers in label files are, where both are possible.
    """

    filename: ClassVar[str] = Dataset.filename
    root: str = "."
    layout: str | None = None
    images: str | tuple[str, ...] = ()
    labels: str | dict[str, str] = Field(default_factory=dict)
    readers: tuple[str, ...] = ()
    consensus: Literal["", "majority", "staple"] = ""
    channels: tuple[str, ...] = ()
    modality: str = ""
    voxel: tuple[float | None, float | None, float | None] | None = None
    image_axes: str = ""
    label_axes: str = ""
    label_order: Literal["", "position", "file", "number"] = ""
    label_flip: str = Field(default="", pattern="^[zyx]*$")
    label_values: Literal["", "classes", "objects"] = ""

    @property
    def folders(self) -> bool:
        """Whether it says where images and labels lie."""
        return bool(self.images) and bool(self.labels or self.readers)

    def pairs(self, root: Path) -> Dataset:
        """Images and labels of the folders that are named.

        Raises:
            LayoutError: A folder does not exist, or their file names do not match.
        """
        images = [self.images] if isinstance(self.images, str) else list(self.images)
        labels = self.labels or {name: name for name in self.readers}
        named = {"": labels} if isinstance(labels, str) else labels
        for folder in (*images, *named.values()):
            if not (root / folder).is_dir():
                raise LayoutError(
                    "A folder that dataset.yaml names does not exist.",
                    got=folder,
                    where=root,
                    hint="Correct 'images' or 'labels' in dataset.yaml; paths are relative to 'root'.",
                )
        found = arranged(root, [root / name for name in images], {key: root / name for key, name in named.items()})
        if not any(case.label and case.images for case in found.cases):
            raise LayoutError(
                "No label fits an image.",
                expected=f"file names in {', '.join(named.values())} that match those in {images[0]}",
                got=f"{len(found.cases)} names that differ",
                where=root,
                hint="Correct 'images' and 'labels' in dataset.yaml, or list the cases in a CSV table.",
            )
        return found

    def on(self, dataset: Dataset) -> Dataset:
        """A drafted dataset with what is stated of all of it."""
        told = {name: value for name in _TAKEN if (value := getattr(self, name))}
        return dataset.model_copy(update=told)
