"""The page of a dataset before anything is trained: what is in it, how much, where it overlaps, and how it looks."""

from __future__ import annotations

from pathlib import Path

import segwright
from segwright.core.words import agree, amount
from segwright.report import tables
from segwright.report.content import ExplorationContent
from segwright.report.explored import contact_sheet, explored_page
from segwright.report.html import template, write_text
from segwright.report.wording import colour


def render_exploration(content: ExplorationContent) -> str:
    """The page as text, in the style of a run's page; every text in `content` is escaped."""
    found, space = content.exploration, content.dataset.labels
    findings = content.inspection.findings
    errors = sum(finding.level == "error" for finding in findings)
    warnings = sum(finding.level == "warning" for finding in findings)
    unusual = sum(bool(row.why) for row in found.rows)
    return template("exploration.html").render(
        version=segwright.__version__,
        title=content.title,
        tiles=[
            ("cases", str(found.cases), f"{found.labelled} labelled"),
            ("groups", str(found.groups), content.dataset.group_rule or "patients, animals or blocks"),
            ("structures", str(len(space.structures)), space.kind),
            ("unusual", str(unusual), f"{agree(unusual, 'case', 'cases')} to look at"),
            ("findings", str(errors + warnings), f"{amount(errors, 'error')}, {amount(warnings, 'warning')}"),
        ],
        colours={name: colour(space, i) for i, name in enumerate(space.names)},
        explored=explored_page(found),
        worst=contact_sheet(found, content.thumbs, space),
        compared=False,
        viewer="",
        case_count=found.cases,
        structure_count=len(space.structures),
        dataset=content.dataset,
        rule="",
        data=tables.data_table(content.inspection.facts, space.names, {}),
        findings=tables.finding_groups(findings),
        receipt=tables.receipt_rows(content.receipt),
    )


def write_exploration(content: ExplorationContent, path: str | Path) -> Path:
    """Render to `path`; the file appears only when whole."""
    return write_text(render_exploration(content), path)
