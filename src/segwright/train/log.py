"""Where training events go: one JSON line an event, and TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segwright.core.disk import atomic_path
from segwright.core.events import Note, TrainEvent, from_record, to_record


class EventLog:
    """Appends events to `log.jsonl` and mirrors numbers to TensorBoard.

    Args:
        folder: Fold folder.
        resume_step: Events after this step are dropped first: they are about to be repeated.
        tensorboard: Also write event files for TensorBoard.
    """

    def __init__(self, folder: Path, *, resume_step: int | None = None, tensorboard: bool = True) -> None:
        self.path = folder / "log.jsonl"
        kept = [event for event in read_events(self.path) if _step(event) <= (resume_step or 0)]
        kept = [] if resume_step is None else kept
        with atomic_path(self.path) as partial:
            partial.write_text("".join(json.dumps(to_record(event)) + "\n" for event in kept), encoding="utf-8")
        self._file = self.path.open("a", encoding="utf-8")
        self._board = _open_board(folder / "tensorboard", resume_step) if tensorboard else None

    def write(self, event: TrainEvent) -> None:
        """Append one event; numbers also go to TensorBoard."""
        record = to_record(event)
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in _numbers(record):
                self._board.add_scalar(name, value, _step(event))

    def close(self) -> None:
        """Flush and close both sinks."""
        self._file.close()
        if self._board is not None:
            self._board.close()


class NoLog:
    """The same for processes that train beside the one that logs."""

    def write(self, event: TrainEvent) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def read_events(path: Path) -> list[TrainEvent]:
    """Events of a log, of any version; a last line cut off by a kill is left out."""
    if not path.exists():
        return []
    events = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            events.append(from_record(json.loads(line)))
        except json.JSONDecodeError:
            continue
    return [event for event in events if event is not None]


def _step(event: TrainEvent) -> int:
    return 0 if isinstance(event, Note) else event.step


def _open_board(folder: Path, resume_step: int | None) -> Any:
    from torch.utils.tensorboard import SummaryWriter  # heavy, so only when a fold starts

    return SummaryWriter(str(folder), purge_step=None if resume_step is None else resume_step + 1)


def _numbers(event: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in event.items():
        if isinstance(value, dict):
            yield from ((f"{name}/{key}", v) for key, v in value.items() if isinstance(v, int | float))
        elif isinstance(value, int | float) and name not in {"step", "remaining"}:
            yield name, float(value)
