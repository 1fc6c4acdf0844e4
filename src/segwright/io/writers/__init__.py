"""Labels to files in the form a person asks for; what a form cannot hold is refused with the form that can."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.core.case import Case, Dataset, LabelSource, Source
from segwright.core.disk import atomic_path
from segwright.core.errors import UsageError, WriteError
from segwright.core.labels import LabelSpace
from segwright.core.prediction import Prediction
from segwright.core.registry import Registry
from segwright.io.protocol import encoding


class Writer(Protocol):
    """Stores the labels of one case after the other.

    Attributes:
        joint: Whether all cases go into one file, which is there only after `close`.
    """

    joint: bool

    def add(self, item: Prediction) -> tuple[LabelSource, ...]:
        """Store a case; returns where its labels are, relative to the writer's folder.

        Raises:
            WriteError: The form cannot hold these labels; says which can.
        """
        ...

    def close(self) -> tuple[Path, ...]:
        """Write what all cases share; returns those files."""
        ...

    def kept(self, case: str) -> tuple[Path, ...]:
        """Files of a case that an earlier call has written completely."""
        ...


@runtime_checkable
class Resumable(Protocol):
    """A writer of one file for all cases, which can be told to keep each case until the file is there."""

    def resumable(self, go_on: bool) -> None:
        """Keep cases from now on, and those of an earlier writer if `go_on`."""
        ...

    def place(self, case: str) -> Path | None:
        """The file in which a case is kept until the one for all is there; `None` where there is none."""
        ...


def notes_of(writer: Writer) -> tuple[str, ...]:
    """What a person should know of what a writer assumed; most assume nothing."""
    return tuple(getattr(writer, "notes", ()))


class FileEach:
    """One file a case, named after it."""

    joint = False
    suffix = ""

    def __init__(self, folder: Path, space: LabelSpace, names: Mapping[str, str]) -> None:
        self.folder, self.space, self.names = folder, space, names

    def file(self, case: str) -> Path:
        """The file of a case."""
        return self.folder / f"{case}{self.suffix}"

    def close(self) -> tuple[Path, ...]:
        """Nothing is shared."""
        return ()

    def kept(self, case: str) -> tuple[Path, ...]:
        """The case's file, if it is there."""
        return (self.file(case),) if self.file(case).is_file() else ()


class Joint(ABC):
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


def masks_of(item: Prediction) -> dict[str, NDArray[np.bool_]]:
    """The mask `(z, y, x)` of each structure, in order.

    Raises:
        WriteError: Some voxels are marked to count nowhere, which masks cannot say.
    """
    ignored = int(np.count_nonzero(item.space.ignored(item.labels)))
    if ignored:
        raise WriteError(
            "This form of labels cannot mark voxels that count nowhere.",
            got=f"{ignored} such voxels in case {item.case!r}",
            hint="Write a map of values, which can: --to png or --to .nii.gz, for exclusive structures.",
        )
    return {name: item.space.mask(item.labels, index) for index, name in enumerate(item.space.names)}


def planes_of(item: Prediction, form: str) -> dict[str, NDArray[np.bool_]]:
    """The mask `(rows, columns)` of each structure of a single plane.

    Raises:
        WriteError: The case is a volume.
    """
    depth = item.geometry.shape[0]
    if depth != 1:
        raise WriteError(
            f"{form} holds labels of single planes.",
            got=f"case {item.case!r} has {depth} planes",
            hint="Write volumes as .nii.gz, .nrrd or dicomseg.",
        )
    return {name: mask[0] for name, mask in masks_of(item).items()}


def names_of(dataset: Dataset, cases: Sequence[Case]) -> dict[str, str]:
    """The name of each case's image in files that name images: its own, with folders where several share it."""
    paths = {case.id: (case.images or case.label)[0] for case in cases}
    keys = {name: source.key for name, source in paths.items() if not dataset.case(name).images and source.key}
    files = {name: keys.get(name) or Path(source.path).name for name, source in paths.items()}
    counts = Counter(files.values())
    return {name: file if counts[file] == 1 else _long(paths[name], name) for name, file in files.items()}


def _long(source: Source, case: str) -> str:
    return source.path if not Path(source.path).is_absolute() else case


def image_name(item: Prediction, names: Mapping[str, str]) -> str:
    """How the image of a case is called: as told, else as its file, else by the case."""
    path = str(item.source.header.get("path", ""))
    return names.get(item.case) or (Path(path).name if path else item.case)


def path_to_image(item: Prediction, folder: Path, names: Mapping[str, str]) -> str:
    """The image relative to a file in `folder`, as tools that open both expect it."""
    path = str(item.source.header.get("path", ""))
    if not path:
        return image_name(item, names)
    try:
        return Path(os.path.relpath(Path(path).resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return Path(path).as_posix()


_HERE = "segwright.io.writers"

#: Forms of labels that can be written, beside suffixes of volumes such as `.nii.gz`. Each row is a class that takes
#: the folder (or, of a joint form, the file), the label space, and names of images by case.
WRITERS = Registry(
    "segwright.writers",
    {
        "png": f"{_HERE}.masks:Pictures",
        "structures": f"{_HERE}.masks:Structures",
        "npy": f"{_HERE}.masks:Arrays",
        "npy-background": f"{_HERE}.masks:ArraysWithBackground",
        "rle": "segwright.io.formats.rle.table:RunTableWriter",
        "labelme": "segwright.io.formats.labelme:LabelMeWriter",
        "coco": "segwright.io.formats.coco:CocoWriter",
        "dicomseg": "segwright.io.formats.dicomseg.write:DicomSegWriter",
    },
)


def known_form(form: str | None) -> str | None:
    """A row of `WRITERS` or a suffix with its dot, however it was typed; `None` stays (each scan's own format).

    Raises:
        UsageError: Neither; lists all.

    Example:
        >>> known_form("COCO"), known_form("nii.gz"), known_form(None)
        ('coco', '.nii.gz', None)
    """
    if form is None:
        return None
    word = form.strip().lower()
    if word in WRITERS:
        return word
    suffix = f".{word.lstrip('.')}"
    if suffix not in io.label_suffixes():
        raise UsageError(
            "Labels cannot be written in this format.",
            expected=", ".join((*WRITERS, *io.label_suffixes())),
            got=form,
            hint="Use --format .nii.gz or png.",
        )
    return suffix


def open_writer(
    form: str | None,
    place: str | Path,
    space: LabelSpace,
    names: Mapping[str, str] | None = None,
    *,
    resume: bool | None = None,
) -> Writer:
    """A writer for a form.

    Args:
        form: From `known_form`.
        place: Folder; for a joint form also the file itself, if it has the form's suffix.
        space: Meaning of the labels.
        names: How each case's image is called in files that name images; by default as its file.
        resume: Whether cases of an earlier, interrupted call are asked for by `kept`; where that is said either way,
            a joint form keeps its cases in a hidden folder beside it until all are there.
    """
    if form is None or form not in WRITERS:
        from segwright.io.writers.masks import Masks

        return Masks(Path(place), space, names or {}, suffix=form)
    writer: Writer = WRITERS.load(form)(Path(place), space, names or {})
    if resume is not None and isinstance(writer, Resumable):
        writer.resumable(resume)
    return writer
