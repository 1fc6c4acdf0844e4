"""Explores a dataset in one pass: findings, numbers for tables and plots, and a small picture of each case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import segwright
from segwright.core.case import Dataset
from segwright.core.events import Listen, Stage, counted, silent
from segwright.core.inspection import Inspection
from segwright.planning.check import inspect
from segwright.planning.exploration import Exploration
from segwright.planning.explore import Explorer, Thumb


@dataclass(frozen=True)
class Explored:
    """What one pass over a dataset tells.

    Attributes:
        inspection: Findings and facts, as `segwright.inspect` gives them.
        exploration: The dataset in numbers; `to_json()` for scripts and pages.
        thumbs: A small picture of each case, if they were asked for.
    """

    inspection: Inspection
    exploration: Exploration
    thumbs: Mapping[str, Thumb] = field(default_factory=dict)


def explore(dataset: Dataset, *, listen: Listen = silent, thumbs: bool = False) -> Explored:
    """One pass over all files, one case in memory at a time.

    Args:
        dataset: Cases, labelled or not.
        listen: Progress events.
        thumbs: Keep a small picture of each case (about 40 kB).

    Example:
        >>> explore(Dataset(root=".", layout="none", channels=("grey",), cases=())).exploration.cases
        0
    """
    listen(Stage("inspect", cases=len(dataset.cases)))
    explorer = Explorer(dataset, thumbs=thumbs)
    found = inspect(dataset, progress=counted(listen, "inspect"), look=explorer.look)
    return Explored(found, explorer.exploration(found), explorer.thumbs)


def write_page(explored: Explored, dataset: Dataset, path: str | Path, *, listen: Listen = silent) -> Path:
    """Write tables, plots and pictures as one HTML file that needs no network."""
    from segwright.api.report_context import typed_command
    from segwright.report.content import ExplorationContent
    from segwright.report.exploration import write_exploration

    listen(Stage("report"))
    content = ExplorationContent(
        title=Path(dataset.root).resolve().name,
        dataset=dataset,
        inspection=explored.inspection,
        exploration=explored.exploration,
        thumbs=explored.thumbs,
        receipt={
            "command": typed_command(),
            "folder": dataset.root,
            "data": dataset.content_hash(),
            "segwright": segwright.__version__,
        },
    )
    return write_exploration(content, path)
