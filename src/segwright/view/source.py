"""What the viewer was pointed at: a dataset, a run, or one scan with labels, always seen as a dataset."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segwright import io
from segwright.api.lock import NAME as LOCK
from segwright.api.lock import busy
from segwright.api.run import Run
from segwright.core.box import Box
from segwright.core.case import Case, Dataset, LabelSource, Source, Split
from segwright.core.errors import LayoutError, SegwrightError, UsageError
from segwright.core.inspection import Inspection
from segwright.core.labels import LabelSpace, Structure
from segwright.core.plan import Plan
from segwright.io.dataset import open_dataset
from segwright.io.instances import as_instances, numbers_objects
from segwright.io.layouts.content import looks_like_label
from segwright.io.layouts.names import safe_id
from segwright.io.layouts.scan import stem_of
from segwright.io.masks import are_colours, one_plane, value_counts, values_of
from segwright.io.meaning.decide import TELL_APART, Meaning, decide
from segwright.io.meaning.facts import facts_of
from segwright.io.scans import open_images
from segwright.view.scan import WHOLE_BYTES

#: More values than this are no label of classes.
MOST_VALUES = 1000
#: What numbered objects are until they are told apart.
_OBJECTS = Structure(name="object")


#: Documents that a fit keeps before it has a plan, which takes it minutes.
_BEFORE_PLAN = (Split.filename, Inspection.filename)


@dataclass
class Opened:
    """What is open.

    Attributes:
        title: For the page's heading.
        kind: `dataset`, `run` or `image`.
        dataset: All cases.
        inspection: Measured facts and findings, where a run has kept them.
        runs: Fits whose progress can be followed.
        extra: Further label files of a single scan, to be shown as results.
        notes: What was assumed.
    """

    title: str
    kind: str
    dataset: Dataset
    inspection: Inspection | None = None
    runs: list[Run] = field(default_factory=list)
    extra: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def folds(self) -> dict[str, int]:
        """Fold in which each case is validated, where a run says so."""
        for run in self.runs:
            try:
                return {case: i for i, fold in enumerate(run.split.folds) for case in fold.validation}
            except (SegwrightError, OSError, ValueError):
                continue
        return {}


def is_run(path: Path) -> bool:
    """Whether a folder is that of a fit: finished, going on, or with all its documents but the plan."""
    kept = path.is_dir() and (path / Dataset.filename).exists()
    return kept and ((path / Plan.filename).exists() or all((path / name).exists() for name in _BEFORE_PLAN))


def open_source(source: str | Path, labels: Sequence[str | Path] = ()) -> Opened:
    """Open whatever a person points at.

    Args:
        source: Folder of a dataset or run, `dataset.yaml`, CSV table, or a scan.
        labels: Label files of a single scan.

    Raises:
        SegwrightError: It cannot be understood; says what was seen.
    """
    path = Path(source)
    if not path.exists():
        raise LayoutError("There is no such folder or file.", where=path, hint="Check the path.")
    if is_run(path):
        _refuse_labels(labels, "a run")
        return _of_run(path)
    if path.is_dir() and {entry.name for entry in path.iterdir()} == {LOCK}:
        raise _unplanned(path)
    if labels or (path.is_file() and path.suffix.lower() not in {".yaml", ".yml", ".csv", ".tsv"}):
        return _of_image(path, [Path(label) for label in labels])
    return _of_dataset(path)


def _refuse_labels(labels: Sequence[str | Path], what: str) -> None:
    if labels:
        raise UsageError(
            f"--label belongs to a single scan, not to {what}.", hint="Give further results with --result."
        )


def _of_run(path: Path) -> Opened:
    run = Run(path)
    inspection = run.inspection if (path / Inspection.filename).exists() else None
    notes = [] if (path / Plan.filename).exists() else ["This run has no plan yet; its curves follow once it has."]
    return Opened(path.resolve().name, "run", run.dataset, inspection, [run], notes=notes)


def _unplanned(path: Path) -> LayoutError:
    """A fit reads all data before it writes anything."""
    if busy(path):
        return LayoutError(
            "A fit has begun in this folder and is still reading its data.",
            where=path,
            hint="Look again in some minutes; the scans themselves can be viewed already.",
        )
    return LayoutError(
        "A fit began in this folder, and ended before it had a plan.",
        where=path,
        hint="Run 'segwright fit' again with the same folder.",
    )


def _of_dataset(path: Path) -> Opened:
    """A folder of scans; one that is itself a scan (a series, a store, a stack) is opened as such."""
    title = path.resolve().name
    try:
        dataset = open_dataset(path)
        if dataset.cases:
            dataset, notes = _apart(dataset)
            return Opened(title, "dataset", dataset, notes=notes)
    except LayoutError as error:
        unknown = error
    else:
        unknown = LayoutError("The folder holds no cases.", where=path, hint="Give a folder of scans.")
    if path.is_dir() and io.sniff(path) not in {None, "sections"}:
        return _of_image(path, [])
    try:
        channels = ("image",)
        return Opened(title, "dataset", open_images(path, channels), notes=["No labels were found: scans only."])
    except LayoutError:
        raise unknown from None


def _apart(dataset: Dataset) -> tuple[Dataset, list[str]]:
    """Numbered objects each for itself, as that is what there is to see; and what was assumed."""
    if not numbers_objects(dataset):
        return dataset, list(dataset.notes)
    try:
        found = as_instances(dataset, True)
    except SegwrightError as error:
        return dataset, [*dataset.notes, f"Objects are not shown apart: {error.what}"]
    together = rf"(; all together they are '\w+')?\. To tell the \w+ apart, {re.escape(TELL_APART)}"
    notes = tuple(re.sub(together, ".", note) for note in found.notes)
    return found.model_copy(update={"notes": notes}), list(notes)


def _of_image(path: Path, labels: list[Path]) -> Opened:
    """One scan, and its labels: files of one value each are structures, a map of values is the reference.

    Values that number objects are told apart in a label file that stands alone, which is its own picture then, and in
    one with more values than classes are. Fewer may be either, as one case does not show what recurs: in a brain's
    atlas each is a structure.
    """
    volume = io.read(path)
    found = [(label, _values(label)) for label in labels]
    crowded = [label for label, values in found if len(values) > MOST_VALUES]
    numbered = _numbered(path) if not labels else _numbered(crowded[0]) if crowded == labels else None
    if numbered is not None:
        labels = labels or [path]
    elif crowded:
        raise LayoutError(
            "The file does not look like a label.",
            expected=f"at most {MOST_VALUES} different values, or numbers of objects",
            got=f"{len(dict(found)[crowded[0]])} values",
            where=crowded[0],
            hint="Give the label after --label and the scan first.",
        )
    channels = volume.data.shape[0]
    names = volume.channels or tuple(f"channel {i + 1}" for i in range(channels))
    root = path.resolve().parent
    if numbered is not None:
        sources: tuple[LabelSource, ...] = (LabelSource(path=str(labels[0].resolve())),)
        space, notes = LabelSpace(structures=(_OBJECTS,)), list(numbered.notes)
    else:
        sources, space, notes = _meaning(found)
    case = Case(
        id=safe_id(stem_of(path)),
        images=(Source(path=str(path.resolve())),),
        label=sources,
        group=safe_id(stem_of(path)),
    )
    used = {source.path for source in sources}
    extra = [label for label in labels if str(label.resolve()) not in used]
    dataset = Dataset(
        root=str(root), layout="one scan", channels=names, labels=space, cases=(case,), notes=tuple(notes)
    )
    dataset, notes = _apart(dataset)
    return Opened(stem_of(path), "image", dataset, extra=extra, notes=notes)


def _numbered(path: Path) -> Meaning | None:
    """What the values of a file say, where it looks like a label and they number objects.

    A plane is looked at first, as nearly all scans give themselves away in it; what is too large to be read whole is
    taken for no such label.
    """
    try:
        label = io.read_label(path)
        channels, z, y, x = label.data.shape
        if channels != 1 or z * y * x * label.data.dtype.itemsize > WHOLE_BYTES:
            return None
        if not looks_like_label(label.array(Box((z // 2, 0, 0), (z // 2 + 1, y, x)))):
            return None
        array = label.array()
        if not looks_like_label(array):
            return None
        raw = one_plane(array, where=str(path), colours=are_colours(label))
    except SegwrightError:
        return None
    meaning = decide({"": facts_of(raw)}, lambda _: raw)
    return meaning if meaning.kind == "objects" else None


def _values(label: Path) -> list[int]:
    """Non-zero values of a label file."""
    raw = values_of(io.read_label(label), where=str(label))
    return [value for value in value_counts(raw) if value]


def _meaning(found: list[tuple[Path, list[int]]]) -> tuple[tuple[LabelSource, ...], LabelSpace, list[str]]:
    if not found:
        return (), LabelSpace(), []
    if len(found) > 1 and all(len(values) <= 1 for _, values in found):
        names = _distinct([stem_of(path) for path, _ in found])
        sources = tuple(LabelSource(path=str(p.resolve()), structure=n) for (p, _), n in zip(found, names, strict=True))
        space = LabelSpace(structures=tuple(Structure(name=name) for name in names), kind="overlapping")
        return sources, space, [f"Each label file is one structure: {', '.join(names)}."]
    values = sorted({value for _, listed in found for value in listed})
    space = LabelSpace(structures=tuple(Structure(name=f"label {v}", values=(v,)) for v in values))
    note = f"Structures are the values found: {', '.join(map(str, values[:12]))}{' ...' if len(values) > 12 else ''}."
    return (LabelSource(path=str(found[0][0].resolve())),), space, [note]


def _distinct(names: list[str]) -> list[str]:
    return [name if names.count(name) == 1 else f"{name} ({i + 1})" for i, name in enumerate(names)]
