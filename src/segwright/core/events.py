"""Progress of long work as typed events, so that a terminal, a page, a log or a test can show it its own way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias, TypeVar


@dataclass(frozen=True, slots=True)
class Stage:
    """A new stage of work begins.

    Attributes:
        name: Of the stage, or a sentence that says what is done.
        fold: Where it is work for one fold.
        turn, turns: Which of so many folds that is.
        seconds: How long it is meant to take, where that is known.
        cases: How many cases it goes through.
    """

    name: str
    fold: int | None = None
    turn: int = 1
    turns: int = 1
    seconds: float | None = None
    cases: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is.

    Attributes:
        name: Of what is counted.
        done, total: Items; `total` is `None` where it is not known.
        remaining: Seconds left, where they can be foreseen.
        share: Of the work that is done, where it is known better than by counting items.
    """

    name: str
    done: int
    total: int | None = None
    remaining: float | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for the person who waits."""

    text: str
    fold: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One optimiser step that was done or, when `skipped`, refused because its loss or gradient was not finite.

    Attributes:
        fold: Which; `None` for several folds that are trained side by side.
        step: Its number, from 1.
        progress: Share of the training that is done.
        elapsed: Seconds of training.
        loss: Mean over the batches of the step.
        lr, grad_norm: Learning rate, and norm of the gradient before it was clipped.
        waited: Seconds spent waiting for data.
        pseudo_dice: Of each structure on a few fixed patches, where that was looked at after this step.
        pseudo_ap: The same of objects, where these are learnt.
        remaining: Seconds of training left.
    """

    fold: int | None
    step: int
    progress: float = 0.0
    elapsed: float = 0.0
    loss: float | None = None
    lr: float | None = None
    grad_norm: float | None = None
    waited: float = 0.0
    skipped: bool = False
    pseudo_dice: Mapping[str, float] = field(default_factory=dict)
    pseudo_ap: float | None = None
    remaining: float | None = None


@dataclass(frozen=True, slots=True)
class Restart:
    """A network starts again.

    Attributes:
        fold, step, elapsed: Where and when.
        attempt: Number of the new start, from 1.
        rate: Share of the planned learning rate that it starts with.
        restarted: Why.
    """

    fold: int
    step: int
    elapsed: float = 0.0
    attempt: int = 1
    rate: float = 1.0
    restarted: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """The training of a network is over.

    Attributes:
        fold, step, elapsed: Which, after how many steps and seconds.
        restarts: How often it started again.
        best_pseudo_dice, best_pseudo_ap: Highest mean pseudo-Dice, or pseudo-AP of objects; below 0 if there was none.
        best_step: When that was.
        kept: Which weights count: `last` or `best`.
    """

    fold: int
    step: int
    elapsed: float = 0.0
    restarts: int = 0
    best_pseudo_dice: float | None = None
    best_pseudo_ap: float | None = None
    best_step: int | None = None
    kept: str = ""


#: What training leaves in its log.
TrainEvent: TypeAlias = Step | Restart | End | Note
Event: TypeAlias = Stage | Progress | TrainEvent
Listen: TypeAlias = Callable[[Event], None]
ListenTraining: TypeAlias = Callable[[TrainEvent], None]
T = TypeVar("T")

_LOGGED: dict[str, type[TrainEvent]] = {"step": Step, "restart": Restart, "end": End, "note": Note}


def silent(event: Event) -> None:
    """Show nothing."""


def tracked(items: Iterable[T], listen: Listen, name: str) -> Iterator[T]:
    """Yield items, with a `Progress` after each."""
    tell = counted(listen, name)
    total = len(items) if isinstance(items, Sized) else None
    for done, item in enumerate(items, start=1):
        yield item
        tell(done, total)


def counted(listen: Listen, name: str) -> Callable[[int, int | None], None]:
    """A function of `(done, total)` that says the same as `tracked`, for work that counts for itself."""
    start = time.perf_counter()

    def tell(done: int, total: int | None) -> None:
        remaining = (time.perf_counter() - start) / done * (total - done) if done and total else None
        listen(Progress(name, done, total, remaining))

    return tell


def to_record(event: TrainEvent) -> dict[str, Any]:
    """An event as a line of a log holds it; what was not measured is left out.

    Example:
        >>> to_record(Note("slow", fold=1))
        {'kind': 'note', 'text': 'slow', 'fold': 1}
    """
    kind = next(name for name, made in _LOGGED.items() if isinstance(event, made))
    values = {one.name: getattr(event, one.name) for one in fields(event)}
    return {"kind": kind, **{name: value for name, value in values.items() if not _is_empty(value)}}


def from_record(record: Mapping[str, Any]) -> TrainEvent | None:
    """The event of a line of a log, of any version; `None` for a kind that this version does not know.

    Example:
        >>> from_record({"kind": "note", "text": "slow", "added later": 1})
        Note(text='slow', fold=None)
    """
    made = _LOGGED.get(str(record.get("kind")))
    if made is None:
        return None
    known = {one.name for one in fields(made)}
    return made(**{name: value for name, value in record.items() if name in known and value is not None})


def _is_empty(value: Any) -> bool:
    return value is None or value is False or value == {}
