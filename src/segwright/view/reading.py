"""The labels of a case as codes, straight from their files: masks are read beside each other and none is kept."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from segwright.core.case import Case, Dataset
from segwright.core.geometry import Geometry
from segwright.io.drawing import is_drawn
from segwright.io.load import load_label, load_masks
from segwright.view.coded import Coded, code_labels, code_masks

T = TypeVar("T")
#: Files decoded at the same time, at most.
WORKERS = min(4, os.cpu_count() or 1)


def read_codes(dataset: Dataset, case: Case, like: Geometry) -> Coded:
    """Labels of a case on the grid `like`.

    Overlapping structures in files of their own never stand side by side as planes: dozens of masks of a radiograph
    would be hundreds of megabytes, most of them zero.

    Raises:
        SegwrightError: They are missing, damaged, or do not fit the scan.
    """
    if not _single_masks(dataset, case):
        return code_labels(load_label(dataset, case, like), dataset.labels)
    parts = [case.model_copy(update={"label": (source,)}) for source in case.label]
    if len({source.path for source in case.label}) < len(parts):
        return code_masks(load_masks(dataset, case, like), like.shape)  # one file holds several: it is read once
    calls = ((lambda part=part: next(load_masks(dataset, part, like))) for part in parts)
    return code_masks(in_turn(calls, WORKERS), like.shape)


def _single_masks(dataset: Dataset, case: Case) -> bool:
    """Whether each source is the mask of one of several structures that may overlap."""
    space = dataset.labels
    named = bool(case.label) and all(s.structure is not None and s.reader is None for s in case.label)
    return named and not space.exclusive and not space.instances and not is_drawn(dataset, case)


def in_turn(calls: Iterable[Callable[[], T]], workers: int) -> Iterator[T]:
    """What calls return, in their order; a few run at the same time, and no more results wait than that.

    Example:
        >>> list(in_turn([lambda: 1, lambda: 2, lambda: 3], 2))
        [1, 2, 3]
    """
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[T]] = deque()
        for call in calls:
            waiting.append(pool.submit(call))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
