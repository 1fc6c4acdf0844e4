"""What a run learns from, by content: it goes on only over the data that it was begun with, and names what changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from segwright.core.case import Case, Dataset
from segwright.core.document import Document, Part
from segwright.core.errors import UsageError
from segwright.core.events import Listen, Note
from segwright.core.identity import Identity, identify, still
from segwright.core.words import listed
from segwright.io.companions import files_of_case

if TYPE_CHECKING:
    from segwright.api.run import Run

#: Words about a dataset, and files of no case, which may change.
TOLD = {"root", "notes", "modality_rule", "decisions", "aside"}


class CaseContent(Part):
    """What the files of a case held: of its images, and of its labels."""

    images: Identity
    labels: Identity

    def same(self, other: CaseContent) -> bool:
        """Whether both hold the same, whenever and wherever they were written."""
        return all(
            (a.sample, a.content) == (b.sample, b.content) for a, b in zip(self._parts, other._parts, strict=True)
        )

    @property
    def _parts(self) -> tuple[Identity, Identity]:
        return self.images, self.labels


class Inputs(Document):
    """What a run was begun with; written beside its plan.

    Attributes:
        cases: Labelled cases by id.
    """

    filename: ClassVar[str] = "inputs.json"
    cases: dict[str, CaseContent]

    @classmethod
    def of(cls, dataset: Dataset) -> Inputs:
        """The content of every labelled case. Reads all of their files once.

        Raises:
            OSError: A file cannot be read.
        """
        return cls(
            cases={
                case.id: CaseContent(
                    images=identify(files_of_case(dataset, case)),
                    labels=identify(files_of_case(dataset, case, labels=True)),
                )
                for case in dataset.labelled
            }
        )


def refuse_other_data(run: Run, dataset: Dataset, original: Dataset, listen: Listen) -> None:
    """The folder may have moved; what it holds and means may not have changed.

    Args:
        run: To go on with.
        dataset: As it is read now, with mended copies where sections were restored.
        original: As it is read now.
        listen: Told once if the run was begun by a version that kept no content.

    Raises:
        UsageError: Cases came, went, are arranged otherwise, or their files changed; by case.
    """
    known = run.folder / Inputs.filename
    found = list(_arranged_otherwise(run.dataset, dataset))
    if known.exists():
        inputs = Inputs.load(known)
        now = _renewed(inputs, original, found)
        if now != inputs.cases and not found:
            inputs.model_copy(update={"cases": now}).save(known)  # touched or copied: only times are others
    else:
        text = "The run was begun by an earlier version, which kept no content of its files: changes cannot be seen."
        listen(Note(text))
    if found:
        raise UsageError(
            "The data are not those that the run was begun with.",
            expected=f"the {len(run.dataset.cases)} cases of {run.dataset.root} as they were",
            got="; ".join(found),
            where=run.folder,
            hint="Restore these files to go on. To learn from the data as they are now, begin anew: "
            "segwright fit DATA -o ANOTHER.",
        )


def _arranged_otherwise(then: Dataset, now: Dataset) -> Iterator[str]:
    """In what two readings of a folder differ beside the content of files."""
    before, after = ({case.id: case for case in one.cases} for one in (then, now))
    yield from _told("cases gone", [name for name in before if name not in after])
    yield from _told("new cases", [name for name in after if name not in before])
    both = [name for name in after if name in before]
    yield from _told("cases with other files", [name for name in both if before[name] != after[name]])
    here, there = (one.model_dump(exclude={*TOLD, "cases"}) for one in (now, then))
    yield from (f"{name} {there[name]!r:.60} became {here[name]!r:.60}" for name in here if here[name] != there[name])
    if list(before) != list(after) and set(before) == set(after):
        yield "another order of cases"


def _renewed(inputs: Inputs, dataset: Dataset, found: list[str]) -> Mapping[str, CaseContent]:
    """The content with the times of now; what changed is added to `found`."""
    now: dict[str, CaseContent] = {}
    changed: dict[str, list[str]] = {"changed labels": [], "changed images": []}
    for case in dataset.labelled:
        was = inputs.cases.get(case.id)
        if was is None:
            continue  # it was not labelled then; told as a case with other files
        labels, images = _still(was.labels, dataset, case, labels=True), _still(was.images, dataset, case, labels=False)
        if labels is None:
            changed["changed labels"].append(case.id)
        if images is None:
            changed["changed images"].append(case.id)
        if labels is not None and images is not None:
            now[case.id] = CaseContent(images=images, labels=labels)
    for what, names in changed.items():
        found += _told(what, names)
    return now


def _still(was: Identity, dataset: Dataset, case: Case, *, labels: bool) -> Identity | None:
    return still(was, files_of_case(dataset, case, labels=labels))


def _told(what: str, names: list[str]) -> list[str]:
    return [f"{what}: {listed(names)}"] if names else []
