"""Shows events in the terminal: bars where there is one, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import resource
import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from segwright.report.wording import duration

_SAID = {
    "inspect": "Reading every file once",
    "plan": "Planning",
    "measure": "Measuring this machine",
    "prepare": "Preparing scans",
    "validate": "Predicting validation cases",
    "postprocess": "Trying post-processing on out-of-fold predictions",
    "report": "Writing the report",
    "predict": "Predicting",
    "evaluate": "Scoring predictions",
    "convert": "Converting labels",
    "restore-look": "Looking at every section",
    "restore-learn": "Learning sections from their neighbours",
}


class Screen:
    """Progress on standard error, results on standard output.

    Args:
        as_json: Results are one JSON document, progress stays off.
        quiet: Progress stays off.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet or as_json
        self.console = Console(stderr=True, highlight=False)
        self.progress: Progress | None = None
        self.task: TaskID | None = None
        self.said = 0.0
        self.pseudo: dict[str, float] = {}
        self.waited, self.worked = 0.0, 0.0

    def __enter__(self) -> Screen:
        if not self.quiet and self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[tail]}"))
            self.progress = Progress(*columns, TimeElapsedColumn(), console=self.console, transient=False)
            self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.progress is not None:
            self.progress.stop()

    def listen(self, event: dict[str, Any]) -> None:
        """Show one event."""
        if self.quiet:
            return
        kind = event["kind"]
        if kind == "stage":
            self._stage(_title(event))
        elif kind == "progress":
            done, total = event["done"], event.get("total") or 0
            left = event.get("remaining")
            tail = f"{done}/{total}" + (f", {duration(left)} left" if left else "")
            self._advance(done / total if total else 0.0, tail)
        elif kind == "step":
            self._step(event)
        elif kind == "restart":
            self.line(f"Fold {event['fold']} had learnt nothing and starts again with half the learning rate.")
        elif kind == "end":
            self.line(_closing(event))
        elif kind == "note":
            self.line(event["text"])

    def line(self, text: str) -> None:
        """A line of its own, above the bars."""
        if not self.quiet:
            (self.progress.console if self.progress else self.console).print(text, markup=False)

    def _stage(self, title: str) -> None:
        self.said, self.pseudo, self.waited, self.worked = 0.0, {}, 0.0, 0.0
        if self.progress is None:
            self.console.print(title, markup=False)
            return
        if self.task is not None:
            self.progress.update(self.task, completed=1.0)
        self.task = self.progress.add_task(title, total=1.0, tail="")

    def _advance(self, share: float, tail: str) -> None:
        if self.progress is not None and self.task is not None:
            self.progress.update(self.task, completed=share, tail=tail)
        elif share >= self.said + 0.25 and self.progress is None:
            self.said = share
            self.console.print(f"  {share * 100:3.0f} %  {tail}", markup=False)

    def _step(self, event: dict[str, Any]) -> None:
        self.pseudo = event.get("pseudo_dice") or self.pseudo
        self.waited += event["waited"]
        tail = f"loss {event['loss']:.3f}"
        if self.pseudo:
            tail += f", pseudo-Dice {sum(self.pseudo.values()) / len(self.pseudo):.3f}"
        tail += f", {duration(event['remaining'])} left" if event.get("remaining", 0) > 0 else ""
        tail += f", data {self.waited / max(event['elapsed'], 1e-9) * 100:.0f} %, {_peak_gb():.1f} GB"
        self._advance(event["progress"], tail)


def _title(event: dict[str, Any]) -> str:
    if event["name"] == "train":
        seconds = event.get("seconds")
        return f"Training fold {event['fold']} of {event['folds']}" + (f" for {duration(seconds)}" if seconds else "")
    return _SAID.get(event["name"], event["name"])


def _closing(event: dict[str, Any]) -> str:
    text = f"Fold {event['fold']}: {event['step']} steps in {duration(event['elapsed'])}"
    return text + (f", best pseudo-Dice {event['best_pseudo_dice']:.3f}" if event["best_pseudo_dice"] >= 0 else "")


def _peak_gb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)
