"""Labels to files in the form a person asks for: one file a case, one a structure, or one for all cases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from segwright import io
from segwright.core.case import LabelSource
from segwright.core.errors import UsageError
from segwright.core.labels import LabelSpace
from segwright.core.prediction import Prediction
from segwright.core.registry import Registry


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


_HERE = "segwright.io.writers"

#: Forms of labels that can be written, beside suffixes of volumes such as `.nii.gz`. Each row is a class that takes
#: the folder (or, of a joint form, the file), the label space, and names of images by case.
WRITERS = Registry(
    "segwright.writers",
    {
        "png": f"{_HERE}.masks:Pictures",
        "structures": f"{_HERE}.masks:Structures",
        "npy": f"{_HERE}.arrays:Arrays",
        "npy-background": f"{_HERE}.arrays:ArraysWithBackground",
        "rle": f"{_HERE}.joint:RunTable",
        "labelme": f"{_HERE}.polygons:LabelMe",
        "coco": f"{_HERE}.joint:Coco",
        "dicomseg": f"{_HERE}.dicomseg:DicomSeg",
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
