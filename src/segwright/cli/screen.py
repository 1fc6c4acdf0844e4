"""Shows events in the terminal: bars where there is one, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import time
from collections.abc import Mapping

import psutil
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column

from segwright.core.events import End, Event, Note, Progress, Restart, Stage, Step
from segwright.core.words import duration

_SAID = {
    "inspect": "Reading every file once",
    "plan": "Planning",
    "speed": "Timing this machine",
    "rehearse": "Timing one case",
    "measure": "Measuring structures",
    "prepare": "Preparing scans",
    "validate": "Predicting validation cases",
    "postprocess": "Trying post-processing",
    "report": "Writing the report",
    "predict": "Predicting",
    "evaluate": "Scoring predictions",
    "convert": "Converting labels",
    "restore-look": "Looking at every section",
    "restore-learn": "Learning from neighbours",
}


#: Lines of a stage that is not shown as a bar: one a quarter, none within the first seconds, and one after a silence
#: of half a minute, or of a share of the time so far where that is longer: hours need fewer lines than minutes.
_QUARTER, _SOON, _LATE, _SHARE = 0.25, 2.0, 30.0, 0.25
#: Terminal columns of a title and of a bar; the rest is for what is happening.
_TITLE, _BAR = 28, 14


class Screen:
    """Progress on standard error, results on standard output, whatever form these have.

    Args:
        first: What is done first; said at once, before libraries are loaded and files are searched.
        quiet: Progress stays off.
        console: Where to show it; standard error by default.
    """

    def __init__(self, first: str, *, quiet: bool = False, console: Console | None = None) -> None:
        self.first, self.quiet = first, quiet
        self.console = console or Console(stderr=True, highlight=False)
        self.progress: Bars | None = None
        self.task: TaskID | None = None
        self.said = 0.0
        self.began = self.spoke = 0.0
        self.pseudo: Mapping[str, float] = {}
        self.waited = 0.0
        self.most = 0

    def __enter__(self) -> Screen:
        if not self.quiet and self.console.is_terminal:
            columns = (
                TextColumn("{task.description}", table_column=Column(width=_TITLE, no_wrap=True)),
                BarColumn(bar_width=_BAR),
                TextColumn("{task.fields[tail]}", markup=False, table_column=Column(no_wrap=True)),
            )
            self.progress = Bars(*columns, console=self.console)
            self.progress.start()
        if not self.quiet:
            self._stage(self.first, None)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if self.progress is not None:
            if kind is None:
                self._finish()
            self.progress.stop()

    def listen(self, event: Event) -> None:
        """Show one event."""
        if self.quiet:
            return
        match event:
            case Stage():
                self._stage(_title(event), event.seconds)
            case Progress():
                share = event.done / event.total if event.total else 0.0
                parts = [f"{event.done}/{event.total}" if event.total else str(event.done)]
                parts += self._pace(event.done, event.remaining)
                self._advance(share if event.share is None else event.share, parts)
            case Step():
                self._step(event)
            case Restart():
                self.line(_restarted(event))
            case End():
                self.line(_closing(event))
            case Note():
                self.line(event.text)

    def line(self, text: str) -> None:
        """A line of its own, above the bars."""
        if not self.quiet:
            (self.progress.console if self.progress else self.console).print(text, markup=False)

    def _stage(self, title: str, seconds: float | None) -> None:
        self.said, self.pseudo, self.waited = 0.0, {}, 0.0
        if self.progress is None:
            self.console.print(title + (f" for {duration(seconds)}" if seconds else ""), markup=False)
        else:
            self._finish()
            self.task = self.progress.add_task(escape(title), total=None, tail="")  # pulses until it can be counted
        self.began = self.spoke = time.monotonic()

    def _finish(self) -> None:
        """The bar of a stage that is over is full and tells how long it took."""
        if self.progress is not None and self.task is not None:
            took = duration(time.monotonic() - self.began)
            self.progress.update(self.task, total=1.0, completed=1.0, tail=took)
            self.task = None

    def _pace(self, done: int, remaining: float | None) -> list[str]:
        """Time left and rate, once there is something to tell them by."""
        passed = time.monotonic() - self.began
        rate = [f"{done / passed:.3g}/s" if done > passed else f"{passed / done:.3g} s each"] if done and passed else []
        return ([f"{duration(remaining)} left"] if remaining else []) + rate

    def _advance(self, share: float, parts: list[str]) -> None:
        if self.progress is not None and self.task is not None:
            room = max(self.console.width - _TITLE - _BAR - 4, 12)
            self.progress.update(self.task, total=1.0, completed=share, tail=fitting(parts, room))
            return
        now = time.monotonic()
        silence, late = now - self.spoke, max(_LATE, _SHARE * (now - self.began))
        if (share >= self.said + _QUARTER and silence > _SOON) or silence > late:
            self.said, self.spoke = share, now
            self.console.print(f"  {share * 100:3.0f} %  {fitting(parts, 70)}", markup=False)

    def _step(self, event: Step) -> None:
        self.pseudo = event.pseudo_dice or self.pseudo
        self.waited += event.waited
        parts = [f"{duration(event.remaining)} left"] if event.remaining and event.remaining > 0 else []
        parts += [] if event.loss is None else [f"loss {event.loss:.3f}"]
        if self.pseudo:
            parts.append(f"Dice {sum(self.pseudo.values()) / len(self.pseudo):.3f}")
        passed = max(event.elapsed, 1e-9)
        parts.append(f"{event.step / passed:.3g} steps/s")
        parts.append(f"data {self.waited / passed * 100:.0f} %")
        if event.fold is not None:  # else others train, and their memory is not this process's
            self.most = max(self.most, psutil.Process().memory_info().rss)
            parts.append(f"{self.most / 2**30:.1f} GB")
        self._advance(event.progress, parts)


def fitting(parts: list[str], room: int) -> str:
    """As many parts, in order, as fit into that many columns.

    Example:
        >>> fitting(["2 s left", "loss 0.5", "3 steps/s"], 20)
        '2 s left, loss 0.5'
    """
    text = ""
    for part in parts:
        longer = f"{text}, {part}" if text else part
        if len(longer) > room:
            break
        text = longer
    return text


def _title(event: Stage) -> str:
    if event.name == "train":
        turn = f" ({event.turn} of {event.turns})" if event.turns > 1 else ""
        return f"Training fold {event.fold}{turn}"
    return _SAID.get(event.name, event.name)


def _restarted(event: Restart) -> str:
    """A fresh start, and why."""
    rate = "half the learning rate" if event.rate < 1 else "other weights"
    return f"Fold {event.fold} starts again with {rate}: {event.restarted} in {event.step} steps."


def _closing(event: End) -> str:
    text = f"Fold {event.fold}: {event.step} steps in {duration(event.elapsed)}"
    best = {"pseudo-Dice": event.best_pseudo_dice, "pseudo-AP of objects": event.best_pseudo_ap}
    return text + "".join(
        f", best {name} {value:.3f}" for name, value in best.items() if value is not None and value >= 0
    )
