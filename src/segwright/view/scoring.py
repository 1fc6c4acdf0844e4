"""Scores of results in the background, case by case, by the same judge as `segwright evaluate`."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from segwright.core.report import Report, Score
from segwright.evaluation.score import Judge, LabelPair
from segwright.view.results import Result, why


@dataclass
class Scored:
    """Scores of one result, growing while its cases are judged.

    Attributes:
        rows: Scores by case, those of the mean over structures among them.
        total: Cases to be scored.
        report: The whole, once all are done.
    """

    total: int
    rows: dict[str, tuple[Score, ...]] = field(default_factory=dict)
    report: Report | None = None
    error: str = ""

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.report is not None or bool(self.error)


class Scorer:
    """Judges cases one after the other in a thread of its own; the case being looked at goes first.

    Args:
        judge: How pairs are scored.
        pair: Loads both labels of a case for a result.
    """

    def __init__(self, judge: Judge, pair: Callable[[Result, str], LabelPair]) -> None:
        self.judge = judge
        self.pair = pair
        self._lock = threading.Lock()
        self._waiting: deque[tuple[int, Result, Scored, str]] = deque()
        self._thread: threading.Thread | None = None

    def add(self, number: int, result: Result, cases: list[str]) -> Scored:
        """Take a result in; a report it brings along is used as it is."""
        known = result.report()
        scored = Scored(len(cases))
        if known is not None:
            scored.rows = by_case(known)
            scored.total = len(scored.rows)
            scored.report = known
            return scored
        if not cases:
            scored.error = "No case of this result has a label to be scored against."
            return scored
        self._enter([(number, result, scored, case) for case in cases])
        return scored

    def hurry(self, number: int, case: str) -> None:
        """Score this case next."""
        with self._lock:
            for item in self._waiting:
                if item[0] == number and item[3] == case:
                    self._waiting.remove(item)
                    self._waiting.appendleft(item)
                    return

    def again(self, number: int, result: Result, scored: Scored, case: str) -> None:
        """Score a case anew, as its labels have changed."""
        scored.rows.pop(case, None)
        scored.report = None
        self._enter([(number, result, scored, case)])
        self.hurry(number, case)

    def _enter(self, jobs: list[tuple[int, Result, Scored, str]]) -> None:
        with self._lock:
            self._waiting.extend(jobs)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()

    def forget(self, number: int) -> None:
        """Score no more of a result."""
        with self._lock:
            self._waiting = deque(item for item in self._waiting if item[0] != number)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                _, result, scored, case = self._waiting.popleft()
            try:
                rows = self.judge.score(self.pair(result, case))
            except Exception as error:  # one bad case must not end the thread
                rows = self.judge.score(LabelPair(case, case, error=why(error)))
            scored.rows[case] = tuple(rows)
            if len(scored.rows) >= scored.total:
                every = [row for listed in scored.rows.values() for row in listed]
                scored.report = self.judge.report(every, title=result.name, notes=result.notes)


def by_case(report: Report) -> dict[str, tuple[Score, ...]]:
    """The rows of a report by case."""
    found: dict[str, list[Score]] = {}
    for row in report.scores:
        found.setdefault(row.case, []).append(row)
    return {case: tuple(rows) for case, rows in found.items()}
