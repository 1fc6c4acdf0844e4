"""What the page of a run shows, as one plain value, so that drawing never reads files or computes scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwright.core.case import Dataset, Split
from segwright.core.events import TrainEvent
from segwright.core.inspection import Inspection
from segwright.core.plan import Plan
from segwright.core.report import Report
from segwright.metrics.calibration import Calibration
from segwright.planning.exploration import Exploration
from segwright.planning.explore import Thumb
from segwright.postprocess.search import Postprocess


@dataclass(frozen=True, eq=False)
class WorstCase:
    """One poorly scored case with what is needed to draw it.

    Attributes:
        case, group, fold: Whose it is, and the fold that predicted it without having seen it.
        scores: Dice of each structure; `None` where undefined.
        image: One channel `(z, y, x)`, any numeric type.
        reference, prediction: Canonical labels `(P, z, y, x)` on the image's grid.
        spacing: mm a voxel `(z, y, x)`, `None` where unknown.
        orientation: Axis codes in `(z, y, x)` order, e.g. `SPR`; empty draws the array as it is stored.
    """

    case: str
    group: str
    fold: int | None
    scores: Mapping[str, float | None]
    image: NDArray[Any]
    reference: NDArray[np.integer[Any]]
    prediction: NDArray[np.integer[Any]]
    spacing: tuple[float | None, float | None, float | None]
    orientation: str = ""


@dataclass(frozen=True, eq=False)
class RunContent:
    """Everything on the page of a run.

    Attributes:
        title: Heading, e.g. the name of the run's folder.
        dataset, inspection, plan, split: The documents of the run.
        log: For each fold its events in order.
        report: Out-of-fold scores.
        comparison: Rows of a comparison with other runs; the keys of the first are the column headings.
        postprocess: What the search on out-of-fold predictions chose and tried; `None` if there was none.
        worst: Cases to draw, worst first; taken one by one, so that a generator keeps one in memory.
        commands: What to type next: a sentence, and the command.
        receipt: Versions, hashes, seed, hardware, command, and `durations` in seconds; may nest one level.
        calibration: Whether out-of-fold scores mean what they say; `None` where they were not kept.
        exploration: The data in numbers; `None` in runs that did not keep it.
        viewer: Command that opens the run in the viewer; `--case` is added.
    """

    title: str
    dataset: Dataset
    inspection: Inspection
    plan: Plan
    split: Split
    report: Report
    log: Mapping[int, Sequence[TrainEvent]] = field(default_factory=dict)
    comparison: Sequence[Mapping[str, Any]] = ()
    postprocess: Postprocess | None = None
    worst: Iterable[WorstCase] = ()
    commands: Mapping[str, str] = field(default_factory=dict)
    receipt: Mapping[str, Any] = field(default_factory=dict)
    calibration: Calibration | None = None
    exploration: Exploration | None = None
    viewer: str = ""


@dataclass(frozen=True, eq=False)
class ExplorationContent:
    """Everything on the page of a dataset that nothing was trained on yet.

    Attributes:
        title: Heading, e.g. the name of the folder.
        dataset, inspection, exploration: What was read, what is wrong with it, and the numbers.
        thumbs: A small picture a case, as far as kept.
        receipt: Versions, command; may nest one level.
    """

    title: str
    dataset: Dataset
    inspection: Inspection
    exploration: Exploration
    thumbs: Mapping[str, Thumb] = field(default_factory=dict)
    receipt: Mapping[str, Any] = field(default_factory=dict)
