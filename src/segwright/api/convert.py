"""Turns labels of any form into any other, case by case, and lists what was repaired on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from segwright.api.lock import locked
from segwright.api.results import Results
from segwright.core.case import Case, Dataset, LabelSource
from segwright.core.disk import is_full, told_when_full
from segwright.core.document import Document
from segwright.core.errors import DataError, LayoutError, SegwrightError, UsageError
from segwright.core.events import Listen, Note, Stage, silent, tracked
from segwright.core.identity import Made
from segwright.core.labels import LabelSpace
from segwright.core.prediction import Prediction
from segwright.core.volume import LazyArray, Volume
from segwright.core.words import amount
from segwright.io.dataset import open_dataset, open_labels
from segwright.io.drawing import geometry_of
from segwright.io.formats.rle.table import RunTableWriter
from segwright.io.layouts.scan import stem_of
from segwright.io.load import open_source, read_label
from segwright.io.writers import Writer, known_form, names_of, notes_of, open_writer


class Converted(Made):
    """One case; `sources` say what of each file is a label."""

    sources: tuple[LabelSource, ...] = ()


class Conversion(Document):
    """All cases of a call; written as `conversion.json` beside the results.

    Attributes:
        form: Row of the writers, or a suffix.
        out: Folder of the results.
        cases: Labelled cases, in order.
        dataset: The `dataset.yaml` that pairs the new labels with the images; empty where there are no images.
    """

    filename: ClassVar[str] = "conversion.json"
    form: str
    out: str
    cases: tuple[Converted, ...]
    dataset: str = ""

    @property
    def failed(self) -> tuple[Converted, ...]:
        """Cases without a result."""
        return tuple(case for case in self.cases if case.error)


def convert(  # noqa: PLR0913  # the flags of a command
    source: Dataset | str | Path,
    out: str | Path,
    *,
    to: str,
    images: str | Path | None = None,
    columns: Sequence[str] | None = None,
    resume: bool = False,
    listen: Listen = silent,
) -> Conversion:
    """Write the labels of a dataset in another form.

    Beside the labels, a `dataset.yaml` pairs them with the images where they are, so that the result can be inspected
    and learnt from at once.

    Args:
        source: A dataset, its folder, or labels alone: a folder of masks or polygons, a COCO file, a run-length CSV.
        out: Folder for the results; of a joint form (`rle`, `coco`) also the file.
        to: Row of the writers (`png`, `structures`, `npy`, `rle`, `labelme`, `coco`, `dicomseg`) or a suffix such as
            `.nii.gz`.
        images: Folder of the images, where labels lie elsewhere and do not say how large they are.
        columns: Names of the three columns of a run-length table; `image_name`, `class`, `rle` by default.
        resume: Keep results of an earlier call that are whole and were made from the same files in the same way; it is
            told which are made again, and why.
        listen: Progress events.

    Raises:
        UsageError: Unknown form, results would lie among the sources, or another call writes to the folder.
        DataError: Some labels could not be converted; the others are written, and all are listed in `conversion.json`.
    """
    form = known_form(to) or ""
    dataset = source if isinstance(source, Dataset) else _opened(Path(source), images)
    labelled = dataset.labelled
    if not labelled:
        raise LayoutError("There are no labels.", where=dataset.root, hint="Give a folder with labels.")
    place = Path(out)
    space = _with_values(dataset.labels)
    writer = open_writer(form, place, space, names_of(dataset, labelled), resume=resume)
    if columns is not None:
        _call(writer, columns, form)
    folder = place.parent if writer.joint and place.suffix else place
    _refuse_overwriting(dataset, labelled, folder)
    made = {"to": form, "columns": list(columns or ())}
    results = Results[Converted](folder, dataset, writer, options=made, labels=True)
    with locked(folder), told_when_full(folder, lambda: None, hint=_GO_ON):
        results.begin(Conversion, Converted, resume=resume)
        kept = results.kept(labelled, listen) if resume else {}
        result = _all(results, labelled, space, kept, listen).model_copy(update={"form": form, "out": str(place)})
        result.save(folder / Conversion.filename)
        results.end()
    _refuse_failures(result, folder)
    return result


_GO_ON = "Then run the same command with --resume: results that are there are kept."


def _all(
    results: Results[Converted], cases: Sequence[Case], space: LabelSpace, kept: Mapping[str, Converted], listen: Listen
) -> Conversion:
    """Convert every case that is not kept."""
    listen(Stage("convert", cases=len(cases)))
    rows, dataset, writer = [], results.dataset, results.writer
    for case in tracked(cases, listen, "convert"):
        row = kept.get(case.id)
        if row is None:
            origin = results.made_from(case)
            row = results.note(_one(dataset, case, space, writer), origin)
        for text in (*row.notes, *([row.error] if row.error else [])):
            listen(Note(f"{case.id}: {text}"))
        rows.append(row)
    writer.close()
    for note in notes_of(writer):
        listen(Note(note))
    paired = [
        _elsewhere(dataset, case, row.sources)
        for case, row in zip(cases, rows, strict=True)
        if row.sources and case.images
    ]
    keep = paired and dataset.layout != "labels"
    interpretation = _keep(dataset, paired, space, results.folder) if keep else ""
    return Conversion(form="", out="", cases=results.finish(rows), dataset=interpretation)


def _call(writer: Writer, columns: Sequence[str], form: str) -> None:
    """Name the columns of a run-length table; other forms have none."""
    if not isinstance(writer, RunTableWriter):
        raise UsageError("Only run-length tables have columns.", got=f"--to {form}", hint="Leave out --columns.")
    writer.call(columns)


def _opened(source: Path, images: str | Path | None) -> Dataset:
    """A whole dataset, or labels with or without images."""
    if images is not None:
        return open_labels(source, images)
    try:
        return open_dataset(source)
    except LayoutError as error:
        try:
            return open_labels(source)
        except LayoutError:
            raise error from None


def _with_values(space: LabelSpace) -> LabelSpace:
    """The space with a value for each structure, as a map of values will hold it."""
    if not space.exclusive or all(structure.values for structure in space.structures):
        return space
    filled = [s.model_copy(update={"values": (i,)}) for i, s in enumerate(space.structures, start=1)]
    return space.model_copy(update={"structures": tuple(filled)})


def _one(dataset: Dataset, case: Case, space: LabelSpace, writer: Writer) -> Converted:
    """Convert one case."""
    try:
        source = _source(dataset, case)
        found = read_label(dataset, case, source.geometry)
        sources = writer.add(Prediction(case.id, found.labels, space, source))
    except UsageError:
        raise
    except SegwrightError as error:
        if is_full(error):
            raise
        return Converted(case=case.id, error=str(error))
    files = tuple(dict.fromkeys(source.path for source in sources))
    return Converted(case=case.id, files=files, notes=found.repairs, sources=sources)


def _source(dataset: Dataset, case: Case) -> Volume:
    """The image whose grid and header the labels take; voxels are not read."""
    if case.images:
        return open_source(dataset, case.images[0])
    geometry = geometry_of(dataset, case)
    shape = (1, *geometry.shape)
    blank = LazyArray(shape, np.dtype(np.uint8), lambda index: np.zeros([s.stop - s.start for s in index], np.uint8))
    return Volume(blank, geometry)


def _refuse_overwriting(dataset: Dataset, cases: tuple[Case, ...], folder: Path) -> None:
    """Results in the folder of the sources could replace them."""
    sources = [dataset.path(source) for case in cases for source in (*case.images, *case.label)]
    if any(folder.resolve() in (path.resolve(), path.resolve().parent) for path in sources):
        raise UsageError(
            "The results would lie among the sources and could replace them.",
            where=folder,
            hint="Give another folder with -o.",
        )


def _elsewhere(dataset: Dataset, case: Case, sources: tuple[LabelSource, ...]) -> Case:
    """The case with its images where they are and its new labels."""
    images = tuple(s.model_copy(update={"path": dataset.path(s).resolve().as_posix()}) for s in case.images)
    return case.model_copy(update={"images": images, "label": sources})


def _keep(dataset: Dataset, cases: list[Case], space: LabelSpace, folder: Path) -> str:
    """Write how the new labels belong to the images; its paths hold while the images stay where they are."""
    note = f"Labels converted from {stem_of(Path(dataset.root))}; images stay where they were."
    changed = {"root": ".", "cases": tuple(cases), "labels": space, "notes": (*dataset.notes, note)}
    changed["run_lengths"] = ""  # tables that are written count along rows from 1
    path = dataset.model_copy(update=changed).save(folder / Dataset.filename)
    return str(path)


def _refuse_failures(result: Conversion, folder: Path) -> None:
    failed = result.failed
    if failed:
        raise DataError(
            f"{len(failed)} of {amount(len(result.cases), 'label')} could not be converted.",
            got=f"{failed[0].case}: {failed[0].error}",
            where=folder / Conversion.filename,
            hint="Mend the labels listed there, or choose a form that can hold them.",
        )
