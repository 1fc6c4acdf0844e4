"""What the cases of a place are, as its layout or a person says, before anything is discovered in its data."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field

from segwright.core.case import Dataset
from segwright.core.document import Document
from segwright.core.errors import LayoutError, UsageError
from segwright.core.parse import LARGEST_YAML, parse_yaml, text_of
from segwright.core.words import amount
from segwright.io.layouts import LAYOUTS, Layout, fits
from segwright.io.layouts.inventory import seen
from segwright.io.layouts.judge import choose, opened, proposals
from segwright.io.layouts.names import role
from segwright.io.layouts.pairs import arranged
from segwright.io.layouts.scan import items, subfolders

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


class Reading(NamedTuple):
    """A place as its layout, or a person, says.

    Attributes:
        place: The folder that was read: below the one given, where that holds nothing but one folder.
        dataset: Its cases; `None` where no layout fits.
        stated: The lines of a short `dataset.yaml` that decide.
        whole: Whether a `dataset.yaml` lists every case, so that nothing is left to discover.
        guessed: Whether nobody said how it is arranged.
        explains: Share of the files that can be read which the cases use.
    """

    place: Path
    dataset: Dataset | None
    stated: Stated | None = None
    whole: bool = False
    guessed: bool = False
    explains: float = 1.0


def reading_of(place: Path, layout: str | None = None) -> Reading:
    """The cases of a folder, a table, a file of labels or a `dataset.yaml`.

    A YAML file is taken as it is, and so are the lines of a `dataset.yaml` in the folder that names no cases.

    Raises:
        LayoutError: The folder is not arranged as `layout`, or as a `dataset.yaml` says.
        UnknownNameError: No layout is called `layout`.
    """
    lines = place if place.suffix.lower() in {".yaml", ".yml"} and place.is_file() else place / Stated.filename
    if lines == place and not _is_short(lines):
        return Reading(place, _edited(lines), whole=True)
    if layout is not None or not (lines == place or (lines.is_file() and _is_short(lines))):
        return _read(place.resolve(), layout)
    stated = Stated.load(lines)
    root = _root_of(stated.root, lines)
    if stated.folders:
        return Reading(root, stated.on(stated.pairs(root)), stated)
    found = _read(root, stated.layout)
    return found._replace(dataset=stated.on(found.dataset) if found.dataset else None, stated=stated)


def _read(place: Path, layout: str | None) -> Reading:
    if layout is not None:
        return Reading(place, _as_told(place, layout))
    found = choose(proposals(place))
    children = subfolders(place) if found is None and place.is_dir() else []
    if len(children) != 1 or role(children[0].name) == "label":
        return Reading(place, found.dataset if found else None, guessed=True, explains=found.worth if found else 0.0)
    inner, beside = _read(children[0], None), items(place)
    if inner.dataset is None or not beside:
        return inner
    told = (
        f"{amount(len(beside), 'scan')} beside the folder {children[0].name} belong to no case: {beside[0].path.name}"
    )
    notes = (*inner.dataset.notes, f"{told}{', ...' if len(beside) > 1 else ''}.")
    return inner._replace(dataset=inner.dataset.model_copy(update={"notes": notes}))


def _as_told(place: Path, layout: str) -> Dataset:
    row: Layout = LAYOUTS.load(layout)
    if not fits(row, place):
        raise LayoutError(
            f"The folder is not arranged as {layout!r}.",
            expected=row.looks_like,
            got=seen(place),
            where=place,
            hint="Leave the layout out to have it recognised, or write a CSV table.",
        )
    return opened(row, place)


def _is_short(path: Path) -> bool:
    """Whether a `dataset.yaml` states a few things of a folder, and not every case."""
    data = parse_yaml(text_of(path, largest=LARGEST_YAML), path)
    return isinstance(data, dict) and "cases" not in data


def _edited(path: Path) -> Dataset:
    """An interpretation that a person may have edited; a relative root is meant from the file's folder."""
    dataset = Dataset.load(path)
    doubled = [name for name, count in Counter(case.id for case in dataset.cases).items() if count > 1]
    if doubled:
        raise UsageError(
            f"Two cases are called {doubled[0]!r}.",
            where=path,
            hint="Give every case an id of its own in dataset.yaml.",
        )
    return dataset.model_copy(update={"root": str(_root_of(dataset.root, path))})


def _root_of(root: str, path: Path) -> Path:
    full = Path(root) if Path(root).is_absolute() else (path.parent / root).resolve()
    if not full.is_dir():
        raise LayoutError("The dataset's root does not exist.", got=full, where=path, hint="Correct 'root'.")
    return full
