"""Measures the structures of a folder of masks, of predictions, of a dataset, or of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright import io
from segwright.api.evaluate import _as_dataset
from segwright.api.out_of_fold import JudgedCase
from segwright.api.run import Run
from segwright.core.case import Case, Dataset
from segwright.core.errors import DataError, RecipeError, SegwrightError, UnknownNameError, UsageError
from segwright.core.events import Listen, Stage, silent, tracked
from segwright.core.inspection import Finding
from segwright.core.labels import LabelSpace
from segwright.core.measurements import Measurements, Reading
from segwright.core.plan import Plan
from segwright.core.words import amount, listed
from segwright.evaluation.aggregate import to_csv
from segwright.evaluation.pairing import Parts, find_labels, read_labels
from segwright.evaluation.sides import as_written, infer_space
from segwright.io.load import load_image, load_label
from segwright.measures import MEASURES
from segwright.measures.measure import Measure, Subject, Taken, Value
from segwright.report.wording import colour

Image = Callable[[], NDArray[Any] | None]


@dataclass(frozen=True)
class Measured:
    """One case: what to measure, and a function that reads `(z, y, x)` grey values of its scan, if there are any."""

    subject: Subject
    image: Image


@dataclass(frozen=True)
class Source:
    """Cases that are read when asked for; one that cannot be read becomes a finding.

    Attributes:
        loaders: One a case, with the case's id.
        findings: What was assumed about all of them.
    """

    loaders: tuple[tuple[str, Callable[[], Measured]], ...]
    findings: tuple[Finding, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.loaders)

    def __iter__(self) -> Iterator[Measured | Finding]:
        for case, load in self.loaders:
            try:
                yield load()
            except UsageError:
                raise
            except SegwrightError as error:
                hint = error.hint or "Repair the file, or take it out of the folder."
                yield Finding(level="warning", code="unreadable", what=error.what, where=case, hint=hint)


def source_of(path: Path, *, images: Path | None = None, space: LabelSpace | None = None) -> Source:
    """The cases of a run, a dataset, or a folder of labels.

    Raises:
        LayoutError: The folder holds nothing that can be measured.
    """
    if (path / Plan.filename).exists() and not (path / "model.json").exists():
        return _of_run(Run.open(path))
    dataset = _as_dataset(path) if images is None and space is None else None
    if dataset is not None:
        note = _note(f"The reference labels of the dataset in {dataset.root} are measured.")
        return Source(tuple((case.id, _labelled(dataset, case)) for case in dataset.labelled), (note,))
    return _of_folder(path, images, space)


def _of_run(run: Run) -> Source:
    """Out-of-fold predictions, after the post-processing the run ended with."""
    from segwright.api.finalize import final_chain

    if not run.finished:
        raise UsageError("No fold of this run has finished.", where=run.folder, hint="Finish it with --resume.")
    chain = final_chain(run)

    def loader(judged: JudgedCase) -> Callable[[], Measured]:
        def load() -> Measured:
            subject = Subject(judged.case, judged.predicted(chain), run.plan.labels, judged.geometry)
            return Measured(subject, lambda: load_image(run.dataset, run.dataset.case(judged.case)).array()[0])

        return load

    cases = [JudgedCase(run, case, fold) for fold in run.finished for case in run.split.folds[fold].validation]
    note = _note("The out-of-fold predictions of the run are measured.")
    return Source(tuple((judged.case, loader(judged)) for judged in cases), (note,))


def _labelled(dataset: Dataset, case: Case) -> Callable[[], Measured]:
    def load() -> Measured:
        volume = load_image(dataset, case)
        labels = load_label(dataset, case, volume.geometry)
        return Measured(Subject(case.id, labels, dataset.labels, volume.geometry), lambda: volume.array()[0])

    return load


def _of_folder(path: Path, images: Path | None, space: LabelSpace | None) -> Source:
    found = find_labels(path)
    notes: list[str] = []
    meaning = as_written(space, found, notes, whose="labels") if space else infer_space(found, {}, notes)
    scans = find_labels(images) if images is not None else {}
    lost = sorted(set(found) - set(scans)) if images is not None else []
    if lost:
        notes.append(f"No scan of the same name to draw on for {amount(len(lost), 'case')}: {listed(lost, 4)}.")

    def loader(case: str, parts: Parts) -> Callable[[], Measured]:
        def load() -> Measured:
            labels, geometry = read_labels(parts, meaning)
            return Measured(Subject(case, labels, meaning, geometry), _scan(scans.get(case), geometry.shape))

        return load

    return Source(tuple((case, loader(case, parts)) for case, parts in found.items()), tuple(map(_note, notes)))


def _scan(parts: Parts | None, shape: tuple[int, ...]) -> Image:
    """A function that reads the first channel of a scan; `None` where there is none of this shape."""

    def image() -> NDArray[Any] | None:
        if not parts:
            return None
        array = io.read(next(iter(parts.values()))).array()[0]
        return array if array.shape == tuple(shape) else None

    return image


def _note(text: str) -> Finding:
    return Finding(level="note", code="measure-source", what=text)


#: Suffixes a table can be written with.
FORMATS = (".csv", ".json")


def measure(  # noqa: PLR0913  # the flags of a command
    source: str | Path,
    measures: Sequence[str] = (),
    *,
    out: str | Path | None = None,
    images: str | Path | None = None,
    overlays: bool = True,
    options: Mapping[str, Any] | None = None,
    space: LabelSpace | None = None,
    listen: Listen = silent,
) -> Measurements:
    """Measure structures case by case.

    Args:
        source: Folder of masks or predictions, a dataset (its references), or a run (its out-of-fold predictions).
        measures: Rows of the measures table; without any, every measure that fits the structures.
        out: Also write the table as `.csv` or `.json`, and a picture a case in a folder beside it.
        images: Scans of the same names to draw on, where the source knows none.
        overlays: Whether to draw.
        options: Of the measures, by name: `{"heart": "cor"}`.
        space: Meaning of label values, if the source does not say.
        listen: Progress events.

    Raises:
        UnknownNameError: No such measure, option or structure.
        DataError: No case could be measured.
    """
    chosen = _chosen(measures)
    given = _shared_out(options or {}, chosen)
    path = _table(out)
    cases = source_of(Path(source), images=Path(images) if images else None, space=space)
    listen(Stage("measure", cases=len(cases)))
    readings: list[Reading] = []
    findings = list(cases.findings)
    pictures: list[str] = []
    for one in tracked(cases, listen, "measure"):
        if isinstance(one, Finding):
            findings.append(one)
            continue
        taken = {row.name: row(one.subject, given[row.name]) for row in chosen}
        readings += _readings(one.subject.case, taken)
        findings += _findings(one.subject.case, taken, asked=bool(measures))
        if path is not None and overlays:
            pictures.append(_draw(one, taken, path.with_name(f"{path.stem}-overlays")))
    result = Measurements(
        source=str(source), readings=tuple(readings), findings=tuple(_quiet(findings)), overlays=tuple(pictures)
    )
    _refuse_nothing(result)
    if path is not None:
        _write(result, path)
    return result


def _chosen(names: Sequence[str]) -> list[Measure]:
    for name in names:
        if name not in MEASURES:
            raise UnknownNameError.among("measure", name, MEASURES)
    return [MEASURES.load(name) for name in dict.fromkeys(names or MEASURES)]


def _shared_out(options: Mapping[str, Any], chosen: Sequence[Measure]) -> dict[str, dict[str, Any]]:
    """Each option to the measures that have it.

    Raises:
        RecipeError: None of them has it.
    """
    known = {name for row in chosen for name in row.options}
    for name in options:
        if name not in known:
            unknown = UnknownNameError.among("option", name, known)
            raise RecipeError(
                f"No measure has an option {name!r}.", expected=unknown.expected or "none", hint=unknown.hint
            )
    return {row.name: {k: v for k, v in options.items() if k in row.options} for row in chosen}


def _table(out: str | Path | None) -> Path | None:
    if out is None:
        return None
    path = Path(out)
    if path.suffix not in FORMATS:
        raise UsageError(
            "Unknown table format.", expected=", ".join(FORMATS), got=path.suffix or "no suffix", where=out,
            hint="Use e.g. -o table.csv.",
        )  # fmt: skip
    return path


def _readings(case: str, taken: Mapping[str, Taken]) -> Iterator[Reading]:
    for row, result in taken.items():
        for value in result.values:
            yield Reading(
                case=case,
                structure=value.structure,
                measure=row,
                quantity=value.name,
                value=value.value,
                unit=value.unit,
                note=value.note,
            )


def _findings(case: str, taken: Mapping[str, Taken], *, asked: bool) -> Iterator[Finding]:
    """What could not be taken, as a warning where it was asked for, and what to mind."""
    for name, result in taken.items():
        if result.missing:
            what = f"{name} was not taken: {result.missing}."
            hint = "Segment what is missing, or name structures with --set."
            level = "warning" if asked or result.values else "note"
            yield Finding.model_validate(
                {"level": level, "code": "not-measured", "what": what, "where": case, "hint": hint}
            )
        for note in result.notes:
            what = f"{name}: {note}."
            yield Finding(level="note", code="measure-note", what=what, where=case, hint="Look at the overlay.")


def _quiet(findings: Sequence[Finding]) -> Iterator[Finding]:
    """The same thing about many cases is said once, naming the first few and how many more."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.level, finding.what), []).append(finding)
    for alike in groups.values():
        where = ", ".join(finding.where for finding in alike[:4] if finding.where)
        more = f" and {len(alike) - 4} more" if len(alike) > 4 else ""
        yield alike[0].model_copy(update={"where": where + more})


def _refuse_nothing(result: Measurements) -> None:
    if not any(reading.value is not None for reading in result.readings):
        first = next((one for one in result.findings if one.code != "measure-source"), None)
        raise DataError(
            "Nothing could be measured.",
            got=f"{first.where + ': ' if first.where else ''}{first.what}" if first else "no case",
            where=result.source,
            hint=(first.hint if first else "") or "Give a folder of label files.",
        )


def _write(result: Measurements, path: Path) -> None:
    if path.suffix == ".json":
        result.save(path)
    else:
        to_csv(list(result.readings), path)


def _draw(one: Measured, taken: Mapping[str, Taken], folder: Path) -> str:
    """The picture of a case; returns its path relative to the table's folder."""
    from segwright.report.overlay import Picture, Shape, Stroke, draw

    subject = one.subject
    z = _slice(subject)
    marks = [mark for result in _drawn(taken) for mark in result.marks if subject.flat or mark.z == z]
    shapes = [Shape(subject.mask(name)[z], colour(subject.space, i)) for i, name in enumerate(subject.names)]
    strokes = [Stroke(mark.points, mark.text, mark.role == "main") for mark in marks]
    image = one.image()
    picture = Picture(
        image=None if image is None else np.asarray(image[z], np.float32),
        shapes=shapes,
        strokes=strokes,
        steps=(subject.lengths[1], subject.lengths[2]),
        caption=[subject.case if subject.flat else f"{subject.case}, slice {z}", *_captions(taken)],
    )
    path = draw(picture, folder / f"{subject.case}.png")
    return f"{folder.name}/{path.name}"


def _drawn(taken: Mapping[str, Taken]) -> list[Taken]:
    """Measures with lines that stand out; the others' only where there is none."""
    special = [result for result in taken.values() if any(mark.role == "main" for mark in result.marks)]
    return special or list(taken.values())


def _captions(taken: Mapping[str, Taken]) -> list[str]:
    """The values of the measures that are drawn strongly, in words."""
    lines = []
    for result in taken.values():
        if any(mark.role == "main" for mark in result.marks):
            told = [_words(value) for value in result.values if value.value is not None and value.unit != "count"]
            lines += [" · ".join(told[i : i + 2]) for i in range(0, len(told), 2)]
    return lines


def _words(value: Value) -> str:
    if value.unit == "°":
        return f"{value.name} {value.value:.1f}°"
    return f"{value.name} {value.value:.3g} {value.unit}".rstrip()


def _slice(subject: Subject) -> int:
    """The slice with most structure."""
    filled = np.logical_or.reduce([subject.mask(name) for name in subject.names])
    return int(filled.sum(axis=(1, 2)).argmax())
