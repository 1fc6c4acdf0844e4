"""What was found in a stack and what was done about it."""

from __future__ import annotations

from typing import ClassVar

from segwright.core.document import Document, Part


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
