"""The page of a bare evaluation: scores of given predictions, without a run around them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segwright.core.labels import LabelSpace
from segwright.core.report import Report
from segwright.report import tables
from segwright.report.html import headline, score_context, template, write_text
from segwright.report.wording import colour, columns_of


def render_evaluation(
    report: Report,
    *,
    labels: LabelSpace | None = None,
    receipt: Mapping[str, Any] | None = None,
) -> str:
    """Score table, distributions and all cases as one page in the style of a run's page.

    Args:
        report: What to show; its title is the heading.
        labels: Gives the structures their colours.
        receipt: Versions, command and the like; may nest one level.
    """
    columns = columns_of(report)
    colours = {} if labels is None else {name: colour(labels, i) for i, name in enumerate(labels.names)}
    groups = {score.group for score in report.scores}
    return template("evaluation.html").render(
        **score_context(report, columns, colours),
        title=report.title or "Evaluation",
        headline=headline(report, columns),
        tiles=[
            ("cases", str(len({score.case for score in report.scores})), f"{len(groups)} groups"),
            ("structures", str(len({s.structure for s in report.scores} - {"mean"})), "scored"),
            ("metrics", str(len(columns)), "each case and structure"),
        ],
        receipt=tables.receipt_rows(receipt or {}),
    )


def write_evaluation(
    report: Report, path: str | Path, *, labels: LabelSpace | None = None, receipt: Mapping[str, Any] | None = None
) -> Path:
    """Render to `path`; the file appears only when whole."""
    return write_text(render_evaluation(report, labels=labels, receipt=receipt), path)
