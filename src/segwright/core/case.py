"""Cases, datasets and splits: what belongs together, what it means, and who validates where."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal

from segwright.core.document import Document, Part
from segwright.core.errors import UsageError
from segwright.core.labels import LabelSpace


class Source(Part):
    """One file (or folder: a DICOM series, a stack of sections, a Zarr store), or a part of it.

    Attributes:
        path: Relative to the dataset's root, with forward slashes; absolute if it lies elsewhere.
        key: Array inside an HDF5, Zarr or MATLAB file.
        plane: One channel of the file; `None` takes all.
        axes: What the axes of a stored array are, one letter each of `c`, `t`, `z`, `y`, `x`, where the file does not
            say so; `None` is as the dataset states, else guessed.
        grid: `sform` or `qform`, where a NIfTI header states two places for one scan; `None` is the usual one.
    """

    path: str
    key: str | None = None
    plane: int | None = None
    axes: str | None = None
    grid: str | None = None


class LabelSource(Source):
    """A file that holds labels.

    Attributes:
        structure: Non-zero voxels are this structure; `None` means a map of values, read by the label space.
        order: Order of the planes of a label that has no place in the world: `position` (as the scan is read), `file`
            or `number` (as the files of a DICOM series are called or numbered); `unknown` is refused until stated.
        flip: Axes (of `z`, `y`, `x`) along which such a label runs against the scan.
        reader: Who drew it, where several people drew the same case and their `consensus` is learnt from.
    """

    structure: str | None = None
    order: Literal["position", "file", "number", "unknown"] | None = None
    flip: str | None = None
    reader: str | None = None


class Case(Part):
    """One subject's scan(s); the unit of split, prediction and report.

    Attributes:
        id: Unique in the dataset, safe as a file name.
        images: Sources in channel order; a source may carry several channels.
        label: One source with a value map, or one a structure; empty if unlabelled.
        group: What must not cross folds (patient, animal, block).
        sections: First and last + 1 of the stored planes (array axis z) that the case consists of; `None` is all.
    """

    id: str
    images: tuple[Source, ...]
    label: tuple[LabelSource, ...] = ()
    group: str
    sections: tuple[int, int] | None = None


#: What kinds of images are told apart.
MODALITIES = ("ct", "mr", "xray", "em", "other")
#: Layout of scans that have no labels yet.
UNLABELLED = "unlabelled"
#: How a rule begins that no file states.
GUESS = "a guess"


class Aside(Part):
    """Files of a folder that belong to no case.

    Attributes:
        path: One file, or the folder that several of a kind lie in; relative to the root.
        count: How many files.
        reason: Why they were not read, in words.
    """

    path: str
    count: int
    reason: str


class Decision(Part):
    """One choice that was made while reading a folder.

    Attributes:
        topic: What was chosen: `layout`, `labels`, `readers`, ...
        chosen: What was taken.
        why: By what evidence.
        other: What else was possible, and why it was not taken; empty where nothing was.
    """

    topic: str
    chosen: str
    why: str = ""
    other: str = ""


class Dataset(Document):
    """Cases plus the meaning of their channels and labels; saved as `dataset.yaml`, which a person may edit.

    Attributes:
        root: Folder that sources are relative to.
        layout: How the folder was understood.
        channels: One name a channel.
        modality: `ct`, `mr`, `xray`, `em` or `other`; decides normalisation.
        modality_rule: In words, how the modality was found; begins with `a guess` where nothing states it.
        labels: Meaning of label values.
        cases: All cases, labelled or not.
        group_rule: In words, how the group of each case was found.
        notes: What was assumed while reading the folder.
        readers: Names of the drawings of one thing by several people; the first is learnt from, or their `consensus`.
        consensus: How drawings of several readers are put together, `majority` or `staple`; empty takes the first.
        decisions: Choices made while reading, each with what else was possible.
        aside: Files of the folder that belong to no case, with the reason.
        voxel: Voxel size `(z, y, x)` in mm of files that state none, such as pictures of sections.
        image_axes: Axes of images stored as arrays that do not name them, e.g. `yxc`; empty is guessed.
        label_axes: The same of labels.
        label_order: Order of the planes of all labels that have no place in the world, where a person states it.
        label_flip: Axes along which such labels run against their scans, where a person states it.
        label_values: `classes` or `objects` where a person says what the numbers in label files are.
        upright: Pictures that a camera turned (EXIF orientation) are read as they are shown, not as they are stored.
        run_lengths: How tables of run lengths count, such as `columns from 1` or `rows from 0, relative`; empty is
            `rows from 1`.
    """

    filename: ClassVar[str] = "dataset.yaml"
    root: str
    layout: str
    channels: tuple[str, ...]
    modality: str = "other"
    labels: LabelSpace = LabelSpace()
    cases: tuple[Case, ...]
    group_rule: str = ""
    modality_rule: str = ""
    notes: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    consensus: str = ""
    decisions: tuple[Decision, ...] = ()
    aside: tuple[Aside, ...] = ()
    voxel: tuple[float | None, float | None, float | None] | None = None
    image_axes: str = ""
    label_axes: str = ""
    label_order: Literal["", "position", "file", "number"] = ""
    label_flip: str = ""
    label_values: Literal["", "classes", "objects"] = ""
    upright: bool = False
    run_lengths: str = ""

    def for_people(self) -> dict[str, Any]:
        """The interpretation without what nobody stated: no empty field, no field of a source that is not used.

        Example:
            >>> case = Case(id="a", images=(Source(path="a.png"),), group="a")
            >>> Dataset(root=".", layout="pairs", channels=("grey",), cases=(case,)).for_people()["cases"]
            [{'id': 'a', 'images': [{'path': 'a.png'}], 'label': [], 'group': 'a'}]
        """
        told = self.model_dump(mode="json", exclude_none=True)
        fields = type(self).model_fields
        return {name: value for name, value in told.items() if value or fields[name].is_required()}

    @property
    def modality_told(self) -> str:
        """The modality, marked where it is a guess.

        Example:
            >>> empty = Dataset(root=".", layout="", channels=("grey",), modality="xray", cases=())
            >>> empty.model_copy(update={"modality_rule": "a guess: flat grey images"}).modality_told
            'xray, a guess'
        """
        return f"{self.modality}, a guess" if self.modality_rule.startswith(GUESS) else self.modality

    @property
    def modality_note(self) -> str:
        """Where the modality comes from, and how to correct a guess; empty where the layout states it."""
        if not self.modality_rule:
            return ""
        if self.modality_told == self.modality:
            return f"Modality {self.modality!r}: {self.modality_rule}."
        others = ", ".join(name for name in MODALITIES if name != self.modality)
        hint = f"If it is another ({others}), set 'modality' in dataset.yaml, or give fit modality=NAME."
        return f"Modality {self.modality!r} is {self.modality_rule}. {hint}"

    def path(self, source: Source) -> Path:
        """Absolute path of a source."""
        return Path(self.root, source.path)

    @property
    def labelled(self) -> tuple[Case, ...]:
        """Cases that have a label."""
        return tuple(case for case in self.cases if case.label)

    def case(self, case_id: str) -> Case:
        """The case of that id."""
        for case in self.cases:
            if case.id == case_id:
                return case
        raise UsageError(f"No case {case_id!r} in the dataset.", hint="List the cases with 'segwright inspect'.")

    def select(self, ids: Iterable[str]) -> Dataset:
        """The same dataset with some cases only, in the dataset's order."""
        wanted = set(ids)
        return self.model_copy(update={"cases": tuple(case for case in self.cases if case.id in wanted)})


class Fold(Part):
    """One division into training and validation cases (ids)."""

    train: tuple[str, ...]
    validation: tuple[str, ...]


class Split(Document):
    """All folds of a run, with the rule that made them.

    Attributes:
        folds: In order; fold `i` validates on `folds[i].validation`.
        groups: Group of each case.
        rule: In words: how groups were kept together and what was stratified.
    """

    filename: ClassVar[str] = "splits.json"
    folds: tuple[Fold, ...]
    groups: dict[str, str]
    rule: str = ""
