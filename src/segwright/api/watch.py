"""Shows folds that are trained elsewhere as one piece of work, by reading the logs they leave on the shared disk."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segwright.api.events import Event, Listen
from segwright.api.run import Run


@dataclass
class Tail:
    """New events of a log that grows, or that begins anew."""

    path: Path
    read: int = 0

    def events(self) -> Iterator[Event]:
        """Whole lines since the last call."""
        try:
            if self.path.stat().st_size < self.read:
                self.read = 0
            with self.path.open("rb") as file:
                file.seek(self.read)
                fresh = file.read()
        except OSError:
            return
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self.read += len(whole)
        for line in whole.splitlines():
            yield json.loads(line)


@dataclass
class Watch:
    """Folds under way.

    Attributes:
        run: Their run.
        folds: Which.
        listen: Told of ends and restarts one by one, and of steps as a mean over the folds and their networks.
    """

    run: Run
    folds: Iterable[int]
    listen: Listen
    begun: float = field(default_factory=time.perf_counter)
    last: dict[tuple[int, int], Event] = field(default_factory=dict)
    steps: int = 0

    def __post_init__(self) -> None:
        members = range(self.run.plan.train.members)
        parts = [(fold, member) for fold in self.folds for member in members]
        self.tails = {part: Tail(self.run.member_folder(*part) / "log.jsonl") for part in parts}
        for tail in self.tails.values():
            for _ in tail.events():
                pass  # of an earlier call

    def look(self) -> None:
        """Tell what is new."""
        waited = []
        for part, tail in self.tails.items():
            for event in tail.events():
                if event["kind"] == "step":
                    self.steps += 1
                    waited.append(event["waited"])
                    self.last[part] = {**self.last.get(part, {}), **event}
                elif event["kind"] in {"end", "restart"}:
                    self.listen(event)
        if waited:
            self.listen(self._together(sum(waited) / len({fold for fold, _ in self.tails})))

    def _together(self, waited: float) -> dict[str, Any]:
        """All folds as one event of a step."""
        last = list(self.last.values())
        progress = sum(event["progress"] for event in last) / len(self.tails)
        elapsed = time.perf_counter() - self.begun
        dice = [v for event in last for v in event.get("pseudo_dice", {}).values()]
        event = {"kind": "step", "fold": None, "step": self.steps, "progress": progress, "elapsed": elapsed}
        event |= {"loss": sum(event["loss"] for event in last) / len(last), "waited": waited}
        event |= {"pseudo_dice": {"mean": sum(dice) / len(dice)}} if dice else {}
        return event | {"remaining": elapsed * (1 - progress) / progress if progress else 0.0}
