"""What is open: the source, its results and their scores, and what was measured of it."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segwright.core.case import Case
from segwright.core.errors import SegwrightError
from segwright.core.events import Event, Progress
from segwright.core.labels import LabelSpace
from segwright.evaluation.score import Judge, LabelPair
from segwright.io.load import load_label
from segwright.view.case_store import REFERENCE, CaseStore
from segwright.view.chunk_cache import ArrayCache, Stamp
from segwright.view.results import Result, open_result, why
from segwright.view.scan import AT_ONCE_BYTES
from segwright.view.scoring import Scored, Scorer
from segwright.view.source import Opened

if TYPE_CHECKING:
    from segwright.api.explore import Explored

#: Bytes of decoded voxels that are kept; what the server holds besides is a few hundred megabytes at most.
POOL_BYTES = 520_000_000
#: Most pixels an edge that the page asks for at once; beyond, they come averaged.
PAGE_PIXELS = 2048


class Session:
    """What routes ask; safe for several threads.

    Args:
        opened: What was opened.
        results: Paths given with `--result`.
        pool_bytes: Ceiling for decoded voxels.

    Attributes:
        store: Scans and labels of the cases.
        results, scores: What is compared with the labels, and how it scores, by number from 1.
        explored, exploring: What was measured of the dataset; how far that is.
    """

    def __init__(self, opened: Opened, results: Sequence[str | Path] = (), *, pool_bytes: int = POOL_BYTES) -> None:
        self.opened = opened
        self.dataset = opened.dataset
        self.results: dict[int, Result] = {}
        self.store = CaseStore(self.dataset, self.results, ArrayCache(pool_bytes))
        self.scorer = Scorer(Judge(self.space), self.pair)
        self.scores: dict[int, Scored] = {}
        self.explored: Explored | None = None
        self.exploring: dict[str, Any] = {}
        self.warmed = False
        self._lock = threading.Lock()
        self._next = 1
        self._judged: dict[tuple[int, str], Stamp] = {}
        self.runs = list(opened.runs)
        for path in [*results, *opened.extra]:
            self.add(open_result(path, self.dataset))
        for run in opened.runs:
            self.add(open_result(run.folder, self.dataset, name="prediction"))

    @property
    def space(self) -> LabelSpace:
        """The dataset's structures."""
        return self.dataset.labels

    @property
    def cases(self) -> tuple[Case, ...]:
        """All cases, in the dataset's order."""
        return self.dataset.cases

    def refresh(self, index: int) -> None:
        """Score a case anew in each result where files have changed since; it is being looked at, so it goes first."""
        case = self.cases[index].id
        for number, result in list(self.results.items()):
            judged, scored = self._judged.get((number, case)), self.scores.get(number)
            if scored is not None and judged is not None and judged != self.store.pair_stamp(index, number):
                del self._judged[number, case]
                self.scorer.again(number, result, scored, case)
            self.scorer.hurry(number, case)

    def warm(self) -> None:
        """Read what the page will show first, while the browser is still opening: the first case, then the next."""
        for index in range(min(len(self.cases), 2)):
            try:
                self._read(index)
            except Exception:  # the page tells what is wrong when it asks
                return

    def _read(self, index: int) -> None:
        """The middle of a case; of one that is read at once, its labels as well."""
        scan = self.store.scan(index)
        if index and scan.nbytes > AT_ONCE_BYTES:
            return
        shape = scan.volume.geometry.shape
        step = 1 << max(0, math.ceil(math.log2(max(shape[1:]) / PAGE_PIXELS)))
        if scan.percentiles:
            scan.plane(0, shape[0] // 2, channel=0, step=step)
        self.warmed = True
        if self.cases[index].label and scan.nbytes <= AT_ONCE_BYTES:
            self.store.codes(index, REFERENCE)

    def add(self, result: Result) -> int:
        """Take a result in and start scoring it; returns its number."""
        labelled = {case.id for case in self.dataset.labelled}
        with self._lock:
            number, self._next = self._next, self._next + 1
            self.results[number] = result
        self.scores[number] = self.scorer.add(number, result, [c for c in result.cases() if c in labelled])
        run = getattr(result, "run", None)
        if run is not None and all(run.folder != known.folder for known in self.runs):
            self.runs.append(run)
        return number

    def remove(self, number: int) -> None:
        """Forget a result that was uploaded."""
        self.results.pop(number, None)
        self.scores.pop(number, None)
        self.scorer.forget(number)
        self.store.forget(number)

    def pair(self, result: Result, case_id: str) -> LabelPair:
        """Both labels of a case, to be scored."""
        index = next(i for i, case in enumerate(self.cases) if case.id == case_id)
        for number in [number for number, known in list(self.results.items()) if known is result]:
            self._judged[number, case_id] = self.store.pair_stamp(index, number)
        case, fold = self.cases[index], self.opened.folds().get(case_id)
        try:
            geometry = self.store.scan(index).volume.geometry
            reference = load_label(self.dataset, case, geometry)
            labels = result.labels(case_id, geometry)
        except SegwrightError as error:
            return LabelPair(case_id, case.group, fold=fold, error=why(error))
        return LabelPair(case_id, case.group, geometry.spacing, reference, labels, fold)

    def explore(self) -> None:
        """Measure the dataset in the background, once."""
        with self._lock:
            if self.exploring:
                return
            self.exploring = {"done": 0, "total": len(self.cases)}
        threading.Thread(target=self._explore, daemon=True).start()

    def _explore(self) -> None:
        from segwright.api.explore import explore

        def listen(event: Event) -> None:
            if isinstance(event, Progress):
                self.exploring = {"done": event.done, "total": event.total}

        try:
            self.explored = explore(self.dataset, listen=listen)
        except Exception as error:  # shown on the page
            self.exploring = {"error": why(error)}
