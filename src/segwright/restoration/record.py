"""What was found in a stack and what was done about it."""

from __future__ import annotations

from typing import ClassVar

from segwright.core.case import Source
from segwright.core.document import Document, Part
from segwright.core.words import amount


class SectionRow(Part):
    """One spoiled section.

    Attributes:
        section: Number in the stack, from 0.
        name: Its file, where sections are files.
        kind: `missing`, `noisy`, `blurred`, `dark`, `bright` or `shifted`.
        score: How far it stands out: robust deviations from the stack's median, pixels for shifts, 0 where missing.
        action: `made anew`, `lit again`, `moved back` or `left as it is`.
        why: Why it was left.
        neighbours: Clean sections that it was judged by and made from.
        likeness_before, likeness_after: Mean correlation with them.
        change: Mean absolute change of grey values over the stack's contrast.
    """

    section: int
    name: str = ""
    kind: str
    score: float
    action: str
    why: str = ""
    neighbours: tuple[int, ...] = ()
    likeness_before: float = 0.0
    likeness_after: float = 0.0
    change: float = 0.0


class RestorationRecord(Document):
    """Everything `restore-sections` found and did.

    Attributes:
        source: The stack.
        sections: How many it has.
        rows: Spoiled ones, in order; all others are as they were, bit for bit.
        method: What sections were made anew with: the network, or the mean of both neighbours.
        error, error_mean: Mean absolute errors of network and mean on clean sections kept back, over the contrast.
        usual_likeness: Median correlation of clean neighbours.
        triples: Clean triples learnt from and kept back.
        steps: Training steps.
        notes: What the reader assumed, and gaps in section numbers.
        mark: Names the files it was made from, by path, size and time, where it may be found again.
    """

    filename: ClassVar[str] = "restoration.json"
    source: str
    sections: int
    rows: tuple[SectionRow, ...] = ()
    method: str = ""
    error: float | None = None
    error_mean: float | None = None
    usual_likeness: float = 0.0
    triples: tuple[int, int] = (0, 0)
    steps: int = 0
    notes: tuple[str, ...] = ()
    mark: str = ""

    @property
    def mended(self) -> tuple[SectionRow, ...]:
        """Sections that were changed."""
        return tuple(row for row in self.rows if not row.why)

    @property
    def told(self) -> str:
        """One sentence on what was found, what was done, and by how much sections changed.

        Example:
            >>> row = SectionRow(section=3, kind="noisy", score=9.0, action="made anew", change=0.412)
            >>> RestorationRecord(source="em", sections=20, rows=(row,), method="network").told
            '1 of 20 sections of em mended: 3 noisy, made anew by network (changed by 0.41 of the contrast)'
        """
        if not self.rows:
            return f"none of {amount(self.sections, 'section')} of {self.source} is spoiled"
        parts = []
        if self.mended:
            each = ", ".join(self._row(row) for row in self.mended)
            parts.append(f"{len(self.mended)} of {amount(self.sections, 'section')} of {self.source} mended: {each}")
        left = [f"{row.section} {row.kind} ({row.why})" for row in self.rows if row.why]
        if left:
            where = "" if parts else f" of {self.source}"
            parts.append(f"spoiled sections{where} left as they are: {', '.join(left)}")
        return "; ".join(parts)

    def _row(self, row: SectionRow) -> str:
        by = f" by {self.method}" if row.action == "made anew" and self.method else ""
        return f"{row.section} {row.kind}, {row.action}{by} (changed by {row.change:.2f} of the contrast)"


class RestoredStack(Part):
    """One stack that was looked at.

    Attributes:
        images: Where it was read from.
        folder: Folder of the record and of the mended copy beside it, relative to the table; empty if nothing changed.
        stack: Name of the mended copy in there.
        record: What was found and done.
    """

    images: tuple[Source, ...]
    folder: str = ""
    stack: str = ""
    record: RestorationRecord


class RestoredStacks(Document):
    """All stacks that were looked at before a training or a prediction."""

    filename: ClassVar[str] = "stacks.json"
    stacks: tuple[RestoredStack, ...] = ()
