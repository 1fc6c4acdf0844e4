"""The page of a bare evaluation: scores of given predictions, without a run around them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from segwright.core.labels import LabelSpace
from segwright.core.report import Report
from segwright.core.words import amount
from segwright.report import tables
from segwright.report.content import WorstCase
from segwright.report.html import headline, score_context, template, write_text
from segwright.report.pictures import drawn
from segwright.report.wording import colour, columns_of


def render_evaluation(
    report: Report,
    *,
    labels: LabelSpace | None = None,
    worst: Iterable[WorstCase] = (),
    receipt: Mapping[str, Any] | None = None,
    viewer: str = "",
) -> str:
    """Score table, distributions and all cases as one page in the style of a run's page.

    Args:
        report: What to show; its title is the heading.
        labels: Gives the structures their colours.
        worst: Cases to draw, worst first; taken one by one. Needs `labels`.
        receipt: Versions, command and the like; may nest one level.
        viewer: Command that opens references and predictions in the viewer; `--case` is added.
    """
    columns = columns_of(report)
    colours = {} if labels is None else {name: colour(labels, i) for i, name in enumerate(labels.names)}
    groups = {score.group for score in report.scores}
    pictures = [drawn(case, labels) for case in worst] if labels is not None else []
    return template("evaluation.html").render(
        **score_context(report, columns, colours),
        title=report.title or "Evaluation",
        headline=headline(report, columns),
        tiles=[
            ("cases", _counted(report), amount(len(groups), "group")),
            ("structures", str(len({s.structure for s in report.scores} - {"mean"})), "scored"),
            ("metrics", str(len(columns)), "each case and structure"),
        ],
        worst=pictures,
        compared=True,
        viewer=viewer,
        structure_count=0 if labels is None else len(labels.structures),
        receipt=tables.receipt_rows(receipt or {}),
    )


def write_evaluation(report: Report, path: str | Path, **content: Any) -> Path:
    """Render to `path`, with what `render_evaluation` takes; the file appears only when whole."""
    return write_text(render_evaluation(report, **content), path)


def _counted(report: Report) -> str:
    """How many cases were scored, of how many."""
    every = {score.case for score in report.scores}
    scored = {score.case for score in report.scores if score.value is not None}
    return str(len(every)) if scored == every else f"{len(scored)} of {len(every)}"
