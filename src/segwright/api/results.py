"""A folder of results, each bound to what it was made from: what matches no longer is made again, with the reason."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from segwright.core.case import Case, Dataset
from segwright.core.document import Document
from segwright.core.events import Listen, Note
from segwright.core.identity import Made, Origin, identify, still
from segwright.core.words import amount, listed
from segwright.io.companions import files_of, files_of_case, reading_of
from segwright.io.writers import Resumable, Writer

#: Rows of a call that is under way, one JSON text a line; the document of the call takes them over at its end.
JOURNAL = ".results.jsonl"

R = TypeVar("R", bound=Made)


@dataclass
class Results(Generic[R]):
    """Results of one call, with those that an earlier call left.

    Attributes:
        folder: Where they lie.
        dataset: What they are made from.
        writer: Stores them.
        model: Identity of the model, if one is used.
        options: That change results.
        labels: They are made from labels too.
    """

    folder: Path
    dataset: Dataset
    writer: Writer
    model: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    labels: bool = False
    earlier: dict[str, R] = field(default_factory=dict)

    def begin(self, document: type[Document], row: type[R], *, resume: bool) -> None:
        """Read what an earlier call of the same kind noted if it is to be gone on with, or else forget it.

        The folder has to be held by this call alone: what a killed one left half written is removed, unless it is the
        folder around one file for all cases, where others may be at work.
        """
        for left in () if self.writer.joint else self.folder.glob(".partial-*"):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
        journal = self.folder / JOURNAL
        if not resume:
            journal.unlink(missing_ok=True)
            return
        with suppress(Exception):  # damaged, or of another version: nothing is known of its results
            told = document.load(self.folder / document.filename)
            self.earlier = {one.case: one for one in getattr(told, "cases", ())}
        lines = journal.read_text(encoding="utf-8", errors="replace").splitlines() if journal.exists() else []
        for line in lines:
            with suppress(ValidationError):  # the last line of a call that was killed
                one = row.model_validate_json(line)
                self.earlier[one.case] = one

    def made_from(self, case: Case) -> Origin | None:
        """What a result of a case would be made from now; `None` where the files cannot be read."""
        try:
            inputs = identify(self._inputs(case))
        except OSError:
            return None  # whoever reads them next says so
        return Origin(inputs=inputs, reading=self._reading(case), model=self.model, options=dict(self.options))

    def note(self, row: R, origin: Origin | None) -> R:
        """The row of a case that was just done, bound to what it was made from; survives a kill from now on."""
        if origin is not None and not row.error:
            origin = origin.model_copy(update={"results": identify(self._places(row))})
            row = row.model_copy(update={"origin": origin})
        with (self.folder / JOURNAL).open("a", encoding="utf-8") as stream:
            stream.write(row.model_dump_json() + "\n")
        return row

    def finish(self, rows: Iterable[R]) -> tuple[R, ...]:
        """The rows, where one file that all share is written by now."""
        found = tuple(rows)
        if not self.writer.joint or not any(row.origin for row in found):
            return found
        shared = identify([self.folder / name for name in {name for row in found for name in row.files}])
        return tuple(
            row.model_copy(update={"origin": row.origin.model_copy(update={"results": shared})}) if row.origin else row
            for row in found
        )

    def end(self) -> None:
        """Forget the rows of this call, which are in its document by now."""
        (self.folder / JOURNAL).unlink(missing_ok=True)

    def kept(
        self, cases: Sequence[Case], listen: Listen, *, refused: Callable[[R], str] = lambda row: ""
    ) -> dict[str, R]:
        """Rows of earlier results that still hold; tells which others are made again, one line a reason.

        Args:
            cases: Wanted now.
            listen: Told in notes.
            refused: Says of a row that holds why it is not wanted all the same; mostly nothing.
        """
        found: dict[str, R] = {}
        again: dict[str, list[str]] = {}
        for case in cases:
            row, why = self._held(case, refused)
            if why:
                again.setdefault(why, []).append(case.id)
            elif row is not None:
                found[case.id] = row
        for why, names in again.items():
            text = f"{amount(len(names), 'result')} made again, for {why}: {listed(names)}."
            listen(Note(text))
        return found

    def _held(self, case: Case, refused: Callable[[R], str]) -> tuple[R | None, str]:
        """The row of an earlier result that still holds, or why the one that is there does not."""
        row = self.earlier.get(case.id)
        if row is None or row.origin is None or row.origin.results is None:
            failed = row is not None and bool(row.error)
            there = not self.writer.joint and bool(self.writer.kept(case.id))
            return None, "it is not known what they were made from" if there and not failed else ""
        was = row.origin
        inputs = still(was.inputs, self._inputs(case))
        why = self._other(was, case) if inputs else f"their {'labels or images' if self.labels else 'scans'} changed"
        if why or (why := refused(row)):
            return None, why
        results = still(row.origin.results, self._places(row))
        if results is None or (self.writer.joint and not self.writer.kept(case.id)):
            return None, "their files are gone, changed or cut short"
        return row.model_copy(update={"origin": was.model_copy(update={"inputs": inputs, "results": results})}), ""

    def _other(self, was: Origin, case: Case) -> str:
        """In what a result was made otherwise than it would be now, beside its files."""
        if was.reading != self._reading(case):
            return "their files are read in another way"
        if was.model != self.model:
            return "the model is another"
        names = sorted({*was.options, *self.options})
        other = [name for name in names if was.options.get(name) != self.options.get(name)]
        return f"options are others ({', '.join(other)})" if other else ""

    def _inputs(self, case: Case) -> list[Path]:
        labels = files_of_case(self.dataset, case, labels=True) if self.labels else ()
        return [*files_of_case(self.dataset, case), *labels]

    def _reading(self, case: Case) -> str:
        return reading_of(self.dataset, case, labels=self.labels)

    def _places(self, row: R) -> list[Path]:
        """Files that hold a case now."""
        if isinstance(self.writer, Resumable):
            place = self.writer.place(row.case)
            if place is not None:
                return [place]
        return [file for name in row.files for file in files_of(self.folder / name)]
