"""Several networks of one fold, trained one after another from starts of their own, told as one piece of work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from segwright.api.events import Event, Listen


@dataclass
class Members:
    """Where a fold stands as a whole while its networks are trained.

    Attributes:
        count: Networks of the fold.
        listen: Told of their events as if they came from one long training.
    """

    count: int
    listen: Listen
    member: int = 0
    steps: int = 0
    elapsed: float = 0.0
    _last: Event = field(default_factory=dict)

    def hear(self, event: Event) -> None:
        """An event of the network at work."""
        self._last = {**self._last, **event}
        if event["kind"] == "end" and self.member + 1 < self.count:
            self.next()
        else:
            self.listen(self._of_fold(event))

    def passed_over(self, log: Sequence[Event]) -> None:
        """A network that was trained by an earlier call."""
        self._last = dict(log[-1]) if log else {}
        self.next()

    def next(self) -> None:
        """Go on to the next network."""
        self.steps += self._last.get("step", 0)
        self.elapsed += self._last.get("elapsed", 0.0)
        self.member, self._last = self.member + 1, {}

    def _of_fold(self, event: Event) -> Event:
        moved = {**event}
        if "step" in event:
            moved["step"] = event["step"] + self.steps
        if "elapsed" in event:
            moved["elapsed"] = event["elapsed"] + self.elapsed
        if "progress" in event:
            moved["progress"] = (event["progress"] + self.member) / self.count
        if event.get("remaining") is not None and event.get("progress"):
            waiting = self.count - 1 - self.member
            moved["remaining"] = event["remaining"] + waiting * event["elapsed"] / event["progress"]
        return moved


def joined(logs: Sequence[Sequence[Event]], count: int) -> list[Event]:
    """The events of a fold's networks as one log.

    Args:
        logs: Of each network begun, in order.
        count: Networks that the fold will have.

    Example:
        >>> one = [{"kind": "step", "step": 5, "progress": 1.0}, {"kind": "end", "step": 5}]
        >>> [(e["kind"], e["step"]) for e in joined([one, one], 2)]
        [('step', 5), ('step', 10), ('end', 10)]
    """
    events: list[Event] = []
    fold = Members(count, events.append)
    for log in logs:
        for event in log:
            fold.hear(event)
    return events
