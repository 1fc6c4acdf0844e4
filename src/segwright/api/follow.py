"""Follows training by the logs that it leaves in a run's folder: several networks, or folds, as one piece of work."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from segwright.core.events import End, Listen, ListenTraining, Note, Restart, Step, TrainEvent, from_record

if TYPE_CHECKING:
    from segwright.api.run import Run

#: Seconds between looks at a log.
LOOK = 0.3


@dataclass
class Tail:
    """New events of a log that grows, or that begins anew."""

    path: Path
    read: int = 0
    file: int = 0

    def events(self) -> Iterator[TrainEvent]:
        """Those of the whole lines since the last call."""
        try:
            with self.path.open("rb") as file:
                number = self.path.stat().st_ino
                if number != self.file or self.path.stat().st_size < self.read:
                    self.read, self.file = 0, number
                file.seek(self.read)
                fresh = file.read()
        except OSError:
            return
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self.read += len(whole)
        for line in whole.splitlines():
            if (event := from_record(json.loads(line))) is not None:
                yield event


@contextmanager
def followed(log: Path, listen: ListenTraining) -> Iterator[None]:
    """Tell what others write to a log, from now to the end of a block of code that waits for them."""
    tail, over = Tail(log), threading.Event()
    for _ in tail.events():
        pass  # of an earlier call

    def look() -> None:
        while not over.wait(LOOK):
            for event in tail.events():
                listen(event)

    thread = threading.Thread(target=look, name="follow", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for event in tail.events():
            listen(event)


@dataclass
class FoldProgress:
    """Where a fold stands as a whole while its networks are trained one after another.

    Attributes:
        count: Networks of the fold.
        listen: Told of their events as if they came from one long training.
    """

    count: int
    listen: ListenTraining
    member: int = 0
    steps: int = 0
    elapsed: float = 0.0
    _last: Step | Restart | End | None = None

    def hear(self, event: TrainEvent) -> None:
        """An event of the network at work."""
        if isinstance(event, Note):
            self.listen(event)
            return
        self._last = event
        if isinstance(event, End) and self.member + 1 < self.count:
            self._next()
        else:
            self.listen(self._of_fold(event))

    def passed_over(self, log: Sequence[TrainEvent]) -> None:
        """A network that was trained by an earlier call."""
        self._last = next((event for event in reversed(log) if not isinstance(event, Note)), None)
        self._next()

    def _next(self) -> None:
        if self._last is not None:
            self.steps += self._last.step
            self.elapsed += self._last.elapsed
        self.member, self._last = self.member + 1, None

    def _of_fold(self, event: Step | Restart | End) -> TrainEvent:
        moved = replace(event, step=event.step + self.steps, elapsed=event.elapsed + self.elapsed)
        if isinstance(moved, Step) and isinstance(event, Step):
            remaining, waiting = event.remaining, self.count - 1 - self.member
            if remaining is not None and event.progress:
                remaining += waiting * event.elapsed / event.progress
            moved = replace(moved, progress=(event.progress + self.member) / self.count, remaining=remaining)
        return moved


def joined(logs: Sequence[Sequence[TrainEvent]], count: int) -> list[TrainEvent]:
    """The events of a fold's networks as one log.

    Args:
        logs: Of each network begun, in order.
        count: Networks that the fold will have.

    Example:
        >>> one = [Step(0, 5, progress=1.0), End(0, 5)]
        >>> [(type(event).__name__, event.step) for event in joined([one, one], 2)]
        [('Step', 5), ('Step', 10), ('End', 10)]
    """
    events: list[TrainEvent] = []
    fold = FoldProgress(count, events.append)
    for log in logs:
        for event in log:
            fold.hear(event)
    return events


@dataclass
class Follower:
    """Folds that are trained side by side elsewhere.

    Attributes:
        run: Their run.
        numbers: Which.
        listen: Told of ends and restarts one by one, and of steps as a mean over the folds.
    """

    run: Run
    numbers: Iterable[int]
    listen: Listen
    begun: float = field(default_factory=time.perf_counter)
    last: dict[int, Step] = field(default_factory=dict)
    steps: int = 0
    waited: float = 0.0

    def __post_init__(self) -> None:
        self.folds = {fold: self._begun(fold) for fold in self.numbers}

    def look(self) -> None:
        """Tell what is new."""
        before = self.steps
        for progress, tails in self.folds.values():
            for event in (event for tail in tails for event in tail.events()):
                progress.hear(event)
        if self.steps > before:
            self.listen(self._together())

    def _begun(self, fold: int) -> tuple[FoldProgress, list[Tail]]:
        """A fold as it is now: what its logs hold is known."""
        count = self.run.plan.train.members
        progress, tails = FoldProgress(count, partial(self._hear, fold)), []
        for weights in self.run.weights(fold):
            tail = Tail(weights.parent / "log.jsonl")
            earlier = list(tail.events())
            if weights.exists():
                progress.passed_over(earlier)
            else:
                tails.append(tail)
        return progress, tails

    def _hear(self, fold: int, event: TrainEvent) -> None:
        if not isinstance(event, Step):
            self.listen(event)
            return
        known = self.last.get(fold)
        self.last[fold] = replace(event, pseudo_dice=event.pseudo_dice or (known.pseudo_dice if known else {}))
        self.steps += 1
        self.waited += event.waited

    def _together(self) -> Step:
        """All folds as one step; seconds are those of a clock on the wall."""
        last, count = list(self.last.values()), len(self.folds)
        progress, elapsed = sum(step.progress for step in last) / count, time.perf_counter() - self.begun
        losses = [step.loss for step in last if step.loss is not None]
        dice = [value for step in last for value in step.pseudo_dice.values()]
        waited, self.waited = self.waited / count, 0.0
        return Step(
            fold=None,
            step=self.steps,
            progress=progress,
            elapsed=elapsed,
            loss=sum(losses) / len(losses) if losses else None,
            waited=waited,
            pseudo_dice={"mean": sum(dice) / len(dice)} if dice else {},
            remaining=elapsed * (1 - progress) / progress if progress else 0.0,
        )
