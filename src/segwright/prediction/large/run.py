"""Takes a large prediction through its steps: what is done already is kept, what fails is retried and named."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event as Flag
from threading import Lock, Thread

from segwright.core.errors import WriteError
from segwright.core.events import Event, Listen, Note, Progress, Stage
from segwright.core.words import amount
from segwright.io import omezarr
from segwright.prediction.large.bench import Bench, opened
from segwright.prediction.large.objects import join_objects
from segwright.prediction.large.steps import perform
from segwright.prediction.large.workers import Workers

#: Seconds between looks at how far blocks are.
LOOK = 2.0
#: Times that a block which failed is tried again, after all others.
RETRIES = 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run over all steps ended.

    Attributes:
        failed: What could not be done and why, one pair a block.
        done: Blocks done in this run.
        kept: Blocks found finished.
        seconds: Spent on predicting.
    """

    failed: tuple[tuple[str, str], ...]
    done: int
    kept: int
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether every block is there."""
        return not self.failed

    @property
    def reasons(self) -> str:
        """Each reason once, with the blocks that need what failed."""
        blocks: dict[str, list[str]] = {}
        for block, error in self.failed:
            blocks.setdefault(error, []).append(block)
        told = [f"{error} (needed by {amount(len(b), 'block')}: {'; '.join(b[:2])})" for error, b in blocks.items()]
        return "; ".join(told[:5]) + (f"; and {len(told) - 5} more reasons" if len(told) > 5 else "")


def carry_out(folder: Path, workers: Workers, listen: Listen) -> Outcome:
    """Do every block of every step that is not done.

    Blocks that fail are tried again after all others; what then still fails counts as background in later steps, so
    that there is something to look at, and those steps are done anew once it succeeds.

    Raises:
        WriteError: The disk is full; run again when there is space.
    """
    bench = opened(folder)
    steps = list(_steps(bench))
    _make_stores(bench)
    begin, seconds, done, kept = time.perf_counter(), 0.0, 0, 0
    for position, (step, count) in enumerate(steps):
        found = bench.record.finished(step)
        waiting = [index for index in range(count) if index not in found]
        if waiting:
            bench.record.forget(name for name, _ in steps[position + 1 :])
            _try(bench, step, waiting, workers, listen) if step != "join" else _join(bench, listen)
        if step == "predict":
            seconds, done, kept = time.perf_counter() - begin, len(waiting), len(found)
    return Outcome(tuple(_failures(bench, [step for step, _ in steps])), done, kept, seconds)


def _steps(bench: Bench) -> list[tuple[str, int]]:
    """Names of the steps, and how many blocks each has."""
    count = bench.blocks().count
    steps = [("predict", count)]
    if bench.job.instances:
        steps += [("objects", count), ("join", 1), ("numbers", count)]
    if bench.working:
        steps += [("back", bench.blocks(0).count)]
    for name in bench.results:
        steps += [(f"{name}-{level}", bench.blocks(level).count) for level in range(1, len(bench.job.levels))]
    return steps


def _make_stores(bench: Bench) -> None:
    """Make the empty stores that are not there yet."""
    wanted = ["labels"] * bench.has_labels + ["scores"] * bool(bench.job.scores)
    for name in dict.fromkeys([*wanted, bench.scores, *["parts"] * bool(bench.job.instances)]):
        if not name:
            continue
        if not bench.store(name).exists():
            omezarr.create(bench.store(name), bench.pyramid(name))


def _join(bench: Bench, listen: Listen) -> None:
    """Number the objects as one whole; blocks whose objects could not be found count as empty."""
    blocks = bench.blocks()
    listen(Stage("Joining objects over block faces"))
    done = [0]

    def told(index: int) -> None:
        done[0] += 1
        listen(Progress("join objects", done[0], blocks.count))

    join_objects(bench, told)
    for name in dict.fromkeys([bench.numbered, "instances"]):
        omezarr.create(bench.store(name), bench.pyramid(name))
    bench.record.finish("join", 0, {})


def _try(bench: Bench, step: str, waiting: Sequence[int], workers: Workers, listen: Listen) -> None:
    title = _TITLES.get(step.partition("-")[0], "Making smaller copies")
    listen(Stage(f"{title}: {amount(len(waiting), 'block')}"))
    left: dict[int, str] = dict.fromkeys(waiting, "")
    bench.record.forget_shares(step)
    with _watched(bench, step, left, listen) as told:
        _attempts(bench, step, left, workers, told)
    for index, error in left.items():
        bench.record.fail(step, index, error)


@contextmanager
def _watched(bench: Bench, step: str, left: Mapping[int, str], listen: Listen) -> Iterator[Listen]:
    """Tells every few seconds how far the blocks are that are not finished; yields what others tell through."""
    begin, total, over, talk = time.perf_counter(), len(left), Flag(), Lock()

    def told(event: Event) -> None:
        with talk:
            listen(event)

    def watch() -> None:
        while not over.wait(LOOK):
            done = total - len(left)
            share = min((done + bench.record.under_way(step)) / total, 1.0)
            remaining = (time.perf_counter() - begin) * (1 - share) / share if share else None
            told(Progress(step, done, total, remaining, share))

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield told
    finally:
        over.set()
        watcher.join()


def _attempts(bench: Bench, step: str, left: dict[int, str], workers: Workers, listen: Listen) -> None:
    """Do the blocks that are left, and those that fail again after all others; leaves what failed for good."""
    begin, total = time.perf_counter(), len(left)
    for attempt in range(RETRIES + 1):
        if attempt and left:
            listen(Note(f"{amount(len(left), 'block')} failed and will be tried again: {_first(left)}"))
        work = partial(perform, str(bench.folder), step)
        for index, answer in workers.map(work, list(left)):
            if answer.get("full"):
                raise _full(bench, answer["error"])
            if "error" in answer:
                left[index] = str(answer["error"])
                continue
            del left[index]
            done = total - len(left)
            remaining = (time.perf_counter() - begin) / done * len(left)
            listen(Progress(step, done, total, remaining))
        if not left:
            return


def _failures(bench: Bench, steps: Sequence[str]) -> list[tuple[str, str]]:
    """Every block without a result, in words, and the reason."""
    told = []
    for step in steps:
        for index, error in sorted(bench.record.failed(step).items()):
            box = bench.blocks(_level_of(step)).box(index)
            told.append((f"{step} of voxels {box.start} to {box.stop}", error))
    return told


def _level_of(step: str) -> int | None:
    """Level of the results that a step's blocks lie on; `None` for those of the grid of objects."""
    level = "0" if step == "back" else step.partition("-")[2]
    return int(level) if level else None


def _first(left: dict[int, str]) -> str:
    return next((error for error in left.values() if error), "")


def _full(bench: Bench, error: str) -> WriteError:
    return WriteError(
        "The disk is full; every block that was finished is kept.",
        got=error,
        where=bench.folder,
        hint="Free some space and run the same command with --resume: it goes on where it stopped.",
    )


_TITLES = {
    "predict": "Predicting block by block",
    "objects": "Finding objects in each block",
    "numbers": "Numbering objects",
    "back": "Bringing objects back to the scan's voxels",
}
