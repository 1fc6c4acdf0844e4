"""Hard voting of run-length tables: streams them side by side and never decodes a mask."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from segwright.core.document import Document, Part
from segwright.core.errors import UnknownNameError, UsageError
from segwright.core.events import Listen, Note, Stage, silent
from segwright.core.runs import Runs
from segwright.core.words import amount
from segwright.io.formats.rle.table import Key, RleRow, RleTable, open_rle, writing_rle
from segwright.ops.runs import parse_rows, sweep, text_rows

#: Rows of the result voted in one sweep.
BATCH = 256
#: Rows between progress events.
TOLD_EVERY = 512

Ballot = tuple[Key, list[RleRow | None]]


class Missing(Part):
    """Rows that other tables have and this one lacks; it voted for nothing there."""

    table: str
    rows: tuple[tuple[str, ...], ...]


class Voted(Document):
    """What a vote over tables left.

    Attributes:
        out: Table written.
        tables: Tables that voted.
        columns: Key columns, then the run-length column.
        rows: Rows written: the union of all keys.
        empty: Rows whose mask came out empty.
        more_than: Votes that a pixel must exceed, by class; `default` for the others.
        missing: Rows that some table lacks.
        repaired: What was mended while reading.
        notes: What else a person should know.
    """

    filename: ClassVar[str] = "voted.json"
    out: str
    tables: tuple[str, ...]
    columns: tuple[str, ...]
    rows: int
    empty: int
    more_than: dict[str, float]
    missing: tuple[Missing, ...] = ()
    repaired: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def votes_needed(threshold: str | float, tables: int, *, whom: str = "") -> float:
    """Votes a pixel must exceed, from `1` (strictly more than one) or `50%` (more than half of the tables).

    Raises:
        UsageError: No such number, or one that no pixel can exceed.

    Example:
        >>> votes_needed("1", 3), votes_needed("50%", 3), votes_needed(2, 3)
        (1.0, 1.5, 2.0)
    """
    text = str(threshold).strip()
    share = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text)
    if not share and not re.fullmatch(r"\d+(\.0+)?", text):
        raise UsageError(
            f"Cannot read the threshold {text!r}{whom}.",
            expected="a whole number of votes (1: strictly more than one) or a share (50%)",
            hint="Use e.g. --threshold 1 or --threshold 50%.",
        )
    votes = float(share[1]) / 100 * tables if share else float(text)
    if votes >= tables:
        raise UsageError(
            f"No pixel can have more than {text} of {tables} votes{whom}; every mask would be empty.",
            expected=f"at most {tables - 1}, or less than 100%",
            got=text,
            hint=f"Use --threshold {tables - 1} for pixels on which all agree.",
        )
    return votes


def vote_tables(
    tables: Sequence[str | Path],
    out: str | Path,
    *,
    threshold: str | float = 1,
    classes: Mapping[str, str | float] | None = None,
    columns: Sequence[str] | None = None,
    listen: Listen = silent,
) -> Voted:
    """Write the vote of several run-length tables over the union of their rows.

    Args:
        tables: CSV files.
        out: CSV to write; it appears only when whole.
        threshold: A pixel stays with strictly more votes than this; or a share such as `50%`.
        classes: Other thresholds for some values of the class column (`class`, or the last key column).
        columns: Key columns followed by the run-length column; found in the first table by default.
        listen: Progress events.

    Raises:
        UsageError: Fewer than two tables, thresholds that cannot be met, classes that no table names.
        DataError: A table cannot be read; names file and line.
    """
    opened = _opened(tables, Path(out), columns)
    limits = {name: votes_needed(value, len(opened), whom=f" for {name!r}") for name, value in (classes or {}).items()}
    ballots = _Ballots(opened, votes_needed(threshold, len(opened)), limits)
    listen(Stage(f"Voting over {amount(len(opened), 'table')}"))
    empty = 0
    with writing_rle(out, keys=opened[0].keys, rle=opened[0].rle) as table:
        for key, text in ballots.results():
            table.add(key, text)
            empty += not text
            if table.count % TOLD_EVERY == 0:
                listen(Note(amount(table.count, "row")))
        ballots.refuse_unknown_classes()
    first = opened[0]
    return Voted(
        out=str(out),
        tables=tuple(str(one.path) for one in opened),
        columns=(*first.keys, first.rle),
        rows=table.count,
        empty=empty,
        more_than={"default": ballots.default, **limits},
        missing=ballots.missing(),
        repaired=tuple(ballots.repaired),
        notes=_notes(opened),
    )


def _opened(tables: Sequence[str | Path], out: Path, columns: Sequence[str] | None) -> list[RleTable]:
    """The tables, all with the key columns of the first."""
    if len(tables) < 2:
        raise UsageError("A vote needs at least two tables.", got=", ".join(map(str, tables)), hint="Name more CSVs.")
    if any(Path(path).resolve() == out.resolve() for path in tables):
        raise UsageError("The result would replace a table that votes.", where=out, hint="Choose another -o.")
    if columns is not None and len(columns) < 2:
        raise UsageError("Name at least one key column and the run-length column.", got=", ".join(columns))
    keys, rle = (tuple(columns[:-1]), columns[-1]) if columns else (None, None)
    first = open_rle(tables[0], keys=keys, rle=rle)
    return [first, *(open_rle(path, keys=first.keys, rle=rle) for path in tables[1:])]


def _notes(tables: Sequence[RleTable]) -> tuple[str, ...]:
    paths = [table.path.resolve() for table in tables]
    several = {str(path): paths.count(path) for path in paths if paths.count(path) > 1}
    return tuple(f"{path} was named {count} times and has {amount(count, 'vote')}" for path, count in several.items())


@dataclass
class _Ballots:
    """The tables side by side, and what was learnt while reading them.

    Attributes:
        tables: In the order of the call.
        default: Votes to exceed.
        limits: The same for some classes.
        repaired: What was mended.
        lacking: For each table the keys it lacks.
        classes: Classes met.
    """

    tables: list[RleTable]
    default: float
    limits: Mapping[str, float]
    repaired: list[str] = field(default_factory=list)
    lacking: list[list[tuple[tuple[int, int], Key]]] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)
    first_keys: deque[Key] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.lacking = [[] for _ in self.tables]
        keys = self.tables[0].keys
        named = [place for place, name in enumerate(keys) if name.lower() in {"class", "structure", "label"}]
        self.class_place = named[0] if named else len(keys) - 1

    def results(self) -> Iterator[tuple[Key, str]]:
        """Keys with their run-length text: those of the first table in its order, then what only others have."""
        done: dict[Key, str] = {}
        later: dict[Key, tuple[int, int]] = {}
        batch: list[Ballot] = []
        for ballot in self._complete():
            batch.append(ballot)
            place = self._record(ballot)
            if place[0]:
                later[ballot[0]] = place
            if len(batch) == BATCH:
                done.update(self._vote(batch))
                batch = []
                while self.first_keys and self.first_keys[0] in done:
                    key = self.first_keys.popleft()
                    yield key, done.pop(key)
        done.update(self._vote(batch))
        for key in (*self.first_keys, *sorted(later, key=lambda key: later[key])):
            yield key, done.pop(key)

    def _record(self, ballot: Ballot) -> tuple[int, int]:
        """Note class and missing votes; returns the first table that has the key, and its line there."""
        key, rows = ballot
        self.classes.add(key[self.class_place])
        place = next((i, row.line) for i, row in enumerate(rows) if row is not None)
        for index, row in enumerate(rows):
            if row is None:
                self.lacking[index].append((place, key))
        return place

    def _complete(self) -> Iterator[Ballot]:
        """Keys with the rows of all tables, as soon as each table has given its row or ended."""
        streams = {i: table.rows(repaired=self.repaired) for i, table in enumerate(self.tables)}
        waiting: dict[Key, list[RleRow | None]] = {}
        while streams:
            touched = dict.fromkeys(key for i in list(streams) for key in self._next(i, streams, waiting))
            for key in touched:
                if key in waiting and all(waiting[key][i] is not None for i in streams):
                    yield key, waiting.pop(key)

    def _next(self, i: int, streams: dict[int, Iterator[RleRow]], waiting: dict[Key, list[RleRow | None]]) -> list[Key]:
        """Take a row of a table; returns the keys that may be complete now: all of them once it has ended."""
        row = next(streams[i], None)
        if row is None:
            del streams[i]
            return list(waiting)
        if i == 0:
            self.first_keys.append(row.key)
        waiting.setdefault(row.key, [None] * len(self.tables))[i] = row
        return [row.key]

    def _vote(self, batch: list[Ballot]) -> dict[Key, str]:
        """One sweep over the edges of all rows of a batch."""
        votes = [(index, i, row) for index, (_, rows) in enumerate(batch) for i, row in enumerate(rows) if row]
        starts, lengths, counts = self._parsed(votes)
        limits = np.array([self.limits.get(key[self.class_place], self.default) for key, _ in batch])
        which = np.repeat(np.array([index for index, _, _ in votes], np.int64), counts)
        texts = text_rows(*sweep(starts, starts + lengths, which, limits), len(batch))
        return {key: text for (key, _), text in zip(batch, texts, strict=True)}

    def _parsed(self, votes: Sequence[tuple[int, int, RleRow]]) -> tuple[NDArray[np.int64], ...]:
        """Starts, lengths and counts of normal runs; rows that are out of order are mended and named."""
        parsed = parse_rows([row.text for _, _, row in votes])
        if parsed is not None:
            starts, lengths, counts = parsed
            inside = np.ones(len(starts), np.bool_)
            firsts = np.cumsum(counts) - counts
            inside[firsts[counts > 0]] = False  # the first run of a mask follows none
            if not (inside[1:] & (starts[1:] < starts[:-1] + lengths[:-1])).any():
                return starts, lengths, counts
        runs = [self._mended(i, row) for _, i, row in votes]
        counts = np.array([len(one) for one in runs], np.int64)
        return np.concatenate([one.starts for one in runs]), np.concatenate([one.lengths for one in runs]), counts

    def _mended(self, i: int, row: RleRow) -> Runs:
        where = self.tables[i].where(row)
        runs = Runs.parse(row.text, where=where)
        if runs.disorder:
            self.repaired.append(f"{where}: {runs.disorder}; they were put in order and merged")
        return runs.normal()

    def refuse_unknown_classes(self) -> None:
        """A threshold for a class that no row has is a slip."""
        for name in self.limits:
            if name not in self.classes:
                raise UnknownNameError.among(self.tables[0].keys[self.class_place], name, self.classes)

    def missing(self) -> tuple[Missing, ...]:
        """Tables that lack rows, with their keys in the order of the result."""
        return tuple(
            Missing(table=str(table.path), rows=tuple(key for _, key in sorted(lacking)))
            for table, lacking in zip(self.tables, self.lacking, strict=True)
            if lacking
        )
